"""One GRPO step of the local engine, timed as the trainer's own metrics report it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from benchmarks.workload import peak_memory, reset_peak_memory
from recruiter.config import Config
from recruiter.engines.local import LocalPolicy
from recruiter.judges import Judge
from recruiter.metrics_logger import RunLog
from recruiter.roles import Role
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer


def make_config(
    model_path: str,
    roles: int,
    group_size: int,
    max_tokens: int,
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Config:
    """The peer's settings: LoRA 8, no KL, one update a step, temperature 1, nothing dropped, no validation."""
    config = Config()
    config.trainer.policy.model.path = model_path
    config.trainer.policy.model.dtype, config.trainer.device = dtype, device
    config.trainer.train_batch_size = roles
    config.trainer.eval_interval = 0
    config.trainer.ckpt_interval = 10**9
    config.trainer.max_ckpts_to_keep = 1
    config.trainer.algorithm.zero_variance_filter = False
    config.generator.n_samples_per_prompt = group_size
    config.generator.sampling_params.max_generate_length = max_tokens
    return config


def measure_ours(
    config: Config,
    roles: Sequence[Role],
    steps: int,
    judge: Judge,
    policy: LocalPolicy,
) -> dict[str, Any]:
    """Time `steps` steps over the same roles after one that warms up.

    Returns:
        medians of `seconds`, `seconds_sampling`, `seconds_training` and `cpu_seconds` (of all cores together), all values
        under `samples`, `start_seconds` of the first step, compilation included, `tokens_sampling` and `tokens_training`
        computed in a step, padding included, and `peak_memory` in GB.
    """
    began = time.perf_counter()
    policy.local.stop_ids = [-1]  # every answer as long as the peer's
    computed = _TokenCount(policy)
    config.trainer.max_training_steps = steps + 1
    config.trainer.epochs = steps + 1
    with (
        tempfile.TemporaryDirectory() as folder,
        RunLog(Path(folder), config, judge, steps + 1) as log,
        JudgedGroups(judge) as source,
    ):
        trainer = Trainer(config, policy, source, list(roles), [], log)
        start_seconds = 0.0
        rows: list[dict[str, Any]] = []
        for step in range(1, steps + 2):
            if step == 2:
                reset_peak_memory()
                computed.clear()
                start_seconds = time.perf_counter() - began
            processor = time.process_time()
            rows.append(dict(trainer.step(step)))
            rows[-1]["cpu_seconds"] = time.process_time() - processor
    rows, answers = rows[1:], config.generator
    decoded = len(roles) * answers.n_samples_per_prompt * (answers.sampling_params.max_generate_length - 1)
    samples = {
        "seconds": [row["seconds"] for row in rows],
        "seconds_sampling": [row["seconds_sampling"] for row in rows],
        "seconds_training": [row["seconds"] - row["seconds_sampling"] for row in rows],
        "cpu_seconds": [row["cpu_seconds"] for row in rows],
    }
    return {
        **{name: statistics.median(values) for name, values in samples.items()},
        "samples": samples,
        "tokens_sampling": computed.prefill // steps + decoded,
        "tokens_training": computed.training // steps,
        "start_seconds": start_seconds,
        "peak_memory": peak_memory(),
        "ratio_mean": rows[-1]["rollout_ratio_mean"],
        "ratio_max": rows[-1]["rollout_ratio_max"],
    }


class _TokenCount:
    """Counts what goes through the network outside decoding, which computes one token of every answer at a time."""

    def __init__(self, policy: LocalPolicy) -> None:
        self.clear()
        policy.local.causal_lm.get_input_embeddings().register_forward_pre_hook(self._add_training)
        policy.local.rollout_model.get_input_embeddings().register_forward_pre_hook(self._add_prefill)

    def clear(self) -> None:
        self.training = self.prefill = 0

    def _add_training(self, _module: Any, inputs: tuple[Any, ...]) -> None:
        self.training += inputs[0].numel()

    def _add_prefill(self, _module: Any, inputs: tuple[Any, ...]) -> None:
        self.prefill += inputs[0].numel() if inputs[0].shape[1] > 1 else 0
