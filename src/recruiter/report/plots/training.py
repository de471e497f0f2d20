"""Training runs: what their metrics say step by step, several runs in the same axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from recruiter.config.paths import WORKSPACE
from recruiter.errors import DataError
from recruiter.evaluation.records import ModelRecord
from recruiter.evaluation.results import Results
from recruiter.files import short_path
from recruiter.report.plots.style import LINES, STYLE, colour, grid_of, save
from recruiter.rubric import MAX_SCORE, stored_rubric
from recruiter.train.alarm import UNSCORED, WATCH
from recruiter.train.layout import RunFolder
from recruiter.train.rows import MetricsRow, deciding_judges

MOST_REASONS = 5


@dataclass(frozen=True)
class Run:
    """A run's folder, what legends call it, its metrics, one row a step, and the criteria that its judge scored by."""

    folder: Path
    name: str
    rows: Sequence[MetricsRow]
    criteria: tuple[str, ...]

    def series(self, key: str) -> tuple[list[int], list[float]]:
        """Steps at which a metric has a value, and the values."""
        found = [(row["step"], cast(float, row.get(key))) for row in self.rows if row.get(key) is not None]
        return [step for step, _ in found], [value for _, value in found]

    @property
    def watching(self) -> list[str]:
        """The watching judges that have a figure in some step."""
        keys = dict.fromkeys(key for row in self.rows for key in row)
        return [key.removeprefix(WATCH) for key in keys if key.startswith(WATCH) and not key.endswith(UNSCORED)]

    @property
    def alarms(self) -> list[int]:
        """The steps at which an alarm began."""
        sounding = [False, *("alarm" in row for row in self.rows)]
        return [row["step"] for before, row in zip(sounding, self.rows, strict=False) if "alarm" in row and not before]


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """The metrics of training runs, called by their folders' names, or by whole paths where two have the same name.

    Raises:
        DataError: a folder holds no metrics of scored steps.
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [short_path(folder) for folder in folders]
    return [Run(folder, name, _rows(folder), _criteria_of(folder)) for folder, name in zip(folders, names, strict=True)]


def _rows(folder: Path) -> list[MetricsRow]:
    rows = RunFolder(folder).read_metrics()
    if not any(row.get("reward_mean") is not None for row in rows):
        raise DataError(
            f"There are no metrics of scored steps at {RunFolder(folder).metrics}; name a run's folder with --run."
        )
    return rows


def _criteria_of(folder: Path) -> tuple[str, ...]:
    description = RunFolder(folder).read_description()
    return stored_rubric(description.get("rubric") if description else None).names


def plot_training(runs: Sequence[Run], target: Path, results: Sequence[Results] = ()) -> list[Path]:
    """Reward, held-out scores, criteria, shared wording, length and entropy over steps.

    Args:
        results: evaluations; those of a run's checkpoints, or of the model it started from, are drawn at their step.
    """
    held_out = any(run.series("validation_reward")[0] or evaluated(run, results) for run in runs)
    panels: list[Callable[[Axes], None]] = [lambda axes: _reward(axes, runs)]
    if held_out:
        panels.append(lambda axes: _held_out(axes, runs, results))
    panels.append(lambda axes: _criteria(axes, runs))
    for key, title in (
        ("overlap", "Wording shared with other roles"),
        ("length_mean", "Mean length in tokens"),
        ("entropy", "Entropy in nats a token"),
        ("sense", "Log-probability a token, untrained"),
    ):
        if any(run.series(key)[0] for run in runs):
            panels.append(lambda axes, key=key, title=title: _lines(axes, runs, key, title))  # type: ignore[misc]
    with plt.rc_context(STYLE):
        figure, axes = grid_of(len(panels), columns=3)
        for panel, place in zip(panels, axes, strict=True):
            panel(place)
            place.set_xlabel("step")
            place.locator_params(axis="x", integer=True)
        return save(figure, target)


def plot_unscored(runs: Sequence[Run], target: Path) -> list[Path]:
    """What became of each step's questions: scored or rated, or why not. One panel a run.

    Raises:
        DataError: every question of these runs has a score, so there is nothing to show.
    """
    runs = [run for run in runs if any(row["unscored"] for row in run.rows)]
    if not runs:
        raise DataError("Every question of these runs has a score.")
    with plt.rc_context(STYLE):
        figure, axes = grid_of(len(runs), columns=2, width=6)
        for run, place in zip(runs, axes, strict=True):
            _outcomes(place, run)
        return save(figure, target)


def evaluated(run: Run, results: Sequence[Results]) -> list[tuple[str, int, Any]]:
    """(judge, step, estimate of the composite) of a run's checkpoints and of the model it began with (step 0)."""
    found = []
    for each in results:
        for judge, figures in each.figures.items():
            for name, model in each.models.items():
                step, composite = _step_of(model, run), figures[name].scores["composite"]
                if step is not None and composite is not None:
                    found.append((judge, step, composite))
    return sorted(found, key=lambda item: item[:2])


def _step_of(model: ModelRecord, run: Run) -> int | None:
    """At which step of `run` a model is what it was; None if it is something else."""
    if model.training and _same(model.training.run, str(run.folder.resolve())):
        return model.training.step
    description = RunFolder(run.folder).read_description()
    if model.adapter is not None or description is None:
        return None
    base = description["config"]["trainer"]["policy"]["model"]["path"]
    return 0 if _same(model.source, base) else None


