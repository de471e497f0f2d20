"""SkyRL's trainer with this project's rules.

What differs from SkyRL's: an unscored sample takes part in nothing (rule 1 of the design); rewards are shaped as
`recruiter.reward` says; advantages, loss, metrics, rollouts, validation and checkpoints are those of the local engine; and
with one update a step, the pass that computes the old log-probabilities is left out, for they are the current ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from skyrl.backends.skyrl_train.inference_servers.engine_utils import get_sampling_params_for_backend
from skyrl.backends.skyrl_train.training_batch import TrainingInputBatch
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.generators.base import GeneratorInput, GeneratorOutput
from skyrl.train.generators.utils import prepare_generator_input
from skyrl.train.trainer import RayPPOTrainer
from skyrl.train.utils.tracking import Tracking
from skyrl.train.utils.trainer_utils import validate_generator_output
from torch import Tensor

from recruiter.config import Config
from recruiter.engines import TokenSums, UpdateResult
from recruiter.env import GroupKey
from recruiter.errors import UnscoredError
from recruiter.files import write_json
from recruiter.metrics_logger import RunLog
from recruiter.objective import group_advantages
from recruiter.roles import Role
from recruiter.roles.schedule import total_steps
from recruiter.rubric import load_rubric
from recruiter.skyrl.data import StepLoader, prompt
from recruiter.skyrl.outputs import collect_rollouts, token_sums
from recruiter.skyrl.scorer import ClusterScorer
from recruiter.train.checkpoints import CheckpointWriter, delete, prune
from recruiter.train.interruption import Interrupted
from recruiter.train.layout import Checkpoint
from recruiter.train.rollout import Rollout, judge_figures, rollout_rows, step_metrics
from recruiter.train.rows import MetricsRow
from recruiter.train.state import RunState

PROGRESS_SECONDS = 0.2  # how soon Ctrl-C is noticed


class StepTracker:
    """What SkyRL takes for its tracker: `finish_step` gets each finished step, another tracker gets everything, if any."""

    def __init__(self, finish_step: Callable[[dict[str, Any], int], None], other: Tracking | None) -> None:
        self.finish_step, self.other = finish_step, other

    def log(self, data: dict[str, Any], step: int, commit: bool = False) -> None:
        """One step's figures, or those of a validation before the first step."""
        self.finish_step(data, step)
        if self.other is not None:
            self.other.log(data, step, commit)

    def finish(self) -> None:
        """Close the other tracker."""
        if self.other is not None:
            self.other.finish()


