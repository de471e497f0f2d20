"""How far judges can be believed: one judge asked twice, and two judges asked about the same questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from recruiter.evaluation.estimates import Agreement, Consistency
from recruiter.evaluation.records import SampleRecord
from recruiter.evaluation.statistics import TIE, spearman

CLOSE = 0.5  # points of the composite that judging twice may differ by without anybody minding


def consistency(first: Sequence[float], second: Sequence[float]) -> Consistency:
    """Figures of composites (n,) that one judge gave to the same questions at two times."""
    differences = [abs(a - b) for a, b in zip(first, second, strict=True)]
    return Consistency(
        questions=len(differences),
        within_half=sum(d <= CLOSE + TIE for d in differences) / len(differences) if differences else None,
        mean_absolute_difference=sum(differences) / len(differences) if differences else None,
        spearman=spearman(first, second),
    )


def agreements(judges: Sequence[str], samples: Sequence[SampleRecord]) -> list[Agreement]:
    """Every two judges compared on the questions that both scored."""
    return [_agreement(judge, other, samples) for judge, other in combinations(judges, 2)]


def _agreement(judge: str, other: str, samples: Sequence[SampleRecord]) -> Agreement:
    by_place: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for sample in samples:
        scores = [composite(sample, name) for name in (judge, other)]
        if scores[0] is not None and scores[1] is not None:
            by_place[sample.role_id, sample.sample].append((scores[0], scores[1]))
    pairs = [pair for place in by_place.values() for pair in place]
    orders = [
        ((a[0] > b[0]) == (a[1] > b[1]))
        for place in by_place.values()
        for a, b in combinations(place, 2)
        if abs(a[0] - b[0]) > TIE and abs(a[1] - b[1]) > TIE
    ]
    return Agreement(
        judges=(judge, other),
        questions=len(pairs),
        spearman=spearman([a for a, _ in pairs], [b for _, b in pairs]),
        mean_difference=sum(a - b for a, b in pairs) / len(pairs) if pairs else None,
        preferences=len(orders),
        same_preference=sum(orders) / len(orders) if orders else None,
    )


def composite(sample: SampleRecord, judge: str) -> float | None:
    """A judge's composite of a sample, if it has one."""
    judgement = sample.judgements.get(judge)
    return judgement.scores["composite"] if judgement and judgement.scores else None
