"""Run a suite of cases, each in a process of its own, and print a table: `python -m benchmarks.run cpu`.

Suites: `cpu` and `gpu` put one step beside TRL's (`--group` of 4 and 8 on a CPU); `rollouts` puts sampling alone beside
transformers' `generate`; `judge` gives our step a judge that takes 2 seconds; `card24` caps the GPU's memory at 24 GB;
`scaling_cpu` and `scaling_gpu` grow group, prompt, answer and batch (`python -m benchmarks.plot` draws them).
Results are appended to `results/benchmarks.jsonl`; `--only ours` measures one side.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recruiter.config import REPOSITORY

STARTER = {"model": str(REPOSITORY / "exports/starter"), "roles": 8, "tokens": 64, "dtype": "float32", "device": "cpu"}
LARGE = {"roles": 64, "group": 4, "tokens": 96, "dtype": "bfloat16", "device": "cuda", "steps": 5}
AXES_CPU = {"roles": (2, 4, 8), "group": (2, 4, 8, 16), "prompt": (110, 300, 1000), "tokens": (32, 64, 128, 256)}
AXES_GPU = {"roles": (8, 16, 32, 64), "group": (2, 4, 8, 16), "prompt": (110, 300, 1000), "tokens": (32, 96, 256)}
TRL_CPU = {"side": "trl", "steps": 1, "micro_batch": 8}
TRL_GPU = {"side": "trl", "vllm": True, "steps": 3}


def scaling(base: dict[str, Any], axes: dict[str, tuple[int, ...]], peer: dict[str, Any]) -> list[dict[str, Any]]:
    """One measure of the work grown at a time, for both sides."""
    points = {tuple({**base, axis: value}.items()) for axis, values in axes.items() for value in values}
    return [{**dict(point), **side} for point in sorted(points) for side in ({"side": "ours"}, peer)]


SUITES: dict[str, list[dict[str, Any]]] = {
    "cpu": [
        case
        for group in (4, 8)
        for case in (
            {**STARTER, "side": "ours", "group": group, "steps": 2},
            {**STARTER, **TRL_CPU, "group": group},
        )
    ],
    "rollouts": [{**STARTER, "side": side, "group": 4, "steps": 2} for side in ("rollouts", "generate")],
    "gpu": [
        {**LARGE, "side": "ours"},
        {**LARGE, **TRL_GPU, "micro_batch": 16},
        {**LARGE, **TRL_GPU, "micro_batch": 32, "liger": True},
        {**LARGE, **TRL_GPU, "micro_batch": 64, "gradient_checkpointing": True},
    ],
    "judge": [
        {**LARGE, "side": "ours", "judge_seconds": seconds, "judge_concurrency": at_once}
        for seconds, at_once in ((0.0, 256), (2.0, 256), (2.0, 64))
    ],
    "scaling_cpu": scaling(
        {**STARTER, "roles": 2, "group": 4, "tokens": 32, "prompt": 180, "steps": 1, "threads": 1},
        AXES_CPU,
        {"side": "trl"},
    ),
    "scaling_gpu": scaling({**LARGE, "roles": 32, "prompt": 180, "steps": 2}, AXES_GPU, {**TRL_GPU, "micro_batch": 16}),
    "card24": [{**LARGE, "side": "ours", "memory_gb": 24, "steps": 3}],
}


def run_case(case: dict[str, Any]) -> dict[str, Any]:
    """Measure in a new process; its output is shown if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.case", json.dumps(case)], capture_output=True, text=True, cwd=REPOSITORY
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{case} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    result: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--model", help="a model folder instead of the suite's")
    parser.add_argument("--random-weights", metavar="TOKENIZER", help="make --model: Qwen3-4B's shape, this tokenizer")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="instead of the suite's")
    parser.add_argument("--only", metavar="SIDE", help="ours or trl")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "results/benchmarks.jsonl")
    options = parser.parse_args()
    changes = {"model": options.model, "random_weights": options.random_weights, "dtype": options.dtype}
    console = Console()
    table = Table("case", "seconds", "sampling", "training", "tokens", "peak GB")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for case in SUITES[options.suite]:
        if options.only not in (None, case["side"]):
            continue
        case = {**case, **{key: value for key, value in changes.items() if value}}
        console.print(f"running {describe(case)} …", highlight=False)
        measured = run_case(case)
        with options.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(measured) + "\n")
        result = measured["result"]
        seconds = [result.get(key) for key in ("seconds", "seconds_sampling", "seconds_training")]
        tokens = result.get("tokens_sampling", 0) + result.get("tokens_training", 0)
        shown = ["" if number is None else f"{number:.2f}" for number in seconds]
        table.add_row(describe(case), *shown, f"{tokens:,}" if tokens else "", f"{result.get('peak_memory', 0):.1f}")
    console.print(table)


def describe(case: dict[str, Any]) -> str:
    """A case in a few words."""
    shape = f"{case['roles']} × {case['group']} × {case['tokens']}"
    hidden = ("side", "roles", "group", "tokens", "model", "device", "steps", "random_weights", "dtype")
    settings = ", ".join(f"{key}={value}" for key, value in case.items() if key not in hidden)
    return f"{case['side']} {shape}" + (f" ({settings})" if settings else "")


if __name__ == "__main__":
    main()
