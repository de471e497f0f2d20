"""GRPO: group-relative policy optimisation (Shao et al. 2024, DeepSeekMath), one loop to read first.

A step samples a group of questions for each role, has them judged, turns rewards into advantages within each group, and
takes one or more optimizer updates. Groups flow through: while some are still being generated or trained on, others are
at the judge. Their gradients add up in a fixed order and are normalised once, so the result does not depend on when the
judge's answers arrive. Every sample comes from the current policy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from itertools import islice
from typing import Any, cast

from recruiter.config import Config
from recruiter.engines import Policy, Sample, TokenSums, TrainGroup
from recruiter.files import write_json
from recruiter.judges import Judge
from recruiter.metrics_logger import RunLog
from recruiter.objective import group_advantages
from recruiter.prompts import generator_messages
from recruiter.reward import shape
from recruiter.roles import Role
from recruiter.roles.dataset import sampling_seed, step_roles, total_steps
from recruiter.rubric import Judgement
from recruiter.train.background_judge import BackgroundJudge
from recruiter.train.background_saver import BackgroundSaver
from recruiter.train.checkpoints import (
    CheckpointWriter,
    prune,
)
from recruiter.train.layout import Checkpoint
from recruiter.train.overlap import OverlapWindow
from recruiter.train.rollout import Rollout, rollout_rows, step_metrics
from recruiter.train.rows import MetricsRow
from recruiter.train.unscored import UnscoredLimit


class Interrupted(Exception):
    """The user asked to stop; raised while the policy is as the last finished step left it."""


class Trainer:
    """The loop: steps, validation, checkpoints, and the conditions under which it ends."""

    def __init__(
        self,
        config: Config,
        policy: Policy,
        judge: Judge,
        roles: Sequence[Role],
        validation_roles: Sequence[Role],
        log: RunLog,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self.config, self.policy, self.log = config, policy, log
        self.roles, self.validation_roles = roles, validation_roles
        self.judge = BackgroundJudge(judge)
        self.saver = BackgroundSaver()
        self.window = OverlapWindow(config.reward.overlap_window)
        self.stop_requested = stop_requested
        self.step = 0  # the last step that was trained
        self._unlogged: dict[str, Any] | None = None  # its metrics, until it is validated and logged
        self.best: float | None = None
        self.since_best = 0
        self.limit = UnscoredLimit(config.judge.max_unscored)
        self._updating = False  # in the middle of the updates of the step after it

    def train(self) -> None:
        """Run to the last step.

        Raises:
            Interrupted: asked to stop; a checkpoint of the last finished step was written.
            UnscoredError: too many samples came back unscored; likewise checkpointed.
        """
        trainer = self.config.trainer
        try:
            if self._unlogged is not None:
                self._finish_step()
            if self.step == 0 and self._validates and trainer.eval_before_train:
                self._validate()
            for step in range(self.step + 1, total_steps(self.config, len(self.roles)) + 1):
                if trainer.early_stop_patience is not None and self.since_best >= trainer.early_stop_patience:
                    self.log.say(f"Stopped early: no better validation in {self.since_best} tries.")
                    break
                self._unlogged = self._train_step(step)
                self.step, self._updating = step, False
                self._finish_step()
        finally:
            try:
                self.save()
                self.saver.close()
            finally:
                self.judge.close()

    # ---- one step -------------------------------------------------------------------------------------------------

    def _train_step(self, step: int) -> dict[str, Any]:
        """Sample, judge, train. A group is at the judge from when it is sampled until it is trained on."""
        start = time.perf_counter()
        rollouts = list(self._rollouts(step))
        seconds_sampling = time.perf_counter() - start

        sums, updates = TokenSums(), []
        for mini_batch in self._mini_batches(rollouts):
            update = TokenSums()
            for micro_batch in batched(mini_batch, self._groups_per_pass(rollouts)):
                update.add(self.policy.forward_backward(micro_batch))
            if update.tokens:
                self._updating = True
                updates.append(self.policy.optim_step(update.tokens))
            sums.add(update)

        for rollout in rollouts:
            self.window.remember(rollout.role, [sample.text for sample in rollout.samples])
        self.log.rollouts(rollout_rows(step, rollouts))
        metrics = step_metrics(step, rollouts, sums, updates, self.judge.judge.rubric.names)
        self.limit.finished(metrics["unscored"], metrics["samples"])
        return {**metrics, "seconds_sampling": seconds_sampling, "seconds": time.perf_counter() - start}

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

    def _rollouts(self, step: int) -> Iterator[Rollout]:
        """The groups of this step, each sent to the judge as soon as it is sampled."""
        for role, samples in self._sample(step):
            judging = self.judge.submit(role, [sample.text for sample in samples])
            yield Rollout(role, generator_messages(role), samples, judging)

    def _mini_batches(self, rollouts: Sequence[Rollout]) -> Iterator[Iterable[TrainGroup]]:
        """The groups of each optimizer update of the step.

        With one update, groups are trained on as they come from the judge. With several, all are judged first, and the
        log-probabilities that the later updates are compared with are taken before anything changes.
        """
        size = self._groups_per_update(rollouts)
        if self._updates_once(rollouts):
            yield self._judged_groups(rollouts, rollouts)
            return
        batches = [list(self._judged_groups(rollouts[i : i + size], rollouts)) for i in range(0, len(rollouts), size)]
        batches = [
            [replace(g, old_logprobs=g.old_logprobs or self.policy.logprobs(g)) for g in batch] for batch in batches
        ]
        for _ in range(self.config.trainer.update_epochs_per_batch):
            yield from batches

    def _updates_once(self, rollouts: Sequence[Rollout]) -> bool:
        """Whether the step ends in one optimizer update."""
        one_epoch = self.config.trainer.update_epochs_per_batch == 1
        return one_epoch and self._groups_per_update(rollouts) == len(rollouts)

    def _groups_per_update(self, rollouts: Sequence[Rollout]) -> int:
        """As many as configured, at most the whole step."""
        return min(self.config.trainer.policy_mini_batch_size or len(rollouts), len(rollouts))

    def _groups_per_pass(self, rollouts: Sequence[Rollout]) -> int:
        """As many as the policy takes, but no small remainder: passes of one update are of equal size."""
        update = self._groups_per_update(rollouts)
        prompts = [rollout.messages for rollout in rollouts]
        most = self.policy.groups_per_pass(prompts, self.config.generator.n_samples_per_prompt)
        return math.ceil(update / math.ceil(update / most))

    def _judged_groups(self, rollouts: Sequence[Rollout], step: Sequence[Rollout]) -> Iterator[TrainGroup]:
        """Wait for each group's judgements, in order, and yield what can be trained on.

        Ends the run as soon as too many samples of the whole `step` have no score, without waiting for the others.
        """
        algorithm = self.config.trainer.algorithm
        kept = 0
        for index, rollout in enumerate(rollouts):
            if kept == index:  # else the passes are divided otherwise than can be told ahead
                self._look_ahead(rollouts, index)
            self.log.status(f"waiting for {self.judge.judge.name}" if not rollout.judging.done() else "training")
            for sample, judgement in zip(rollout.samples, self._result(rollout.judging), strict=True):
                rollout.rewards.append(shape(self.config.reward, self.window, rollout.role, sample.text, judgement))
            self._check_unscored(step)
            advantages = group_advantages([r.value for r in rollout.rewards], algorithm.grpo_norm_by_std)
            scored = [(s, a) for s, a in zip(rollout.samples, advantages, strict=True) if a is not None]
            if scored and (rollout.has_spread or not algorithm.zero_variance_filter):
                kept += 1
                samples, is_stale = [s for s, _ in scored], rollout.sampled_in is not None
                old_logprobs = [s.logprobs for s in samples] if is_stale else None
                yield TrainGroup(rollout.messages, samples, [a for _, a in scored], old_logprobs)

    def _look_ahead(self, rollouts: Sequence[Rollout], index: int) -> None:
        """While the judge is at group `index`, compute the passes that follow if no group drops out."""
        judging = rollouts[index].judging
        if judging.done() or not self._updates_once(rollouts):
            return
        size = self._groups_per_pass(rollouts)
        for start in range(index - index % size, len(rollouts), size):
            groups = [TrainGroup(rollout.messages, rollout.samples, []) for rollout in rollouts[start : start + size]]
            if judging.done() or not self.policy.look_ahead(groups):
                return

    # ---- validation, checkpoints, stopping ------------------------------------------------------------------------

    def _finish_step(self) -> None:
        """Validate if it is time, log the step, and checkpoint if it is time or the best so far."""
        trainer, is_best = self.config.trainer, False
        metrics = self._unlogged or {}
        if self._validates and self.step % trainer.eval_interval == 0:
            metrics["validation_reward"], is_best = self._validate()
        self.log.step(cast(MetricsRow, {**metrics, **self.judge.take_metrics()}))
        self._unlogged = None
        self.judge.store_usage(self.log.run.judge_usage)
        if is_best or self.step % trainer.ckpt_interval == 0:
            self.save(is_best)

    @property
    def _validates(self) -> bool:
        return self.config.trainer.eval_interval > 0 and len(self.validation_roles) > 0

    def _validate(self) -> tuple[float | None, bool]:
        """The judge's mean reward on the validation slice, and whether it is the best so far.

        Every validation draws the same random numbers.
        """
        prompts = [generator_messages(role) for role in self.validation_roles]
        seed = sampling_seed(self.config.trainer.seed, 0)
        groups = self.policy.sample(prompts, 1, self.config.generator.sampling_params, seed)
        judging = []
        for role, samples in zip(self.validation_roles, groups, strict=True):
            self.log.status("validating")
            self._stop_if_asked()
            judging.append(self.judge.submit(role, [samples[0].text]))
        rewards = [self._result(future)[0].reward for future in judging]
        scored = [reward for reward in rewards if reward is not None]
        score = sum(scored) / len(scored) if scored else None
        is_best = score is not None and (self.best is None or score > self.best)
        self.best, self.since_best = (score, 0) if is_best else (self.best, self.since_best + 1)
        shown = "none scored" if score is None else f"{score:.3f}"
        self.log.say(f"validation after step {self.step}: reward {shown} on {len(scored)} of {len(rewards)} roles")
        return score, is_best

    def save(self, is_best: bool = False) -> None:
        """Write a checkpoint of the last finished step, unless it is there already or the policy has moved on.

        What it holds is copied now and written while training goes on; `saver.wait` returns when it is there.
        """
        self.saver.wait()
        run, best, step, write_policy = self.log.run, self.best, self.step, None
        self.judge.store_usage(run.judge_usage)
        if step and not self._updating and not run.checkpoint(step).path.is_dir():
            write_policy = self.policy.snapshot()
        state = {
            "step": step,
            "unlogged": self._unlogged,
            "best": self.best,
            "since_best": self.since_best,
            "strained": self.limit.strained,
            "window": self.window.state(),
        }

        def write() -> None:
            if write_policy is not None:
                with CheckpointWriter(run, step) as checkpoint:
                    write_policy(checkpoint.policy)
                    write_json(checkpoint.trainer_state, state)
            if is_best and best is not None:
                run.mark_best(step, best)
            prune(run, self.config.trainer.max_ckpts_to_keep)

        self.saver.submit(write)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue exactly where a checkpoint was taken.

        Raises:
            ModelError: the folder is no whole checkpoint of this model.
        """
        state = checkpoint.read_state()
        self.policy.load(checkpoint.policy)
        self.step, self.best, self.since_best = state["step"], state["best"], state["since_best"]
        self._unlogged, self.limit.strained = state["unlogged"], state.get("strained", 0)
        self.judge.restore_usage(self.log.run.judge_usage)
        self.window.load_state(state["window"])

    def _check_unscored(self, rollouts: Sequence[Rollout]) -> None:
        self.limit.check(self.step + 1, rollouts)

    def _result(self, judging: Future[list[Judgement]]) -> list[Judgement]:
        while not wait([judging], timeout=0.2).done:
            self._stop_if_asked()
        return judging.result()

    def _stop_if_asked(self) -> None:
        if self.stop_requested():
            raise Interrupted


def batched(items: Iterable[TrainGroup], size: int) -> Iterator[list[TrainGroup]]:
    """Lists of `size` items, the last one perhaps shorter, as they come."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
