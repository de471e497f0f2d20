"""Draw what the scaling suites measured: `python -m benchmarks.plot` makes docs/images/scaling-{cpu,gpu}.png.

One row a figure (seconds, tokens computed, peak memory), one column for each thing that grows; ours and TRL's on the same
axes; seconds and tokens are logarithmic. Every point is the latest measurement of its case in `results/benchmarks.jsonl`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from benchmarks import REPOSITORY
from benchmarks.run import AXES_CPU, AXES_GPU, SUITES
from recruiter.files import read_jsonl
from recruiter.report.plots.style import COLOURS, STYLE

AXIS_NAMES = {
    "roles": "roles a step",
    "group": "answers a role",
    "prompt": "tokens a prompt",
    "tokens": "tokens an answer",
}
SIDES = {"ours": "ours", "trl": "TRL"}
MEMORY = "peak memory, GB"


def measured(path: Path, suite: str) -> dict[tuple[str, int, str], dict[str, Any]]:
    """(axis, value, side) -> result, for every point of a suite that was measured."""
    names = ("roles", "group", "prompt", "tokens", "side", "device", "threads", "liger", "micro_batch")
    rows = read_jsonl(path) if path.is_file() else []
    latest = {tuple(row["case"].get(name) for name in names): row["result"] for row in rows}
    cases = [case for case in SUITES[suite] if tuple(case.get(name) for name in names) in latest]
    axes = AXES_CPU if suite == "scaling_cpu" else AXES_GPU
    counts = {axis: [case[axis] for case in SUITES[suite]] for axis in axes}
    base = {axis: max(set(values), key=values.count) for axis, values in counts.items()}
    points = {}
    for case in cases:
        for axis in axes:
            if all(case[other] == base[other] for other in axes if other != axis):
                points[axis, case[axis], case["side"]] = latest[tuple(case.get(name) for name in names)]
    return points


def draw(points: dict[tuple[str, int, str], dict[str, Any]], seconds: str, title: str, target: Path) -> None:
    """The grid of curves."""
    figures: dict[str, Callable[[dict[str, Any]], float]] = {
        title: lambda result: result[seconds],
        "tokens computed": lambda result: result["tokens_sampling"] + result["tokens_training"],
        MEMORY: lambda result: result["peak_memory"],
    }
    with plt.rc_context(STYLE):
        grid, panels = plt.subplots(
            len(figures), len(AXIS_NAMES), figsize=(12, 8), sharex="col", sharey="row", constrained_layout=True
        )
        for row, (figure, value) in zip(panels, figures.items(), strict=True):
            for panel, (axis, label) in zip(row, AXIS_NAMES.items(), strict=True):
                for side, colour in zip(SIDES, COLOURS, strict=False):
                    curve = sorted(
                        (at, value(r)) for (name, at, who), r in points.items() if (name, who) == (axis, side)
                    )
                    x, y = [at for at, _ in curve], [height for _, height in curve]
                    panel.plot(x, y, ".-", color=colour, label=SIDES[side])
                panel.set(xscale="log", yscale="linear" if figure == MEMORY else "log")
                ticks = sorted({at for name, at, _ in points if name == axis})
                panel.set_xticks(ticks, [str(tick) for tick in ticks])
                panel.minorticks_off()
                if figure == list(figures)[-1]:
                    panel.set_xlabel(label)
                if axis == next(iter(AXIS_NAMES)):
                    panel.set_ylabel(figure)
        panels[-1][0].set_ylim(bottom=0)
        panels[0][0].legend(frameon=False)
        target.parent.mkdir(parents=True, exist_ok=True)
        grid.savefig(target, dpi=130)
        plt.close(grid)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results/benchmarks.jsonl")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs/images")
    options = parser.parse_args()
    kinds = {"cpu": ("cpu_seconds", "seconds a step, one core"), "gpu": ("seconds", "seconds a step")}
    for kind, (seconds, title) in kinds.items():
        points = measured(options.results, f"scaling_{kind}")
        if not points:
            print(f"nothing measured yet: python -m benchmarks.run scaling_{kind}")
            continue
        draw(points, seconds, title, options.output / f"scaling-{kind}.png")
        print(f"{len(points)} points: {options.output / f'scaling-{kind}.png'}")


if __name__ == "__main__":
    main()
