"""A bounded tournament of a group's questions: who meets whom, and what share each one wins.

Every question meets `rounds` others, drawn by the circle method, so nobody meets anybody twice. A match is two comparisons,
one in each order: language models prefer what they see first. A match of which one answer is missing does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recruiter.judges.comparing import Preference
from recruiter.rubric import MAX_SCORE, Judgement, Scores

ROUNDS = 3
FIGURE = "win_share"
_POINTS = {"first": 1.0, "tie": 0.5, "second": 0.0}
Pair = tuple[str, str]


def matches(questions: Sequence[str], rounds: int) -> list[Pair]:
    """Who meets whom. With an odd number of questions one rests in each round, so there are two rounds at least."""
    seats: list[str | None] = [*questions, *([None] if len(questions) % 2 else [])]
    rounds = min(max(rounds, 1 + len(questions) % 2), len(seats) - 1)
    found: list[Pair] = []
    for _ in range(rounds):
        for one, other in zip(seats, reversed(seats[len(seats) // 2 :]), strict=False):
            if one is not None and other is not None:
                found.append((one, other))
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return found


def win_shares(
    questions: Sequence[str], played: Sequence[Pair], preferences: Mapping[Pair, Preference]
) -> dict[str, Judgement]:
    """Ten times the share of its comparisons that each question won, ties half; unscored where no match was decided.

    Args:
        preferences: by the pair in the order in which it was shown; every match in both.
    """
    points: dict[str, list[float]] = {question: [] for question in questions}
    failures: dict[str, str] = {}
    for one, other in played:
        both = preferences[one, other], preferences[other, one]
        if failure := next((each.failure for each in both if each.preferred is None), None):
            failures |= {one: failure, other: failure}
            continue
        won = [_POINTS[str(both[0].preferred)], 1.0 - _POINTS[str(both[1].preferred)]]
        points[one] += won
        points[other] += [1.0 - point for point in won]
    return {question: _judgement(own, failures.get(question)) for question, own in points.items()}


def _judgement(points: Sequence[float], failure: str | None) -> Judgement:
    if not points:
        return Judgement.unscored(failure or "no match of it was decided")
    share = sum(points) / len(points)
    said = f"Won {sum(points):g} of {len(points)} comparisons with {len(points) // 2} others of its group."
    return Judgement(Scores.measured(FIGURE, MAX_SCORE * share), said)
