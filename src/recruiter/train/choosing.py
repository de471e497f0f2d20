"""Which groups of a step people are asked about, where judges score the rest (`judges` with people, `human_feedback.ask`).

A group is worth a person's time where judges disagree about its order, or see no clear one. For two questions a and b of a
group, with c_j the composite that judge j gives and s_j how far that judge's composites spread within the step's groups:

    clarity(a, b) = |mean over judges of tanh((c_j(a) - c_j(b)) / s_j)|
    uncertainty   = 1 - mean over the group's pairs of clarity(a, b)

Judges that contradict one another cancel in the mean; judges that all see a small difference leave a small one. A group that
judges could not score is the most uncertain, since nothing else can fill it in.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from itertools import combinations

from recruiter.rubric import Judgement

SMALLEST_SPREAD = 0.05  # points of composite; below it differences are noise


def choose_groups(
    judged: Sequence[Sequence[Judgement]], share: float, by_uncertainty: bool, seed: int, step: int
) -> list[int]:
    """The indices of the groups that people are asked about, at least one.

    Args:
        judged: what judges say of each group's questions; `parts` holds what single judges say, where there are several.
        share: of the groups.
        by_uncertainty: the most uncertain ones; else any, as seed and step decide.
    """
    count = min(len(judged), max(1, round(share * len(judged))))
    order = list(range(len(judged)))
    random.Random(f"{seed}/{step}/people").shuffle(order)
    if by_uncertainty:
        uncertain = uncertainties(judged)
        order.sort(key=lambda index: -uncertain[index])  # of equals, the one that was drawn first
    return sorted(order[:count])


def uncertainties(judged: Sequence[Sequence[Judgement]]) -> list[float]:
    """How unclear judges leave the order of each group, in [0, 1]."""
    composites = [_composites(group) for group in judged]
    spreads = _spreads(composites)
    found = []
    for group in composites:
        scored = [by_judge for by_judge in group if by_judge]
        clarities = [
            abs(
                statistics.fmean(
                    math.tanh((one[name] - other[name]) / spreads[name]) for name in one.keys() & other.keys()
                )
            )
            for one, other in combinations(scored, 2)
            if one.keys() & other.keys()
        ]
        found.append(1.0 - statistics.fmean(clarities) if clarities else 1.0)
    return found


def _composites(group: Sequence[Judgement]) -> list[dict[str, float]]:
    """The composite of each judge, by its name, of each question; empty where the question has no score."""
    found = []
    for judgement in group:
        parts = judgement.parts or {"judge": judgement}
        given = {name: part.scores.composite for name, part in parts.items() if part.scores is not None}
        found.append(given if judgement.scores is not None else {})
    return found


def _spreads(composites: Sequence[Sequence[dict[str, float]]]) -> dict[str, float]:
    """How far each judge's composites lie from the mean of their group, over all groups: the root of the mean square."""
    away: dict[str, list[float]] = {}
    for group in composites:
        for name in {name for by_judge in group for name in by_judge}:
            values = [by_judge[name] for by_judge in group if name in by_judge]
            mean = statistics.fmean(values)
            away.setdefault(name, []).extend((value - mean) ** 2 for value in values)
    return {name: max(SMALLEST_SPREAD, math.sqrt(statistics.fmean(squares))) for name, squares in away.items()}
