"""Evaluations: scores with intervals, their distribution, and scores by level; several results files side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from recruiter.config.paths import command_line
from recruiter.errors import DataError
from recruiter.evaluation.estimates import TAIL, Estimate, ModelFigures
from recruiter.evaluation.figures import role_means
from recruiter.evaluation.results import Results
from recruiter.report.plots.style import STYLE, colour, grid_of, save
from recruiter.roles import LEVELS
from recruiter.rubric import MAX_SCORE

BINS = 20


@dataclass(frozen=True)
class Entry:
    """One model under one judge, as it is called in the plots."""

    label: str
    figures: ModelFigures
    composites: list[float]


class Contest:
    """The models of one or several results files, by judge.

    With several files a model's label names its file too; a star says that the judge trained the model.

    Attributes:
        metrics: keys of all scores.

    Raises:
        DataError: no question is scored in any of them, or they are scored by different criteria.
    """

    def __init__(self, results: Sequence[tuple[str, Results]]) -> None:
        self.metrics = results[0][1].metrics
        if other := next((name for name, each in results if each.metrics != self.metrics), None):
            raise DataError(
                f"{results[0][0]} and {other} are scored by different criteria and cannot stand side by side: draw each by "
                f"itself."
            )
        self.judges: dict[str, list[Entry]] = {}
        for name, each in results:
            for judge, models in each.figures.items():
                for model, figures in models.items():
                    mine = [sample for sample in each.samples if sample.model == model]
                    composites = role_means(judge, mine, lambda scores: scores["composite"])
                    label = (f"{name}: {model}" if len(results) > 1 else model) + "*" * figures.judge_trained_it
                    self.judges.setdefault(judge, []).append(Entry(label, figures, list(composites.values())))
        if not any(entry.composites for entries in self.judges.values() for entry in entries):
            raise DataError(f"These results hold no scored question; judge them with `{command_line('eval')}` first.")


def plot_scores(contest: Contest, target: Path) -> list[Path]:
    """Mean of each metric with its 95% interval, and the paired difference to the baseline, for every judge."""
    panels = [(judge, entries, kind) for judge, entries in contest.judges.items() for kind in ("means", "differences")]
    panels = [p for p in panels if p[2] == "means" or any(entry.figures.difference for entry in p[1])]
    most = max(len(entries) for entries in contest.judges.values())
    with plt.rc_context(STYLE):
        figure, axes = grid_of(len(panels), columns=2, width=5.5, height=2.8 + 0.25 * most)
        for (judge, entries, kind), place in zip(panels, axes, strict=True):
            draw = _means if kind == "means" else _differences
            draw(place, judge, entries, contest.metrics)
        return save(figure, target)


def plot_distributions(contest: Contest, target: Path) -> list[Path]:
    """How many roles have which composite (a role's mean where there are several questions); a panel a judge and model."""
    panels = [(judge, index, entry) for judge, entries in contest.judges.items() for index, entry in enumerate(entries)]
    with plt.rc_context(STYLE):
        figure, axes = grid_of(len(panels), columns=3, height=2.4)
        highest = 0.0
        for (judge, index, entry), place in zip(panels, axes, strict=True):
            counts, _, _ = place.hist(
                entry.composites, bins=BINS, range=(0, MAX_SCORE), color=colour(index), edgecolor="white", linewidth=0.5
            )
            highest = max(highest, float(np.max(counts)))
            below = entry.figures.below_5
            told = "nothing scored" if below is None else f"{below.mean:.0%} below {TAIL:g}"
            place.set_title(
                f"{_title(entry.label, judge, [entry])}\n{len(entry.composites)} roles, {told}", fontsize=10
            )
            place.axvline(TAIL, color="black", linewidth=0.8, linestyle=":")
            place.set(xlabel="composite", xlim=(0, MAX_SCORE))
        for place in axes:
            place.set_ylim(0, highest * 1.05 or 1)
        axes[0].set_ylabel("roles")
        return save(figure, target)


def plot_levels(contest: Contest, target: Path) -> list[Path]:
    """Heat maps of the composite by level, and of its difference to the baseline, with the number of roles in each."""
    panels: list[tuple[str, list[str], list[dict[str, Estimate]], bool]] = []
    for judge, entries in contest.judges.items():
        panels.append(
            (_title("Composite", judge, entries), _labels(entries), [e.figures.by_level for e in entries], False)
        )
        compared = [entry for entry in entries if entry.figures.difference]
        levels = [entry.figures.difference.by_level for entry in compared if entry.figures.difference]
        if compared:
            panels.append((_title("Difference to the baseline", judge, compared), _labels(compared), levels, True))
    most = max(len(labels) for _, labels, _, _ in panels)
    with plt.rc_context({**STYLE, "axes.grid": False}):
        figure, axes = grid_of(len(panels), columns=2, width=6, height=1.6 + 0.55 * most)
        for (title, labels, rows, is_difference), place in zip(panels, axes, strict=True):
            _heat_map(place, labels, rows, is_difference)
            place.set_title(title, fontsize=10)
        return save(figure, target)


def _means(axes: Axes, judge: str, entries: Sequence[Entry], metrics: Sequence[str]) -> None:
    """A row of points for each metric, one a model."""
    for index, entry in enumerate(entries):
        offset = _offset(index, len(entries))
        for row, metric in enumerate(metrics):
            label = entry.label if row == len(metrics) - 1 else None
            _point(axes, entry.figures.scores.get(metric), row + offset, index, label)
    axes.set_yticks(range(len(metrics)), metrics)
    axes.set(xlim=(0, MAX_SCORE), ylim=(len(metrics) - 0.5, -0.5), xlabel="score, mean with 95% interval")
    axes.set_title(_title("Held-out roles", judge, entries), fontsize=10)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=9)


