"""From signals to scores: what readers gave questions in which these signals were seen.

`anchors.json` holds questions that two independent language-model readers scored blind, by criterion. For each judge model
the weights of the signals are a ridge regression on them (Hoerl and Kennard 1970), signals standardised. A criterion that
nobody scored there, of a rubric of one's own, is the mean of two figures: the anchors' composite as its signals predict it,
and the rank of its checks among those of the anchors, from 0 to 10.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from recruiter.judges.local.signals import COMMON, Group, Signals, check_names
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE, Rubric

RIDGE = 20.0  # weight of the penalty, in anchors
_COMPOSITE = "composite"


@cache
def anchors() -> tuple[list[Group], list[list[Mapping[str, float]]]]:
    """The anchor questions by role, and the readers' scores by criterion."""
    data = json.loads(Path(__file__).with_name("anchors.json").read_text(encoding="utf-8"))
    groups: list[Group] = [(Role.model_validate(e["role"]), [q["text"] for q in e["questions"]]) for e in data]
    return groups, [[q["scores"] for q in entry["questions"]] for entry in data]


@dataclass(frozen=True)
class Line:
    """A linear prediction from signals."""

    names: list[str]
    means: list[float]
    weights: list[float]
    constant: float

    @classmethod
    def fit(cls, names: Sequence[str], rows: Sequence[Signals], targets: Sequence[float]) -> Line:
        """Ridge regression of the targets (N,) on the named signals."""
        x_NS = np.array([[row[name] for name in names] for row in rows])
        y_N = np.array(targets)
        means, spreads = x_NS.mean(axis=0), x_NS.std(axis=0) + 1e-9
        z_NS = (x_NS - means) / spreads
        weights = np.linalg.solve(z_NS.T @ z_NS + RIDGE * np.eye(len(names)), z_NS.T @ (y_N - y_N.mean()))
        return cls(list(names), means.tolist(), (weights / spreads).tolist(), float(y_N.mean()))

    def predict(self, signals: Signals) -> float:
        """The prediction for one question."""
        parts = zip(self.names, self.means, self.weights, strict=True)
        return self.constant + sum(weight * (signals[name] - mean) for name, mean, weight in parts)


@dataclass(frozen=True)
class Calibration:
    """What makes scores of one judge model's signals.

    Attributes:
        lines: by criterion, and one for the composite.
        checks: for criteria that the anchors have no scores of: the anchors' mean checks, ascending.
    """

    lines: dict[str, Line]
    checks: dict[str, list[float]]

    @classmethod
    def fit(cls, rubric: Rubric, signals: Sequence[Sequence[Signals]]) -> Calibration:
        """Fit to the signals of the anchors, or of their first roles, in the order of `anchors`."""
        rows = [row for group in signals for row in group]
        scores = [score for group in anchors()[1][: len(signals)] for score in group]
        names = check_names(rubric)
        common = list(COMMON)
        has_checks = any(name not in COMMON for name in rows[0])
        composites = [sum(score.values()) / len(score) for score in scores]
        lines = {_COMPOSITE: Line.fit(common, rows, composites)}
        checks = {}
        for criterion in rubric.names:
            own = names[criterion] if has_checks else []
            if all(criterion in score for score in scores):
                lines[criterion] = Line.fit([*common, *own], rows, [score[criterion] for score in scores])
            elif own:
                checks[criterion] = sorted(_mean(row, own) for row in rows)
        return cls(lines, checks)

    def scores(self, rubric: Rubric, signals: Signals) -> dict[str, float]:
        """Scores by criterion, each in [0, 10]."""
        found = {}
        for criterion, own in check_names(rubric).items():
            value = self.lines.get(criterion, self.lines[_COMPOSITE]).predict(signals)
            if known := self.checks.get(criterion):
                rank = MAX_SCORE * bisect.bisect(known, _mean(signals, own)) / len(known)
                value = (value + rank) / 2
            found[criterion] = min(MAX_SCORE, max(0.0, value))
        return found

    def to_json(self) -> dict[str, object]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, dict[str, dict[str, list[float]]]]) -> Calibration:
        """What `to_json` gave."""
        return cls({name: Line(**line) for name, line in data["lines"].items()}, data["checks"])  # type: ignore[arg-type]


def _mean(signals: Signals, names: Sequence[str]) -> float:
    return sum(signals[name] for name in names) / len(names)