class QuestionTrainer(RayPPOTrainer):  # type: ignore[misc]
    """Steps, validation, checkpoints, and the conditions under which a run ends."""

    def __init__(
        self,
        cfg: SkyRLTrainConfig,
        tracker: Tracking | None,
        *arguments: Any,
        config: Config,
        loader: StepLoader,
        validation_roles: Sequence[Role],
        scorer: ClusterScorer,
        log: RunLog,
        state: RunState,
        resume_from: Checkpoint | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
        **named: Any,
    ) -> None:
        self.config, self.loader, self.validation_roles = config, loader, validation_roles
        self.scorer, self.log, self.resume_from, self.stop_requested = scorer, log, resume_from, stop_requested
        self.state, self.rubric = state, load_rubric(config.rubric)
        self.rollouts: list[Rollout] = []
        self.updates: list[UpdateResult] = []
        self.token_sums, self._kl_weight = TokenSums(), 1.0
        self._advantages: list[float] = []
        self._step_start, self._sampled_step = time.perf_counter(), 0
        super().__init__(cfg, StepTracker(self.finish_step, tracker), *arguments, **named)

    def _build_train_dataloader_and_compute_training_steps(self) -> None:
        self.train_dataloader = self.loader
        self.total_training_steps = total_steps(self.config, len(self.loader.roles))

    def build_models(self, _: Any, critic_worker: Any, ref_worker: Any) -> None:
        """Start the workers, with this project's checkpoints."""
        from recruiter.skyrl.worker import PolicyWorker

        self.log.status("loading the model on every GPU")
        super().build_models(PolicyWorker, critic_worker, ref_worker)

    async def train(self) -> None:
        """Run to the last step.

        Raises:
            Interrupted: asked to stop; everything up to the last finished step is stored.
            UnscoredError: too many samples came back unscored; likewise.
            DivergedError: nothing is learned any more; likewise.
        """
        training = asyncio.ensure_future(super().train())
        while not (await asyncio.wait([training], timeout=PROGRESS_SECONDS))[0]:
            if self.stop_requested():
                training.cancel()
        try:
            training.result()
        except asyncio.CancelledError:
            raise Interrupted from None
        except Exception:
            if self.stop_requested():  # Ctrl-C reaches processes that this one has started, too
                raise Interrupted from None
            raise

    # ---- one step -------------------------------------------------------------------------------------------------

    async def generate(self, input_batch: GeneratorInput) -> GeneratorOutput:
        """Sample and judge the groups of a step; judging runs while other questions are still being written."""
        self._step_start, self._sampled_step = time.perf_counter(), self.global_step
        self.log.status(f"step {self.global_step}: sampling and judging")
        output = await self.generator.generate(input_batch, disable_tqdm=True)
        validate_generator_output(len(input_batch["prompts"]), output)
        self.rollouts = collect_rollouts(input_batch, output, self.config.generator.n_samples_per_prompt)
        return output

    @torch.no_grad()
    def postprocess_generator_output(
        self, generator_output: GeneratorOutput, uids: list[str], *_: Any, **__: Any
    ) -> tuple[GeneratorOutput, list[str]]:
        """Shape the rewards, turn them into advantages, and mask out whatever does not teach.

        Raises:
            UnscoredError: too many samples have no score; nothing was updated.
        """
        algorithm = self.config.trainer.algorithm
        for rollout in self.rollouts:
            rollout.shape_rewards(self.config.reward, self.state.window, self.config.judges)
        self._check_unscored()
        advantages: list[float | None] = []
        for rollout in self.rollouts:
            taught = rollout.has_spread or not algorithm.zero_variance_filter
            of_group = group_advantages([reward.value for reward in rollout.rewards], algorithm.grpo_norm_by_std)
            advantages.extend(of_group if taught else [None] * len(of_group))
        self._advantages = [advantage or 0.0 for advantage in advantages]
        generator_output["loss_masks"] = [
            mask if advantage is not None else [0] * len(mask)
            for mask, advantage in zip(generator_output["loss_masks"], advantages, strict=True)
        ]
        values = [reward.value or 0.0 for rollout in self.rollouts for reward in rollout.rewards]
        generator_output["rewards"] = [
            [*[0.0] * (len(answer) - 1), value]
            for answer, value in zip(generator_output["response_ids"], values, strict=True)
        ]
        self.log.status(f"step {self.global_step}: training")
        return generator_output, uids

    def _check_unscored(self) -> None:
        """End the run where the judge fails. People may skip what they cannot judge, but not everything."""
        self.state.limit.check(self.global_step, self.rollouts)
        if self.config.judge.asks_people and not any(rollout.values for rollout in self.rollouts):
            raise UnscoredError(
                f"Nobody rated any of the {len(self.rollouts)} groups of step {self.global_step}. Everything up to step "
                f"{self.global_step - 1} is saved: run the same command again when there are raters."
            )

    def compute_advantages_and_returns(self, data: TrainingInputBatch) -> TrainingInputBatch:
        """Put each sample's advantage on all its tokens; masked samples have 0."""
        mask_BT: Tensor = data["response_mask"]
        advantages_B = torch.zeros(len(mask_BT))
        advantages_B[: len(self._advantages)] = torch.tensor(self._advantages)
        data["advantages"] = advantages_B[:, None] * mask_BT
        data["returns"] = data["advantages"].clone()
        return data

    def _skip_policy_forward(self, training_input: TrainingInputBatch) -> bool:
        one_update = len(training_input.metadata["policy_mini_batch_boundaries"]) == 1
        return one_update and self.config.trainer.update_epochs_per_batch == 1

    def _execute_training_step(self, model: str, data: TrainingInputBatch) -> dict[str, float]:
        """Update the policy once for each mini-batch that has a token to learn from.

        The others are passed over, for an optimizer moves even without a gradient. SkyRL averages the KL term over all
        answers, masked ones as 0; the coefficient makes up for those.
        """
        boundaries = data.metadata["policy_mini_batch_boundaries"]
        tokens = [int(data["loss_mask"][start:end].sum()) for start, end in boundaries]
        data = self._normalize_advantages(data, boundaries)
        staged = self.dispatch.stage_data(model, data, boundaries)
        self.updates, sums = [], TokenSums()
        for _ in range(self.config.trainer.update_epochs_per_batch):
            for (start, end), chunks, count in zip(boundaries, staged, tokens, strict=True):
                if not count:
                    continue
                trained = int((data["loss_mask"][start:end].sum(dim=-1) > 0).sum())
                weight = (end - start) / trained
                if self.config.trainer.algorithm.use_kl_loss and weight != self._kl_weight:
                    coefficient = self.config.trainer.algorithm.kl_loss_coef * weight
                    self.dispatch.set_algorithm_config(model, kl_loss_coef=coefficient)
                    self._kl_weight = weight
                metrics = self.dispatch.forward_backward_from_staged(model, chunks).metrics
                grad_norm = self.dispatch.optim_step(model)
                self.updates.append(UpdateResult(float(grad_norm or 0.0), metrics["policy_lr"]))
                sums.add(token_sums(metrics, count, weight))
        self.token_sums = sums
        return {"updates": float(len(self.updates))}

    # ---- validation -----------------------------------------------------------------------------------------------

    async def eval(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The judge's mean reward on the validation slice, one question a role, the same random numbers each time."""
        self.log.status("validating")
        groups = [
            prompt(role, GroupKey(f"validation-{self.global_step}/{role.id}", 1)) for role in self.validation_roles
        ]
        generator = self.cfg.generator
        sampling = get_sampling_params_for_backend(generator.inference_engine.backend, generator.eval_sampling_params)
        batch, _uids = prepare_generator_input(groups, 1, sampling, "", "eval", self.global_step)
        rollouts = collect_rollouts(batch, await self.generator.generate(batch, disable_tqdm=True), 1)
        found = self.state.judged([rollout.judgements[0] for rollout in rollouts])
        self.log.say(found.sentence)
        if found.is_best and self.global_step:
            self.log.run.mark_best(self.global_step, self.state.best or 0.0, self.state.best_of)
        return found.figures

    # ---- checkpoints and logs -------------------------------------------------------------------------------------

    def save_checkpoints(self) -> str:
        """Store the step that has just been trained, so that a crash loses at most the next one."""
        step = self.global_step
        others = {**self._seconds(), **judge_figures(self.rollouts, self.config.judges)}
        metrics = step_metrics(step, self.rollouts, self.token_sums, self.updates, self.rubric.names, others)
        self.log.rollouts(rollout_rows(step, self.rollouts))
        with CheckpointWriter(self.log.run, step) as checkpoint:
            self.dispatch.save_checkpoint("policy", str(checkpoint.policy), self.tokenizer)
            self.state.trained(step, self.rollouts, metrics)
            self.state.snapshot()(checkpoint)
        self._thin_out()
        return str(self.log.run.checkpoint(step).path)

    def load_checkpoints(self) -> tuple[int, str | None]:
        """Continue where `resume_from` was taken, on any number of GPUs; `state` is loaded already."""
        if self.resume_from is None:
            return 0, None
        self.dispatch.load_checkpoint("policy", str(self.resume_from.policy))
        self.loader.step = step = self.state.step
        if self.state.unlogged is not None:
            due = self.cfg.trainer.eval_interval > 0 and step % self.cfg.trainer.eval_interval == 0
            self.cfg.trainer.eval_before_train = due
            if not due:
                self.finish_step({}, step)
        return step, str(self.resume_from.path)

    def finish_step(self, data: dict[str, Any], step: int) -> None:
        """Log a step whose training and validation are done; `data` is what SkyRL knows of it."""
        if self.state.unlogged is None:
            return  # a validation before the first step
        validation = {key: value for key, value in data.items() if key.startswith("validation_")}
        seconds = self._seconds() if self._sampled_step == step else {}
        row = {**self.state.unlogged, **seconds, **validation, **self.scorer.take_metrics()}
        self.log.step(cast(MetricsRow, row))
        self.state.unlogged = None
        if (usage := self.scorer.usage_state()) is not None:
            write_json(self.log.run.judge_usage, usage)
        checkpoint = self.log.run.checkpoint(step)
        if checkpoint.path.is_dir():
            self.state.snapshot()(checkpoint)
        if self.state.should_stop:
            self.log.say(self.state.stop_reason)
            self.cfg.trainer.max_training_steps = step
        self.state.check_finite()

    def _seconds(self) -> dict[str, float]:
        """Where the time of the step went."""
        names = {
            "seconds_sampling": "generate",
            "seconds_logprobs": "fwd_logprobs_values_reward",
            "seconds_training": "train_critic_and_policy",
            "seconds_saving": "save_checkpoints",
            "seconds_sync": "sync_weights",
        }
        parts = {ours: self.all_timings[theirs] for ours, theirs in names.items() if theirs in self.all_timings}
        return {**parts, "seconds": time.perf_counter() - self._step_start}

    def _thin_out(self) -> None:
        """Keep the newest checkpoint, the best one, and of those at `ckpt_interval` as many as configured."""
        run, trainer = self.log.run, self.config.trainer
        delete(run, [step for step in run.steps[:-1] if step % trainer.ckpt_interval])
        prune(run, trainer.max_ckpts_to_keep)
