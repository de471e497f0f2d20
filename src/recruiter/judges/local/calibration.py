"""From what is read to scores: what readers gave to questions in which the same was read.

`anchors.json` holds questions for shipped roles, none of them held out, that independent language-model readers scored
blind, by criterion. For each judge model the weights of its states are a ridge regression on them (Hoerl and Kennard 1970),
states standardised. A criterion that nobody scored there, of a rubric of one's own, is the mean of two figures: the anchors'
composite as its states predict it, and the rank of its checks among those of the anchors, from 0 to 10.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from recruiter.config.paths import ROLES
from recruiter.files import replaced
from recruiter.judges.in_trainer import Group
from recruiter.judges.local.signals import Floats
from recruiter.roles import parse_roles
from recruiter.rubric import MAX_SCORE

RIDGE = 1.0  # weight of the penalty, in anchors, for each dimension of a state


@cache
def anchors() -> tuple[list[Group], dict[str, Floats]]:
    """The anchor questions by role, and the readers' scores (N,) by criterion."""
    data = json.loads(Path(__file__).with_name("anchors.json").read_text(encoding="utf-8"))
    roles = {role.id: role for role in parse_roles(json.loads(ROLES.read_text(encoding="utf-8")), str(ROLES))}
    groups: list[Group] = [(roles[entry["role"]], [q["text"] for q in entry["questions"]]) for entry in data]
    scores = [question["scores"] for entry in data for question in entry["questions"]]
    return groups, {name: np.array([score[name] for score in scores], dtype=np.float32) for name in scores[0]}


@dataclass(frozen=True)
class Calibration:
    """What makes scores of one judge model's states.

    Attributes:
        means: (C,) of the anchors' states.
        weights: (C,) by criterion that readers scored.
        constants: a score at the mean, by criterion.
        checks: for criteria that they did not score: what the checks say of the anchors, ascending.
    """

    means: Floats
    weights: Mapping[str, Floats]
    constants: Mapping[str, float]
    checks: Mapping[str, Floats]

    @classmethod
    def fit(cls, states_NC: Floats, scores: Mapping[str, Floats], checks: Mapping[str, Floats]) -> Calibration:
        """Fit to the states of the anchors.

        Args:
            scores: (N,) by criterion.
            checks: (N,) by criterion without scores.
        """
        means_C, spreads_C = states_NC.mean(axis=0), states_NC.std(axis=0) + 1e-6
        z_NC = ((states_NC - means_C) / spreads_C).astype(np.float64)
        penalised_NN = z_NC @ z_NC.T + RIDGE * z_NC.shape[1] * np.eye(len(z_NC))
        found = {
            name: (z_NC.T @ np.linalg.solve(penalised_NN, y_N - y_N.mean()) / spreads_C).astype(np.float32)
            for name, y_N in scores.items()
        }
        constants = {name: float(y_N.mean()) for name, y_N in scores.items()}
        return cls(means_C, found, constants, {name: np.sort(values) for name, values in checks.items()})

    def scores(self, names: tuple[str, ...], states_NC: Floats, checks: Mapping[str, Floats]) -> list[dict[str, float]]:
        """Scores by criterion in [0, 10], one mapping for each question."""
        away_NC = states_NC - self.means
        known: dict[str, Floats] = {
            name: self.constants[name] + away_NC @ weights_C for name, weights_C in self.weights.items()
        }
        composite_N: Floats = np.mean(list(known.values()), axis=0)
        found = {}
        for name in names:
            values_N = known.get(name, composite_N)
            if name in self.checks:
                ranks_N = np.searchsorted(self.checks[name], checks[name], side="right") / len(self.checks[name])
                values_N = (values_N + MAX_SCORE * ranks_N) / 2
            found[name] = values_N.clip(0.0, MAX_SCORE)
        return [{name: float(values_N[index]) for name, values_N in found.items()} for index in range(len(states_NC))]

    def save(self, path: Path) -> None:
        """Write to a file of NumPy's."""
        parts = {"weights": self.weights, "constants": self.constants, "checks": self.checks}
        named = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        with replaced(path) as part, part.open("wb") as file:
            np.savez(file, means=self.means, **named)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """What `save` wrote.

        Raises:
            OSError, EOFError, ValueError, LookupError, BadZipFile: there is none, or none of this form.
        """
        with path.open("rb") as file, np.load(file) as stored:  # of a damaged file np.load leaves open what it opened
            parts: dict[str, dict[str, Floats]] = {"weights": {}, "constants": {}, "checks": {}}
            for key in stored.files:
                if key != "means":
                    part, name = key.split(".", 1)
                    parts[part][name] = stored[key]
            constants = {name: float(value) for name, value in parts["constants"].items()}
            return cls(stored["means"], parts["weights"], constants, parts["checks"])
