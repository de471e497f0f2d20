"""Measurements in a process of their own: `python -m benchmarks.case '[{"side": "ours", …}]'` prints a JSON line each.

Several cases of our side use one policy, so that a large model is loaded and compiled once.

Keys: side (ours, trl, generate, rollouts), model, roles, group, tokens, steps, dtype, device; ours: gpus, judge_seconds,
judge_concurrency; trl: vllm, liger, gradient_checkpointing, micro_batch; memory_gb caps the GPU's memory; prompt makes
prompts of about so many tokens; threads sets torch's number of them.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.workload import FixedTimeJudge, benchmark_roles, random_model

if TYPE_CHECKING:
    from recruiter.config import Config
    from recruiter.engines.local import LocalPolicy


def measure(case: dict[str, Any], policies: list[Any], opened: ExitStack) -> dict[str, Any]:
    """Run one case and return its medians. Our side takes its policy from `policies`, or opens one and puts it there."""
    if case.get("random_weights"):
        random_model(Path(case["model"]), Path(case["random_weights"]))
    if case.get("threads"):
        torch.set_num_threads(case["threads"])
    if case.get("memory_gb"):
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(case["memory_gb"] * 1e9 / total)
    roles = benchmark_roles(case["roles"], case.get("prompt"), Path(case["model"]))
    shape = (case["model"], roles, case["group"], case["tokens"])
    if case["side"] == "trl":
        from benchmarks.peers.trl_step import measure_trl

        names = ("vllm", "liger", "gradient_checkpointing", "micro_batch", "device")
        return measure_trl(*shape, case["dtype"], case["steps"], **{name: case[name] for name in names if name in case})
    from benchmarks.our_step import everywhere, make_config, measure_ours
    from recruiter.engines.parallel import open_policy
    from recruiter.engines.ranks import Ranks

    config = make_config(
        case["model"], case["roles"], case["group"], case["tokens"], case["dtype"], case.get("device", "auto")
    )
    config.trainer.gradient_checkpointing = case.get("gradient_checkpointing")
    if case["side"] == "ours":
        judge = FixedTimeJudge(case.get("judge_seconds", 0.0), case.get("judge_concurrency", 256))
        if not policies:
            config.trainer.gpus = case.get("gpus", 1)
            ranks = opened.enter_context(Ranks.of_run(config))
            policies.append(opened.enter_context(open_policy(config, None, ranks)))
        everywhere(policies[0], partial(_configure, config=config))
        return measure_ours(config, roles, case["steps"], judge, policies[0])
    from benchmarks.rollouts import measure_generate_peer, measure_our_rollouts

    return (measure_our_rollouts if case["side"] == "rollouts" else measure_generate_peer)(config, roles, case["steps"])


def _configure(policy: LocalPolicy, config: Config) -> None:
    policy.config = config


def main() -> None:
    policies: list[Any] = []
    with ExitStack() as opened:
        for case in json.loads(sys.argv[1]):
            result = measure(case, policies, opened)
            if torch.cuda.is_available():
                result["device"] = torch.cuda.get_device_name()
            print("RESULT " + json.dumps({"case": case, "result": result}), flush=True)


if __name__ == "__main__":
    main()
