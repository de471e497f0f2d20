"""Plots of what runs and evaluations left behind. Every point is a stored figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from recruiter.errors import DataError
from recruiter.evaluation import load_results
from recruiter.metrics_logger import read_jsonl
from recruiter.rubric import CRITERION_NAMES, MAX_SCORE

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#9c6b4e")
STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 10,
}


def plot_training(run: Path, target: Path) -> Path:
    """Reward, criteria, and length over steps from a run's metrics.

    Raises:
        DataError: the folder holds no metrics.
    """
    path = run / "metrics.jsonl"
    rows = [row for row in read_jsonl(path) if row["reward_mean"] is not None] if path.is_file() else []
    if not rows:
        raise DataError(f"There are no metrics of scored steps at {path}; name a run's folder with --run.")
    steps = [row["step"] for row in rows]
    with plt.rc_context(STYLE):
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), constrained_layout=True)
        means, spreads = [row["reward_mean"] for row in rows], [row["reward_std"] or 0.0 for row in rows]
        band = (
            [m - s for m, s in zip(means, spreads, strict=True)],
            [m + s for m, s in zip(means, spreads, strict=True)],
        )
        left.fill_between(steps, *band, color=COLOURS[0], alpha=0.15, linewidth=0, label="spread within groups")
        left.plot(steps, means, color=COLOURS[0], marker=".", label="reward")
        validated = [(row["step"], row["validation_reward"]) for row in rows if row.get("validation_reward")]
        if validated:
            left.plot(*zip(*validated, strict=True), "D", color=COLOURS[2], label="validation")
        left.set(title="Reward", xlabel="step", ylim=(0, 1))
        left.legend(frameon=False, loc="upper left")
        for name, colour in zip(CRITERION_NAMES, COLOURS, strict=False):
            middle.plot(steps, [row[name] for row in rows], color=colour, label=name)
        middle.set(title="Judge's criteria", xlabel="step", ylim=(0, MAX_SCORE))
        middle.legend(frameon=False, loc="upper left")
        right.plot(steps, [row["length_mean"] for row in rows], color=COLOURS[3])
        right.set(title="Mean length in tokens", xlabel="step", ylim=(0, None))
        return _save(figure, target)


def plot_scores(results: Path, target: Path) -> Path:
    """Mean scores with 95% intervals for every model of an evaluation.

    Raises:
        DataError: there are no results.
    """
    models = load_results(results)["models"]
    if not models:
        raise DataError(f"There are no results at {results}; make some with scripts/eval.py.")
    names = (*CRITERION_NAMES, "composite")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 3.8), constrained_layout=True)
        width = 0.8 / len(models)
        for index, (model, result) in enumerate(models.items()):
            scores = [result["summary"]["scores"][name] or {"mean": 0, "low": 0, "high": 0} for name in names]
            means = [score["mean"] for score in scores]
            errors = [[s["mean"] - s["low"] for s in scores], [s["high"] - s["mean"] for s in scores]]
            places = [position - 0.4 + (index + 0.5) * width for position in range(len(names))]
            colour = COLOURS[index % len(COLOURS)]
            axes.bar(places, means, width * 0.92, yerr=errors, capsize=3, color=colour, label=model)
        axes.set_xticks(range(len(names)), names)
        axes.set(ylim=(0, MAX_SCORE), ylabel="score", title="Held-out roles, mean score with 95% interval")
        axes.legend(frameon=False, ncols=len(models), loc="upper left")
        return _save(figure, target)


def _save(figure: Figure, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=150)
    plt.close(figure)
    return target
