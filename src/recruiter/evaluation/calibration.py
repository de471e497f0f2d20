"""Calibration: what weights and offsets make judges' scores most like people's, found by cross-validation.

Of each criterion c a question's score by people is predicted from the judges' scores of it:

    score_c = offset_c + sum over judges j of weight_jc score_jc

by least squares, with a penalty `strength` on how far the weights are from 1/J each, which is what one has without
people. With few ratings the strength that predicts best is large, and little changes. Folds hold whole groups: what is
reported of a group comes from weights that never saw it.

Agreement is what training uses of scores: the order within a group, as mean Kendall tau-b between people's composite and
the judges', with a 95% interval of the mean over groups (normal). A group in which people see no difference says nothing and
is left out; one in which only the judges see none counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from recruiter.evaluation.estimates import Estimate
from recruiter.evaluation.statistics import TIE, Z
from recruiter.rubric import MAX_SCORE, Rubric

Array = NDArray[np.float64]
FEWEST_GROUPS = 20  # below which five folds say nothing
FOLDS = 5
STRENGTHS = (0.3, 3.0, 30.0, 300.0, 3000.0)  # of the penalty, in squared points of score


@dataclass(frozen=True)
class RatedGroup:
    """N questions of one role, scored from 0 to 10 by people and by J judges on C criteria.

    Attributes:
        people: (N, C).
        judges: (J, N, C).
    """

    people: Array
    judges: Array


@dataclass(frozen=True)
class Weights:
    """What makes a score of judges' scores.

    Attributes:
        offsets: (C,).
        weights: (J, C).
    """

    offsets: Array
    weights: Array

    def apply(self, judges: Array) -> Array:
        """Scores (N, C) from 0 to 10 of judges' scores (J, N, C)."""
        scores: Array = np.clip(self.offsets + np.einsum("jnc,jc->nc", judges, self.weights), 0.0, MAX_SCORE)
        return scores


@dataclass(frozen=True)
class Calibration:
    """Weights of everything, and how far judges agree with people before and after, by cross-validation.

    Attributes:
        before, after: mean tau-b within groups of the judges' plain mean, and of calibrated scores.
        gain: after - before, paired by group.
        more: what twice as many ratings would add to `after`, about: half of what the second half of these added; not
            below 0. None where there are too few to say.
    """

    weights: Weights
    groups: int
    before: Estimate
    after: Estimate
    gain: Estimate
    more: float | None

    @property
    def helps(self) -> bool:
        """Whether calibrated scores agree better with people than plain ones, beyond chance."""
        return self.gain.low is not None and self.gain.low > 0


def tau_b(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two lists of scores (Kendall, "The treatment of ties in ranking problems", 1945).

    Returns:
        None if either has one value only.
    """
    agreeing = first_pairs = second_pairs = 0
    for (a, x), (b, y) in combinations(zip(first, second, strict=True), 2):
        one, other = (a > b) - (a < b), (x > y) - (x < y)
        agreeing += one * other
        first_pairs += one * one
        second_pairs += other * other
    return agreeing / sqrt(first_pairs * second_pairs) if first_pairs and second_pairs else None


def calibrate(rubric: Rubric, groups: Sequence[RatedGroup]) -> Calibration | None:
    """Weights for judges, with what they are worth; None with fewer than 20 groups in which people see a difference.

    Groups are taken in the order given: of ratings over time the second half is the later one.
    """
    weight = np.array([criterion.weight for criterion in rubric.criteria])
    weight = weight / weight.sum()
    kept = [group for group in groups if np.ptp(np.round(group.people @ weight, 6)) > TIE]
    if len(kept) < FEWEST_GROUPS:
        return None
    before = np.array([_agreement(group, group.judges.mean(axis=0), weight) for group in kept])
    after = _cross_validated(kept, weight)
    with_half = _cross_validated(kept, weight, share=0.5) if len(kept) >= 2 * FEWEST_GROUPS else None
    more = None if with_half is None else max(0.0, float((after - with_half).mean()) / 2)
    weights = _fit(kept, _strength(kept, weight))
    return Calibration(weights, len(kept), _mean(before), _mean(after), _mean(after - before), more)


def _mean(values: Array) -> Estimate:
    mean, half = float(values.mean()), float(Z * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean=mean, low=mean - half, high=mean + half, roles=len(values))


def _agreement(group: RatedGroup, scores: Array, weight: Array) -> float:
    """How far scores (N, C) put the questions in people's order."""
    theirs, ours = (np.round(values @ weight, 6).tolist() for values in (group.people, scores))
    return tau_b(theirs, ours) or 0.0


def _folds(count: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices of the groups that weights are fitted to, and of those that they are tried on."""
    order = np.random.default_rng(0).permutation(count)
    return [(np.sort(np.setdiff1d(order, part)), np.sort(part)) for part in np.array_split(order, FOLDS)]


def _cross_validated(groups: Sequence[RatedGroup], weight: Array, share: float = 1.0) -> Array:
    """The agreement of each group (G,) with weights that were fitted to a share of the groups of other folds."""
    found = np.zeros(len(groups))
    for fitted, tried in _folds(len(groups)):
        chosen = np.random.default_rng(1).permutation(fitted)[: max(FOLDS, round(share * len(fitted)))]
        seen = [groups[index] for index in sorted(chosen)]
        weights = _fit(seen, _strength(seen, weight))
        for index in tried:
            found[index] = _agreement(groups[index], weights.apply(groups[index].judges), weight)
    return found


def _strength(groups: Sequence[RatedGroup], weight: Array) -> float:
    """The strength of the penalty with which weights predict people's composites best, in folds of these groups."""
    errors = np.zeros(len(STRENGTHS))
    for fitted, tried in _folds(len(groups)):
        seen = [groups[index] for index in fitted]
        for place, strength in enumerate(STRENGTHS):
            weights = _fit(seen, strength)
            for index in tried:
                away = (weights.apply(groups[index].judges) - groups[index].people) @ weight
                errors[place] += float(((away - away.mean()) ** 2).sum())  # levels of groups teach nothing
    return STRENGTHS[int(errors.argmin())]


def _fit(groups: Sequence[RatedGroup], strength: float) -> Weights:
    """Least squares with a penalty on the distance of each weight from 1/J; offsets are free."""
    judges = np.concatenate([group.judges for group in groups], axis=1)  # (J, Q, C)
    people = np.concatenate([group.people for group in groups])  # (Q, C)
    count = judges.shape[0]
    weights, offsets = np.zeros((count, people.shape[1])), np.zeros(people.shape[1])
    for criterion in range(people.shape[1]):
        x, y = judges[:, :, criterion].T, people[:, criterion]
        x_mean, y_mean = x.mean(axis=0), float(y.mean())
        plain = np.full(count, 1 / count)
        centred, rest = x - x_mean, y - y_mean - (x - x_mean) @ plain
        change = np.linalg.solve(centred.T @ centred + strength * np.eye(count), centred.T @ rest)
        weights[:, criterion] = plain + change
        offsets[criterion] = y_mean - x_mean @ weights[:, criterion]
    return Weights(offsets, weights)
