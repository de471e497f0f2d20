"""A run on Ray: start or join the cluster, build SkyRL's parts around ours, train, and leave nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from loguru import logger
from ray.exceptions import RayError
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.entrypoints.main_base import BasePPOExp
from skyrl.train.utils.tracking import Tracking
from skyrl.utils.tok import get_tokenizer
from transformers import PreTrainedTokenizerBase

from recruiter.config import Config
from recruiter.config.paths import model_source
from recruiter.engines.chat import prepare_template
from recruiter.env import register_environment, special_tokens
from recruiter.errors import EngineError, RecruiterError
from recruiter.files import short_path
from recruiter.judges import Judge
from recruiter.metrics_logger import RunLog
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.skyrl.cluster import find_hardware, log_into, ray_for
from recruiter.skyrl.data import StepLoader
from recruiter.skyrl.loss import register_loss
from recruiter.skyrl.scorer import ClusterScorer
from recruiter.skyrl.settings import check_with_skyrl, skyrl_config
from recruiter.skyrl.trainer import QuestionTrainer
from recruiter.train.interruption import Interrupted
from recruiter.train.layout import Checkpoint
from recruiter.train.state import RunState


class ClusterTrainer:
    """One run with SkyRL, with the face of `recruiter.train.grpo.Trainer`."""

    def __init__(
        self,
        config: Config,
        judge: Judge,
        roles: Sequence[Role],
        validation_roles: Sequence[Role],
        log: RunLog,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        """Map the configuration and let SkyRL check it; nothing is started yet.

        Raises:
            ConfigError: a setting cannot work, here or on the GPUs that are there.
        """
        self.config, self.judge, self.log, self.stop_requested = config, judge, log, stop_requested
        self.validation_roles, self.loader = validation_roles, StepLoader(config, roles)
        self.resume_from: Checkpoint | None = None
        self.state = RunState(config)
        config.trainer.policy.model.path = model_source(config.trainer.policy.model.path)
        hardware = find_hardware()
        tokenizer = chat_tokenizer(config.trainer.policy.model.path)
        self.special_tokens = special_tokens(tokenizer)
        longest = longest_prompt(tokenizer, [*roles, *validation_roles])
        self.settings = skyrl_config(config, hardware, longest, log.run.path)
        register_loss()
        check_with_skyrl(self.settings)
        placement = self.settings.trainer.placement
        log.say(
            f"SkyRL on {placement.policy_num_nodes} node(s) with {placement.policy_num_gpus_per_node} GPU(s) each, "
            f"{self.settings.trainer.micro_train_batch_size_per_gpu} samples a pass; details in "
            f"{short_path(log.run.logs)}"
        )
        if not hardware.flash_attention:
            log.say("flash-attn is not installed: trainer.flash_attn and trainer.remove_microbatch_padding are off.")

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue where a checkpoint was taken; it is read when training starts.

        Raises:
            ModelError: the folder is no whole checkpoint.
        """
        self.state.load(checkpoint)
        self.resume_from = checkpoint

    def train(self) -> None:
        """Start everything and run to the last step.

        Raises:
            Interrupted: asked to stop; the last finished step is stored.
            EngineError: a process of the run has ended.
            UnscoredError: too many samples came back unscored.
        """
        try:
            with ray_for(self.settings, self.log):
                scorer = ClusterScorer(self.config, self.log.run.path.name, self._usage())
                register_environment(scorer, self.special_tokens)
                self._train(scorer)
        except (RecruiterError, Interrupted):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            logger.opt(exception=error).error("the run has ended")
            raise self._explained(error) from error

    def _train(self, scorer: ClusterScorer) -> None:
        try:
            self.settings.trainer.eval_before_train = (
                self.resume_from is None and self.config.trainer.eval_before_train and bool(self.validation_roles)
            )
            self.log.status("starting the engines that sample")
            make_trainer = partial(
                QuestionTrainer,
                config=self.config,
                loader=self.loader,
                validation_roles=self.validation_roles,
                scorer=scorer,
                log=self.log,
                state=self.state,
                resume_from=self.resume_from,
                stop_requested=self.stop_requested,
            )
            trainer = _Experiment(self.settings, make_trainer, self.log.run.logs)._setup_trainer()
            asyncio.run(trainer.train())
        finally:
            with contextlib.suppress(RecruiterError, RayError):
                usage = scorer.usage_state()
                if usage is not None:
                    self.judge.usage.load_state(usage)
            scorer.close()

    def _usage(self) -> dict[str, Any] | None:
        path = self.log.run.judge_usage
        return json.loads(path.read_text(encoding="utf-8")) if self.resume_from and path.is_file() else None

    def _explained(self, error: Exception) -> EngineError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        cause = next(
            (line for line in reversed(lines) if "Error" in line or "error" in line), lines[-1] if lines else ""
        )
        advice = "run the same command again to continue"
        if "out of memory" in str(error).lower():
            advice = (
                "lower trainer.micro_train_batch_size_per_gpu or generator.inference_engine.gpu_memory_utilization, or set "
                "trainer.gradient_checkpointing=true, and run it again"
            )
        return EngineError(
            f"A process of the run has failed after step {self.state.step}, which is stored ({type(error).__name__}: "
            f"{cause[:300].rstrip('.')}); look into {short_path(self.log.run.logs)}, then {advice}."
        )


class _Experiment(BasePPOExp):  # type: ignore[misc]
    """SkyRL's experiment with our data, trainer and logs."""

    def __init__(self, settings: SkyRLTrainConfig, make_trainer: Callable[..., QuestionTrainer], logs: Path) -> None:
        self.make_trainer, self.logs = make_trainer, logs
        super().__init__(settings)
        prepare_template(self.tokenizer, settings.trainer.policy.model.path)

    def get_train_dataset(self) -> None:
        """Nothing: the roles come from `StepLoader`."""

    def get_eval_dataset(self) -> None:
        """Nothing: `QuestionTrainer.eval` has the roles."""

    def get_tracker(self) -> Tracking | None:
        """SkyRL's tracker where the user named one; `QuestionTrainer` writes our logs."""
        named = self.cfg.trainer.logger
        return None if named == "console" else super().get_tracker()

    def get_trainer(self, **named: Any) -> QuestionTrainer:
        """SkyRL's trainer with our rules."""
        trainer = self.make_trainer(**named)
        log_into(self.logs)
        return trainer


def chat_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model.

    Raises:
        ModelError: the model has no chat template that can be used.
    """
    tokenizer: PreTrainedTokenizerBase = get_tokenizer(model)
    prepare_template(tokenizer, f"trainer.policy.model.path={model}")
    return tokenizer


def longest_prompt(tokenizer: PreTrainedTokenizerBase, roles: Sequence[Role]) -> int:
    """Tokens of the longest prompt, as the policy will see it."""
    prompts = [[dict(message) for message in generator_messages(role)] for role in roles]
    encoded = tokenizer.apply_chat_template(prompts, add_generation_prompt=True, return_dict=False)  # type: ignore[arg-type]
    return max(map(len, encoded))