def _differences(axes: Axes, judge: str, entries: Sequence[Entry], metrics: Sequence[str]) -> None:
    """The paired difference of each metric to the baseline."""
    for index, entry in enumerate(entries):
        for row, metric in enumerate(metrics):
            found = entry.figures.difference.scores.get(metric) if entry.figures.difference else None
            _point(axes, found, row + _offset(index, len(entries)), index, None, signed=True)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(metrics)), metrics)
    axes.set(ylim=(len(metrics) - 0.5, -0.5), xlabel="difference to the baseline, paired, 95% interval")
    axes.set_title(_title("Differences", judge, entries), fontsize=10)
    axes.margins(x=0.15)


def _point(axes: Axes, found: Estimate | None, row: float, index: int, label: str | None, signed: bool = False) -> None:
    """A mean with its interval and its figure; nothing where there is no estimate."""
    if found is None:
        axes.plot([], [], "o", color=colour(index), label=label)
        return
    low, high = (found.mean if bound is None else bound for bound in (found.low, found.high))
    axes.plot([low, high], [row, row], color=colour(index), linewidth=3, alpha=0.45, solid_capstyle="round")
    axes.plot(found.mean, row, "o", color=colour(index), label=label)
    text = f"{found.mean:+.1f}" if signed else f"{found.mean:.1f}"
    axes.annotate(text, (high, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)


def _heat_map(axes: Axes, labels: Sequence[str], rows: Sequence[dict[str, Estimate]], is_difference: bool) -> None:
    order = list(dict.fromkeys([*LEVELS, *(level for row in rows for level in row)]))
    levels = [level for level in order if any(level in row for row in rows)]
    values = np.array([[row[level].mean if level in row else np.nan for level in levels] for row in rows])
    most = max(MAX_SCORE / 2, float(np.nanmax(np.abs(values)))) if is_difference else MAX_SCORE
    image = axes.imshow(
        values, cmap="RdBu" if is_difference else "YlGnBu", vmin=-most if is_difference else 0, vmax=most, aspect="auto"
    )
    for y, row in enumerate(rows):
        for x, level in enumerate(levels):
            if level in row:
                found = row[level]
                red, green, blue, _ = image.to_rgba(np.array([found.mean]))[0]
                ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
                text = f"{found.mean:+.1f}" if is_difference else f"{found.mean:.1f}"
                axes.text(x, y, f"{text}\n({found.roles})", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(levels)), levels)
    axes.set_yticks(range(len(labels)), labels)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel("level (roles)")


def _title(what: str, judge: str, entries: Sequence[Entry]) -> str:
    """What is drawn by which judge; where it trained one of the models, that its word is no evidence there."""
    trained = any(entry.figures.judge_trained_it for entry in entries)
    return f"{what}, judge {judge}" + ("\n(* trained by this judge: no evidence)" if trained else "")


def _labels(entries: Sequence[Entry]) -> list[str]:
    return [entry.label for entry in entries]


def _offset(index: int, count: int) -> float:
    return (index - (count - 1) / 2) * 0.7 / count
