"""Judges against people: the scores that a judge gave to questions which people have rated."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from recruiter.config.paths import command_line
from recruiter.errors import DataError
from recruiter.evaluation.results import metrics
from recruiter.evaluation.statistics import spearman
from recruiter.report.plots.style import STYLE, colour, grid_of, save
from recruiter.roles.rows import read_rows
from recruiter.rubric import MAX_SCORE, Rubric, rating_to_score

ByMetric = dict[str, float]
Place = tuple[str, str]  # role id and question


@dataclass
class Rated:
    """A question that people rated.

    Attributes:
        people: one entry a rater, each criterion and the composite from 0 to 10.
        judges: the same, by judge.
    """

    people: list[ByMetric] = field(default_factory=list)
    judges: dict[str, ByMetric] = field(default_factory=dict)


def read_ratings(path: Path, judged: Sequence[Path], rubric: Rubric) -> dict[Place, Rated]:
    """Rated questions, by role and text. Of a rating that was changed later, the revision that counts.

    Args:
        path: what the feedback server exports as JSON, JSONL or parquet: `role_id`, `question`, and the criteria, 1–5.
        judged: what scripts/judge.py wrote for the same questions as JSON, a file a judge; its name is the judge's.
        rubric: what all of them were scored by.

    Raises:
        DataError: naming the file, the row, and what it lacks.
    """
    found: dict[Place, Rated] = defaultdict(Rated)
    for place, row in read_rows(path):
        if row.get("counts", True):
            found[_key(row, place)].people.append(_composed(row, place, rubric, rating_to_score))
    if not found:
        raise DataError(f"{path} holds no ratings.")
    for file in judged:
        for place, row in read_rows(file):
            key = _key(row, place)
            if key in found and row.get("composite") is not None:
                found[key].judges[file.stem] = _composed(row, place, rubric, float)
    return dict(found)


def plot_people(ratings: Mapping[Place, Rated], rubric: Rubric, target: Path) -> list[Path]:
    """People's mean against a judge's score for every criterion and the composite; a row of panels a judge.

    A mark's area is the number of questions that fall on it.

    Raises:
        DataError: no rated question has a judge's score.
    """
    judges = sorted({judge for rated in ratings.values() for judge in rated.judges})
    if not judges:
        raise DataError(
            f"None of the rated questions has a judge's score: have them judged with `{command_line('judge')} --format json`, "
            f"and name its output with --judged."
        )
    panels = list(product(enumerate(judges), metrics(rubric)))
    with plt.rc_context(STYLE):
        figure, axes = grid_of(len(panels), columns=len(panels) // len(judges), width=3.2, height=3.4)
        for place, ((number, judge), metric) in zip(axes, panels, strict=True):
            _against(place, list(ratings.values()), judge, metric, colour(number))
        return save(figure, target)


def _against(axes: Axes, ratings: Sequence[Rated], judge: str, metric: str, ink: str) -> None:
    both = [rated for rated in ratings if judge in rated.judges]
    people = [round(sum(scores[metric] for scores in rated.people) / len(rated.people), 6) for rated in both]
    judged = [rated.judges[judge][metric] for rated in both]
    marks = Counter(zip(people, judged, strict=True))
    sizes = [18 * count for count in marks.values()]
    axes.plot([0, MAX_SCORE], [0, MAX_SCORE], color="black", linewidth=0.8, linestyle=":")
    axes.scatter([x for x, _ in marks], [y for _, y in marks], s=sizes, color=ink, alpha=0.5, linewidths=0)
    correlation = spearman(people, judged)
    told = "" if correlation is None else f", rank correlation {correlation:.2f}"
    axes.set_title(f"{metric}\n{len(both)} questions{told}", fontsize=9)
    axes.set(xlim=(-0.5, MAX_SCORE + 0.5), ylim=(-0.5, MAX_SCORE + 0.5), xlabel="people, 1–5 as 0–10", ylabel=judge)


def _key(row: Mapping[str, Any], place: str) -> Place:
    role = row.get("role_id", "" if "group_id" in row else None)  # the server's groups need not have a role
    if not isinstance(role, str) or not isinstance(row.get("question"), str):
        raise DataError(f"{place}: it has no texts `role_id` and `question`.")
    return role, row["question"]


def _composed(row: Mapping[str, Any], place: str, rubric: Rubric, scale: Callable[[float], float]) -> ByMetric:
    """Criteria on the judges' scale, and their composite."""
    given = row["scores"] if isinstance(row.get("scores"), dict) else row
    try:
        scores = rubric.scores({name: scale(float(given[name])) for name in rubric.names})
    except KeyError as error:
        raise DataError(
            f"{place}: it has no score for {error.args[0]}; name the rubric that it was scored by with --rubric."
        ) from None
    except (TypeError, ValueError) as error:
        raise DataError(f"{place}: its scores cannot be used ({error}).") from None
    return {**scores.values, "composite": scores.composite}
