"""Run a suite of cases, each in a process of its own, and print a table: `python -m benchmarks.run cpu`.

Suites: `cpu` and `gpu` put one step beside TRL's (`--group` of 4 and 8 on a CPU); `rollouts` puts sampling alone beside
transformers' `generate`; `judge` gives our step a judge that takes 2 seconds; `card24` caps the GPU's memory at 22 GB;
`scaling_cpu` and `scaling_gpu` grow group, prompt, answer and batch (`python -m benchmarks.plot` draws them).
Results are appended to `results/benchmarks.jsonl`; `--only ours` measures one side, `--gpus 2` has ours share its steps
between two GPUs.
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

from benchmarks import REPOSITORY

STARTER = {"model": str(REPOSITORY / "exports/starter"), "roles": 8, "tokens": 64, "dtype": "float32", "device": "cpu"}
LARGE = {"roles": 64, "group": 4, "tokens": 96, "dtype": "bfloat16", "device": "cuda", "steps": 5}
AXES_CPU = {"roles": (2, 4, 8), "group": (2, 4, 8, 16), "prompt": (110, 300, 1000), "tokens": (32, 64, 128, 256)}
AXES_GPU = {"roles": (8, 16, 32, 64), "group": (2, 4, 8, 16), "prompt": (110, 300, 1000), "tokens": (32, 96, 256)}
PEER_AXES_GPU = {axis: values[-1:] for axis, values in AXES_GPU.items()}  # each of its starts takes a minute and a half
TRL_CPU = {"side": "trl", "steps": 1, "micro_batch": 8}
TRL_GPU = {"side": "trl", "vllm": True, "steps": 3}


def scaling(base: dict[str, Any], axes: dict[str, tuple[int, ...]], side: dict[str, Any]) -> list[dict[str, Any]]:
    """Cases of one side in which one measure of the work grows at a time."""
    points = {tuple({**base, axis: value}.items()) for axis, values in axes.items() for value in values}
    return [{**dict(point), **side} for point in sorted({tuple(base.items()), *points})]


def _fitting(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The largest micro-batch that the peer's memory takes: 16 rows of 280 tokens, fewer of longer ones."""
    return [
        {**case, "micro_batch": next(n for n in (16, 8, 4) if n * (case["prompt"] + case["tokens"]) <= 16 * 280)}
        for case in cases
    ]


_SMALL = {**STARTER, "roles": 2, "group": 4, "tokens": 32, "prompt": 180, "steps": 1, "threads": 1}
_LARGE = {**LARGE, "roles": 32, "prompt": 180, "steps": 2}
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
        {**LARGE, **TRL_GPU, "micro_batch": 16, "liger": True},
        {**LARGE, **TRL_GPU, "micro_batch": 64, "gradient_checkpointing": True},
    ],
    "judge": [
        {**LARGE, "side": "ours", "judge_seconds": seconds, "judge_concurrency": at_once}
        for seconds, at_once in ((0.0, 256), (2.0, 256), (2.0, 64))
    ],
    "scaling_cpu": [
        *scaling(_SMALL, AXES_CPU, {"side": "ours"}),
        *scaling(_SMALL, AXES_CPU, {"side": "trl"}),
    ],
    "scaling_gpu": [
        *scaling(_LARGE, AXES_GPU, {"side": "ours"}),
        *_fitting(scaling(_LARGE, PEER_AXES_GPU, {**TRL_GPU, "liger": True})),
    ],
    "card24": [{**LARGE, "side": "ours", "memory_gb": 22, "steps": 3}],
}


def run_cases(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measure in a new process; what failed is said and left out."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.case", json.dumps(cases)], capture_output=True, text=True, cwd=REPOSITORY
    )
    lines = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if len(lines) < len(cases):
        last_words = [line for line in done.stderr.splitlines() if "Error" in line][-1:] or [done.stderr[-2000:]]
        print(f"{describe(cases[len(lines)])} failed: {last_words[0]}")
    return [json.loads(line) for line in lines]


def processes(cases: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Cases of our side on one GPU share a process, and so one start; all others have one of their own."""
    shared = [c for c in cases if (c["side"], c["device"]) == ("ours", "cuda") and not c.get("memory_gb")]
    return [*([shared] if shared else []), *([case] for case in cases if case not in shared)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--model", help="a model folder instead of the suite's")
    parser.add_argument("--random-weights", metavar="TOKENIZER", help="make --model: Qwen3-4B's shape, this tokenizer")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="instead of the suite's")
    parser.add_argument("--gpus", type=int, help="processes of our side, one a GPU")
    parser.add_argument("--only", metavar="SIDE", help="ours or trl")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "results/benchmarks.jsonl")
    options = parser.parse_args()
    changes = {"model": options.model, "random_weights": options.random_weights, "dtype": options.dtype}
    console = Console()
    table = Table("case", "seconds", "sampling", "training", "tokens", "peak GB")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    wanted = [{**case, **{k: v for k, v in changes.items() if v}} for case in SUITES[options.suite]]
    if options.gpus:
        wanted = [{**case, "gpus": options.gpus} if case["side"] == "ours" else case for case in wanted]
    for cases in processes([case for case in wanted if options.only in (None, case["side"])]):
        console.print(f"running {', '.join(map(describe, cases))} …", highlight=False)
        for measured in run_cases(cases):
            with options.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(measured) + "\n")
            table.add_row(describe(measured["case"]), *_figures(measured["result"]))
    console.print(table)


def _figures(result: dict[str, Any]) -> list[str]:
    seconds = [result.get(key) for key in ("seconds", "seconds_sampling", "seconds_training")]
    tokens = result.get("tokens_sampling", 0) + result.get("tokens_training", 0)
    shown = ["" if number is None else f"{number:.2f}" for number in seconds]
    return [*shown, f"{tokens:,}" if tokens else "", f"{result.get('peak_memory', 0):.1f}"]


def describe(case: dict[str, Any]) -> str:
    """A case in a few words."""
    shape = f"{case['roles']} × {case['group']} × {case['tokens']}"
    hidden = ("side", "roles", "group", "tokens", "model", "device", "steps", "random_weights", "dtype")
    settings = ", ".join(f"{key}={value}" for key, value in case.items() if key not in hidden)
    return f"{case['side']} {shape}" + (f" ({settings})" if settings else "")


if __name__ == "__main__":
    main()
