"""GRPO: group-relative policy optimisation (Shao et al. 2024, DeepSeekMath). `Trainer.step` is the whole algorithm.

A step samples a group of questions for each role, has them judged, turns rewards into advantages within each group, and
takes one or more optimizer updates. Groups flow through: while some are still being generated or trained on, others are
at the judge. Their gradients add up in a fixed order and are normalised once, so the result does not depend on when the
judge's answers arrive. Every sample comes from the current policy, but for groups that people rated late or that were
sampled a step ahead: those are compared with the policy that sampled them. `examples/loop.py` is the same without overlap
and resume.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from recruiter.config import Config
from recruiter.engines import Policy, Sample, TokenSums, TrainGroup, UpdateResult
from recruiter.metrics_logger import RunLog
from recruiter.objective import group_advantages
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.roles.schedule import sampling_seed, step_roles, total_steps
from recruiter.rubric import Judgement
from recruiter.train.background_saver import BackgroundSaver
from recruiter.train.checkpoints import CheckpointWriter, prune
from recruiter.train.groups import GroupSource
from recruiter.train.interruption import Interrupted, wait_for
from recruiter.train.layout import Checkpoint
from recruiter.train.passes import Passes, batched, divide
from recruiter.train.rollout import Rollout, judge_figures, mean, per_token, rollout_rows, step_metrics
from recruiter.train.rows import MetricsRow
from recruiter.train.state import RunState, Validation

SENSED = 16  # groups of a step whose first question is read under the untrained model


class Trainer:
    """The loop: steps, validation, checkpoints, and the conditions under which it ends."""

    def __init__(
        self,
        config: Config,
        policy: Policy,
        source: GroupSource,
        roles: Sequence[Role],
        validation_roles: Sequence[Role],
        log: RunLog,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self.config, self.policy, self.source, self.log = config, policy, source, log
        self.roles, self.validation_roles = roles, validation_roles
        self.stop_requested = stop_requested
        self.state, self.saver = RunState(config), BackgroundSaver()
        source.judge.judge.attach(policy)
        self._updates = (
            policy.updates
        )  # of the last finished step: where the policy has more, it is in the middle of the next

    def train(self) -> None:
        """Run to the last step.

        Raises:
            Interrupted: asked to stop; a checkpoint of the last finished step was written.
            UnscoredError: too many samples came back unscored; likewise checkpointed.
            DivergedError: nothing is learned any more; likewise.
        """
        with self.source:
            try:
                if self.state.unlogged is not None:
                    self._finish_step(self.state.unlogged)
                if self.state.step == 0 and self._validates and self.config.trainer.eval_before_train:
                    self.log.say(f"validating on {len(self.validation_roles)} roles before step 1")
                    self._validate()
                for step in range(self.state.step + 1, total_steps(self.config, len(self.roles)) + 1):
                    if self.state.should_stop:
                        self.log.say(self.state.stop_reason)
                        break
                    self._finish_step(self.step(step))
                    self.state.check_finite()
            finally:
                try:
                    self.save()
                finally:
                    self.saver.close()

    # ---- one step -------------------------------------------------------------------------------------------------

    def step(self, step: int) -> MetricsRow:
        """Sample, judge, compare within each group, update: one step of GRPO, and its figures.

        With one update a step, groups are trained on as they come from the judge. With several, all are judged first.

        Raises:
            Interrupted: asked to stop; nothing was updated.
            UnscoredError: too many samples have no score; nothing was updated.
        """
        algorithm, start = self.config.trainer.algorithm, time.perf_counter()
        rollouts = self.source.groups(step, self._sample)
        seconds_sampling = time.perf_counter() - start - self.source.figures().get("seconds_waiting", 0.0)
        sense = None if algorithm.use_kl_loss else self._sense(rollouts)
        passes = divide(self.config, self.policy, [rollout.messages for rollout in rollouts])

        groups: list[TrainGroup] = []
        updates: list[UpdateResult] = []
        update, sums = TokenSums(), TokenSums()
        for index, rollout in enumerate(rollouts):
            rollout.judgements = self._judgements(rollouts, index, passes)
            rollout.shape_rewards(self.config.reward, self.state.window, self.config.judges)
            self.state.limit.check(step, rollouts)
            rewards_G = [reward.value for reward in rollout.rewards]
            advantages_G = group_advantages(rewards_G, algorithm.grpo_norm_by_std)
            if rollout.has_spread or not algorithm.zero_variance_filter:
                rollout.group = rollout.train_group(advantages_G)
            if rollout.group is not None:
                groups.append(rollout.group)
            if passes.is_one_update and len(groups) == passes.groups_per_pass:
                update.add(self.policy.forward_backward(groups))
                groups = []

        for mini_batch in [groups] if passes.is_one_update else self._mini_batches(rollouts, passes):
            for groups in batched(mini_batch, passes.groups_per_pass):
                update.add(self.policy.forward_backward(groups))
            if update.tokens:
                updates.append(self.policy.optim_step(update.tokens))
            sums.add(update)
            update = TokenSums()

        self.log.rollouts(rollout_rows(step, rollouts))
        fresh = [rollout for rollout in rollouts if not rollout.is_late]
        others = {
            "seconds_sampling": seconds_sampling,
            "seconds": time.perf_counter() - start,
            "sense": per_token(sums.reference, sums) if algorithm.use_kl_loss else sense,
            **judge_figures(fresh, self.config.judges),
            **self.source.figures(),
        }
        metrics = step_metrics(step, fresh, sums, updates, self.source.judge.rubric.names, others)
        self.state.trained(step, fresh, metrics)
        self._updates = self.policy.updates
        return metrics

    def _sample(self, step: int) -> Iterator[tuple[Role, list[Sample]]]:
        """Sample a group for each role of this step."""
        roles = step_roles(self.config, self.roles, step)
        prompts = [generator_messages(role) for role in roles]
        settings, seed = self.config.generator, sampling_seed(self.config.trainer.seed, step)
        groups = self.policy.sample(prompts, settings.n_samples_per_prompt, settings.sampling_params, seed)
        for role, samples in zip(roles, groups, strict=True):
            self.log.status(f"step {step}: sampling")
            self._stop_if_asked()
            yield role, samples

    def _sense(self, rollouts: Sequence[Rollout]) -> float | None:
        """Mean log-probability a token of some questions under the untrained model, which falls where they make no sense.

        One question of every fourth group is read, of `SENSED` groups at most. With KL all that is trained on is read
        anyway, and this is not called.
        """
        some = [rollout for rollout in rollouts if not rollout.is_late][::4][:SENSED]
        with self.policy.base() as reader:
            read = reader.answer_logprobs([each.messages for each in some], [[each.samples[0].text] for each in some])
        return mean([mean(tokens) for group in read for tokens in group])

    def _judgements(self, rollouts: Sequence[Rollout], index: int, passes: Passes) -> list[Judgement]:
        """Wait for the judgements of group `index`; meanwhile compute the passes that follow if no group drops out."""
        judging, size = self.source.judging(rollouts[index]), passes.groups_per_pass
        all_teach = all(rollout.group is not None for rollout in rollouts[:index])
        if passes.is_one_update and all_teach:  # else the passes are divided otherwise than can be told ahead
            for start in range(index - index % size, len(rollouts), size):
                ahead = [
                    TrainGroup(rollout.messages, rollout.samples, []) for rollout in rollouts[start : start + size]
                ]
                if judging.done() or not self.policy.look_ahead(ahead):
                    break
        self.log.status("training" if judging.done() else f"waiting for {self.source.judge.name}")
        return wait_for(judging, self.stop_requested)

    def _mini_batches(self, rollouts: Sequence[Rollout], passes: Passes) -> list[list[TrainGroup]]:
        """The groups of each of several updates, with the log-probabilities that the updates are compared with."""
        teaching = [[r.group for r in part if r.group] for part in batched(rollouts, passes.groups_per_update)]
        new = [group for batch in teaching for group in batch if group.old_logprobs is None]
        for group, logprobs in zip(new, self.policy.logprobs(new), strict=True):
            group.old_logprobs = logprobs
        return teaching * self.config.trainer.update_epochs_per_batch

    # ---- validation, checkpoints, stopping ------------------------------------------------------------------------

    def _finish_step(self, metrics: MetricsRow) -> None:
        """Validate if it is time, log the step, and checkpoint if it is time or the best so far."""
        trainer, step, is_best = self.config.trainer, self.state.step, False
        if self._validates and step % trainer.eval_interval == 0:
            found = self._validate()
            metrics, is_best = cast(MetricsRow, {**metrics, **found.figures}), found.is_best
        self.log.step(cast(MetricsRow, {**metrics, **self.source.judge.take_metrics()}))
        self.state.unlogged = None
        self.source.judge.store_usage(self.log.run.judge_usage)
        if is_best or step % trainer.ckpt_interval == 0:
            self.save(is_best)
        self.source.finished(metrics)

    @property
    def _validates(self) -> bool:
        return self.config.trainer.eval_interval > 0 and len(self.validation_roles) > 0

    def _validate(self) -> Validation:
        """What the judges say of one question a role of the validation slice, always drawn by the same random numbers."""
        prompts = [generator_messages(role) for role in self.validation_roles]
        seed = sampling_seed(self.config.trainer.seed, 0)
        groups = self.policy.sample(prompts, 1, self.config.generator.sampling_params, seed)
        judging, asked = [], []
        for role, samples in zip(self.validation_roles, groups, strict=True):
            self.log.status("validating")
            self._stop_if_asked()
            asked.append((role, [samples[0].text]))
            judging.append(self.source.judge.submit(*asked[-1]))
        self.source.judge.read(asked)
        found = self.state.judged([wait_for(work, self.stop_requested)[0] for work in judging])
        self.log.say(found.sentence)
        return found

    def save(self, is_best: bool = False) -> None:
        """Write a checkpoint of the last finished step, unless it is there already or the policy has moved on.

        What it holds is copied now and written while training goes on; `saver.wait` returns when it is there.
        """
        self.saver.wait()
        run, step, best, write_policy = self.log.run, self.state.step, self.state.best, None
        self.source.judge.store_usage(run.judge_usage)
        if step and self.policy.updates == self._updates and not run.checkpoint(step).path.is_dir():
            write_policy, write_state = self.policy.snapshot(), self.state.snapshot()

        def write() -> None:
            if write_policy is not None:
                with CheckpointWriter(run, step) as checkpoint:
                    write_policy(checkpoint.policy)
                    write_state(checkpoint)
            if is_best and best is not None:
                run.mark_best(step, best, self.state.best_of)
            prune(run, self.config.trainer.max_ckpts_to_keep)

        self.saver.submit(write)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue exactly where a checkpoint was taken.

        Raises:
            ModelError: the folder is no whole checkpoint of this model.
        """
        self.state.load(checkpoint)
        self.policy.load(checkpoint.policy)
        self._updates = self.policy.updates
        self.source.judge.restore_usage(self.log.run.judge_usage)

    def _stop_if_asked(self) -> None:
        if self.stop_requested():
            raise Interrupted