def _same(name: str, other: str) -> bool:
    """Whether two names of a folder, or of a model on the Hub, mean the same."""
    return name == other or (WORKSPACE / name).resolve() == (WORKSPACE / other).resolve()


def _reward(axes: Axes, runs: Sequence[Run]) -> None:
    """The reward and what watching judges say, on one scale; an alarm is a line where it began."""
    several, watchers = len(runs) > 1, 0
    for index, run in enumerate(runs):
        key = "reward_level" if run.series("reward_level")[0] else "reward_mean"
        steps, means = run.series(key)
        spread = dict(zip(*run.series("reward_std"), strict=True)) if key == "reward_mean" else {}
        low, high = ([m + sign * spread.get(s, 0.0) for s, m in zip(steps, means, strict=True)] for sign in (-1, 1))
        axes.fill_between(steps, low, high, color=colour(index), alpha=0.12, linewidth=0)
        axes.plot(steps, means, color=colour(index), marker=".", label=run.name)
        for number, name in enumerate(run.watching):
            steps, values = run.series(WATCH + name)
            style, ink = LINES[1 + number % (len(LINES) - 1)], colour(index if several else number + 1)
            label = f"{name}, watching" + (f" {run.name}" if several else "")
            axes.plot(steps, [value / MAX_SCORE for value in values], color=ink, linestyle=style, label=label)
            watchers += 1
        for number, step in enumerate(run.alarms):
            axes.axvline(step, color=colour(index), linestyle=":", label=None if number else "alarm")
    title = "Reward, and what watching judges say" if watchers else "Reward, with the spread within groups"
    axes.set(title=title, ylim=(0, 1))
    axes.legend(loc="best", fontsize=9)


def _held_out(axes: Axes, runs: Sequence[Run], results: Sequence[Results]) -> None:
    several = len(runs) > 1
    for index, run in enumerate(runs):
        suffix = f" of {run.name}" if several else ""
        steps, values = run.series("validation_reward")
        if steps:
            scores = [value * MAX_SCORE for value in values]
            axes.plot(steps, scores, color=colour(index), marker="D", linestyle=":", label="validation" + suffix)
        points = evaluated(run, results)
        for number, judge in enumerate(dict.fromkeys(judge for judge, _, _ in points)):
            mine = [(step, found) for name, step, found in points if name == judge]
            means = [found.mean for _, found in mine]
            low = [found.mean - (found.mean if found.low is None else found.low) for _, found in mine]
            high = [(found.mean if found.high is None else found.high) - found.mean for _, found in mine]
            axes.errorbar(
                [step for step, _ in mine],
                means,
                yerr=[low, high],
                fmt="os^v"[number % 4] + "-",
                capsize=3,
                color=colour(index + len(runs)),
                label=f"evaluation by {judge}{suffix}{_caveat(run, judge)}",
            )
    axes.set(title="Held-out roles, composite", ylim=(0, MAX_SCORE))
    axes.legend(loc="best", fontsize=9)


def _caveat(run: Run, judge: str) -> str:
    description = RunFolder(run.folder).read_description()
    return " (trained it: no evidence)" if description and judge in deciding_judges(description.get("judge")) else ""


def _criteria(axes: Axes, runs: Sequence[Run]) -> None:
    """One run: a colour a criterion. Several: a colour a run, a line style a criterion."""
    names, labelled = list(dict.fromkeys(name for run in runs for name in run.criteria)), set[str]()
    for index, run in enumerate(runs):
        for name in run.criteria:
            alone, number = len(runs) == 1, names.index(name)
            style, label = LINES[0] if alone else LINES[number % len(LINES)], None if name in labelled else name
            labelled.add(name)
            axes.plot(*run.series(name), color=colour(number if alone else index), linestyle=style, label=label)
    axes.set(title="The judge's criteria", ylim=(0, MAX_SCORE))
    axes.legend(loc="best", fontsize=9)


def _lines(axes: Axes, runs: Sequence[Run], key: str, title: str) -> None:
    for index, run in enumerate(runs):
        axes.plot(*run.series(key), color=colour(index), label=run.name)
    axes.set(title=title, ylim=(None, 0) if key == "sense" else (0, None))


def _outcomes(axes: Axes, run: Run) -> None:
    """Stacked bars: scored questions, then the most frequent reasons why there is no score."""
    reasons: Counter[str] = Counter()
    for row in run.rows:
        reasons.update(row["unscored_reasons"])
    frequent = [reason for reason, _ in reasons.most_common(MOST_REASONS)]
    steps = [row["step"] for row in run.rows]
    parts = {"scored": [row["samples"] - row["unscored"] for row in run.rows]}
    parts |= {reason: [row["unscored_reasons"].get(reason, 0) for row in run.rows] for reason in frequent}
    if len(reasons) > len(frequent):
        named = [sum(row["unscored_reasons"].get(reason, 0) for reason in frequent) for row in run.rows]
        parts["other reasons"] = [row["unscored"] - part for row, part in zip(run.rows, named, strict=True)]
    bottom = [0] * len(steps)
    for index, (name, counts) in enumerate(parts.items()):
        label = name if len(name) <= 60 else name[:59] + "…"
        axes.bar(steps, counts, 0.9, bottom=bottom, color=colour(index), label=label)
        bottom = [below + count for below, count in zip(bottom, counts, strict=True)]
    axes.set(title=f"Questions of {run.name}", xlabel="step", ylabel="questions")
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=8)
