"""One GRPO step of the local engine, timed as the trainer's own metrics report it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from benchmarks.workload import peak_memory, reset_peak_memory
from recruiter.config import Config
from recruiter.engines.local import LocalPolicy
from recruiter.engines.parallel import ParallelPolicy
from recruiter.judges import Judge
from recruiter.metrics_logger import RunLog
from recruiter.roles import Role
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer

T = TypeVar("T")
_computed: Counter[str] = Counter()  # tokens, in this process


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
    policy: LocalPolicy | ParallelPolicy,
) -> dict[str, Any]:
    """Time `steps` steps over the same roles after one that warms up.

    Returns:
        medians of `seconds`, `seconds_sampling`, `seconds_training` and `cpu_seconds` (of all cores together), all values
        under `samples`, `start_seconds` of the first step, compilation included, `tokens_sampling` and `tokens_training`
        computed in a step by all processes, padding included, and `peak_memory` in GB of the one that takes most.
    """
    began = time.perf_counter()
    everywhere(policy, _prepare)
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
                everywhere(policy, _begin)
                start_seconds = time.perf_counter() - began
            processor = time.process_time()
            rows.append(dict(trainer.step(step)))
            rows[-1]["cpu_seconds"] = time.process_time() - processor
    rows, answers = rows[1:], config.generator
    training, prefill, peaks = zip(*everywhere(policy, _figures), strict=True)
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
        "tokens_sampling": sum(prefill) // steps + decoded,
        "tokens_training": sum(training) // steps,
        "start_seconds": start_seconds,
        "peak_memory": max(peaks),
        "ratio_mean": rows[-1]["rollout_ratio_mean"],
        "ratio_max": rows[-1]["rollout_ratio_max"],
    }


def everywhere(policy: LocalPolicy | ParallelPolicy, function: Callable[[LocalPolicy], T]) -> list[T]:
    """What a function gives for the policy of every process."""
    return policy.apply(function) if isinstance(policy, ParallelPolicy) else [function(policy)]


def _prepare(policy: LocalPolicy) -> None:
    """Once: have every answer be as long as the peer's, and count what goes through the network outside decoding, which
    computes one token of every answer at a time.
    """
    if policy.local.stop_ids == [-1]:
        return

    def add_training(_module: Any, inputs: tuple[Any, ...]) -> None:
        _computed["training"] += inputs[0].numel()

    def add_prefill(_module: Any, inputs: tuple[Any, ...]) -> None:
        _computed["prefill"] += inputs[0].numel() if inputs[0].shape[1] > 1 else 0

    policy.local.stop_ids = [-1]
    policy.local.causal_lm.get_input_embeddings().register_forward_pre_hook(add_training)
    policy.local.rollout_model.get_input_embeddings().register_forward_pre_hook(add_prefill)


def _begin(_policy: LocalPolicy) -> None:
    reset_peak_memory()
    _computed.clear()


def _figures(_policy: LocalPolicy) -> tuple[int, int, float]:
    return _computed["training"], _computed["prefill"], peak_memory()
