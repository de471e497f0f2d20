"""What raters are asked to do with a group. On the page and in the API each task is scales of whole numbers:

    score        each criterion of each question, 1 to 5
    rank         `place` of each question, 1 for the best; equal places are ties
    best_worst   `place` of each question: 1 for the best, 3 for the worst, 2 for those between
    pairs        `better` of each pair, "1-2" for the first and the second question: 1 the first, 3 the second, 2 neither

Scores are stored as they are given. What the other tasks say is stored as comparisons of two questions, from which
`recruiter.reward.order_rewards` makes rewards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import RowMapping

from feedback.errors import Refusal
from feedback.rubric import check_criteria
from recruiter.rubric import MAX_RATING, MIN_RATING, Rubric

Task = Literal["score", "rank", "best_worst", "pairs"]
PLACE, BETTER = "place", "better"  # the scales of tasks that compare
FIRST, MIDDLE, LAST = 1, 2, 3
Scores = dict[str, int]  # scale -> number
Comparisons = dict[tuple[int, int], int]  # candidates, the lower number first -> 1 the first, -1 the second, 0 neither
Remark = tuple[str, str, bool]  # comment, better wording, makes no sense


@dataclass(frozen=True)
class Answer:
    """What a rater says of a group, by candidate id (of pairs: by both ids); one set for all if all are scored alike."""

    scores: dict[str, Scores]
    all_equal: bool = False
    note: str = ""
    remarks: dict[str, Remark] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """The same by candidate: scores, or comparisons.

    Attributes:
        shown: candidates in the order in which the rater sees them.
    """

    task: Task
    shown: Sequence[int]
    scores: dict[int, Scores]
    comparisons: Comparisons
    remarks: dict[int, Remark]
    note: str = ""
    said_equal: bool = False

    @property
    def all_equal(self) -> bool:
        """Whether the rater sees no difference."""
        return self.said_equal or (self.task != "score" and not any(self.comparisons.values()))

    def as_given(self) -> dict[str, Any]:
        """The answer as the page gives it."""
        names = {candidate: str(position) for position, candidate in enumerate(self.shown, 1)}
        ratings: dict[str, Scores]
        if self.task == "score":
            ratings = {names[candidate]: self.scores[candidate] for candidate in self.shown if candidate in self.scores}
        elif self.task == "pairs":
            ratings = {
                f"{one}-{other}": {
                    BETTER: MIDDLE - _preferred(self.comparisons, self.shown[one - 1], self.shown[other - 1])
                }
                for one, other in pairs_of(len(self.shown))
            }
        else:
            places = places_of(self.comparisons, len(self.shown))
            if self.task == "best_worst":
                last = max(places.values())
                places = {c: FIRST if p == 1 < last else LAST if p == last > 1 else MIDDLE for c, p in places.items()}
            ratings = {names[candidate]: {PLACE: places[candidate]} for candidate in self.shown}
        remarks = {
            names[candidate]: {"comment": comment, "improved": improved, "no_sense": no_sense}
            for candidate, (comment, improved, no_sense) in self.remarks.items()
        }
        return {"ratings": ratings, "all_equal": self.said_equal, "note": self.note, "remarks": remarks}


def read(task: Task, rubric: Rubric, shown: Sequence[int], answer: Answer) -> Content:
    """An answer by candidate.

    Raises:
        Refusal: 422, something is missing, unknown, or cannot be said in this task.
    """
    ids = [str(position) for position in range(1, len(shown) + 1)]
    if unknown := [candidate_id for candidate_id in answer.remarks if candidate_id not in ids]:
        raise Refusal(422, "invalid", f"There is no candidate {unknown[0][:40]!r} in this group to remark on.")
    remarks = {shown[int(candidate_id) - 1]: remark for candidate_id, remark in answer.remarks.items()}
    if task == "score":
        return Content(task, shown, _scores(rubric, shown, ids, answer), {}, remarks, answer.note, answer.all_equal)
    if answer.all_equal:
        raise Refusal(422, "invalid", "all_equal is said of scores; give every question the same place instead.")
    if task == "pairs":
        ids = [f"{one}-{other}" for one, other in pairs_of(len(shown))]
    scale, highest = (BETTER, LAST) if task == "pairs" else (PLACE, len(shown) if task == "rank" else LAST)
    given = {name: _only(scale, highest, name, values) for name, values in answer.scores.items()}
    _check_ids(ids, given)
    if task == "pairs":
        found = {
            (shown[one - 1], shown[other - 1]): MIDDLE - given[f"{one}-{other}"] for one, other in pairs_of(len(shown))
        }
    else:
        places = {candidate: given[str(position)] for position, candidate in enumerate(shown, 1)}
        if task == "best_worst":
            _check_best_and_worst(list(places.values()))
        is_partial = task == "best_worst" and set(places.values()) != {MIDDLE}  # of those between nothing is said
        found = {
            (one, other): (places[one] < places[other]) - (places[one] > places[other])
            for one in shown
            for other in shown
            if one < other and not (is_partial and places[one] == places[other] == MIDDLE)
        }
    ordered = {(min(pair), max(pair)): value if pair[0] < pair[1] else -value for pair, value in found.items()}
    return Content(task, shown, {}, ordered, remarks, answer.note)


def pairs_of(count: int) -> list[tuple[int, int]]:
    """Which places on the page are compared: all pairs of up to five, else each with the two before and after it.

    Every question stands first as often as second, give or take one.
    """
    found: dict[frozenset[int], tuple[int, int]] = {}
    for step in (1, 2):
        for one in range(count):
            other = (one + step) % count
            if one != other:
                found.setdefault(frozenset((one, other)), (one + 1, other + 1))
    return list(found.values())


def net_wins(comparisons: Mapping[tuple[int, int], int], count: int) -> list[int]:
    """How many more candidates each one beats than beat it."""
    wins = [0] * count
    for (first, second), preferred in comparisons.items():
        wins[first] += preferred
        wins[second] -= preferred
    return wins


def places_of(comparisons: Mapping[tuple[int, int], int], count: int) -> dict[int, int]:
    """The place of each candidate, 1 for the best, equal ones alike."""
    wins = net_wins(comparisons, count)
    order = sorted(set(wins), reverse=True)
    return {candidate: order.index(net) + 1 for candidate, net in enumerate(wins)}


def by_rating(rows: Iterable[RowMapping]) -> dict[int, Comparisons]:
    """Stored comparisons of each rating."""
    found: dict[int, Comparisons] = defaultdict(dict)
    for row in rows:
        found[row["rating_id"]][row["first"], row["second"]] = row["preferred"]
    return found


def _preferred(comparisons: Comparisons, one: int, other: int) -> int:
    return comparisons[one, other] if one < other else -comparisons[other, one]


def _scores(rubric: Rubric, shown: Sequence[int], ids: list[str], answer: Answer) -> dict[int, Scores]:
    for candidate_id, scores in answer.scores.items():
        check_criteria(rubric, scores, f"Candidate {candidate_id[:40]}")
        if wrong := next((name for name, value in scores.items() if not MIN_RATING <= value <= MAX_RATING), None):
            raise Refusal(
                422, "invalid", f"{wrong} of candidate {candidate_id[:40]} must be from {MIN_RATING} to {MAX_RATING}."
            )
    if answer.all_equal:
        if not answer.scores or len({tuple(s[n] for n in rubric.names) for s in answer.scores.values()}) != 1:
            raise Refusal(422, "invalid", "all_equal takes one set of ratings, which counts for all candidates.")
        return dict.fromkeys(shown, next(iter(answer.scores.values())))
    _check_ids(ids, answer.scores)
    return {candidate: answer.scores[str(position)] for position, candidate in enumerate(shown, 1)}


def _check_ids(ids: Sequence[str], given: Mapping[str, Any]) -> None:
    if missing := [candidate_id for candidate_id in ids if candidate_id not in given]:
        raise Refusal(422, "incomplete", f"Candidate {missing[0]} has no rating; rate all {len(ids)} or skip.")
    if unknown := [candidate_id for candidate_id in given if candidate_id not in ids]:
        raise Refusal(422, "invalid", f"There is no candidate {unknown[0][:40]!r} in this group.")


def _only(scale: str, highest: int, name: str, values: Scores) -> int:
    if set(values) != {scale} or not 1 <= values[scale] <= highest:
        raise Refusal(
            422, "invalid", f"Of {name[:40]} this group asks for {scale!r}, from 1 to {highest}, and nothing else."
        )
    return values[scale]


def _check_best_and_worst(places: list[int]) -> None:
    if (places.count(FIRST), places.count(LAST)) not in ((1, 1), (0, 0)):
        raise Refusal(422, "incomplete", "Name one best and one worst question, or neither if all are alike.")
