"""Measurements in a process of their own: `python -m benchmarks.case '[{"side": "ours", …}]'` prints a JSON line each.

Several cases of our side use one policy, so that a large model is loaded and compiled once.

Keys: side (ours, trl, generate, rollouts), model, roles, group, tokens, steps, dtype, device; ours: judge_seconds,
judge_concurrency; trl: vllm, liger, gradient_checkpointing, micro_batch; memory_gb caps the GPU's memory; prompt makes
prompts of about so many tokens; threads sets torch's number of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.workload import FixedTimeJudge, benchmark_roles, random_model


def measure(case: dict[str, Any], policies: list[Any]) -> dict[str, Any]:
    """Run one case and return its medians. Our side takes its policy from `policies`, or puts one there."""
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
    from benchmarks.our_step import make_config, measure_ours
    from recruiter.engines.local import LocalPolicy

    config = make_config(
        case["model"], case["roles"], case["group"], case["tokens"], case["dtype"], case.get("device", "auto")
    )
    config.trainer.gradient_checkpointing = case.get("gradient_checkpointing")
    if case["side"] == "ours":
        judge = FixedTimeJudge(case.get("judge_seconds", 0.0), case.get("judge_concurrency", 256))
        policies[:] = policies or [LocalPolicy(config)]
        policies[0].config = config
        return measure_ours(config, roles, case["steps"], judge, policies[0])
    from benchmarks.rollouts import measure_generate_peer, measure_our_rollouts

    return (measure_our_rollouts if case["side"] == "rollouts" else measure_generate_peer)(config, roles, case["steps"])


def main() -> None:
    policies: list[Any] = []
    for case in json.loads(sys.argv[1]):
        result = measure(case, policies)
        if torch.cuda.is_available():
            result["device"] = torch.cuda.get_device_name()
        print("RESULT " + json.dumps({"case": case, "result": result}), flush=True)


if __name__ == "__main__":
    main()
