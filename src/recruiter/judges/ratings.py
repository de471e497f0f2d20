"""What people said of questions, as exports of the feedback server hold it: whole groups, for whatever learns from people.

Exports of `ratings`, `comparisons` and `pairs` are read alike, and may stand in one file: a row gives scores, says which of
two questions is preferred, or holds a better wording, which is preferred to the question that it is for.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from recruiter.errors import DataError
from recruiter.prompts import Example, PreferredExample, RatedExample
from recruiter.roles import Role
from recruiter.roles.completing import complete_role
from recruiter.roles.rows import read_rows
from recruiter.rubric import Rubric, rating_to_score

EXAMPLES = 6
PREFERRED = {"first": 1, "neither": 0, "second": -1}


@dataclass
class GroupOfRatings:
    """The questions for one role and what people said of them, one entry a person.

    Attributes:
        questions: scores from 0 to 10 by criterion, by question.
        comparisons: two texts, and 1 if the first was preferred, -1 if the second, 0 if neither; they have no scores.
    """

    role: Role
    questions: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    comparisons: list[tuple[str, str, int]] = field(default_factory=list)

    def means(self, question: str, rubric: Rubric) -> list[float]:
        """The means over people of a question's scores, in the rubric's order."""
        given = self.questions[question]
        return [sum(one[name] for one in given) / len(given) for name in rubric.names]

    def clearest(self) -> tuple[float, str, str] | None:
        """Of two texts that people compared with each other, those furthest apart in how often they were preferred: by how much
        (at most 2), the better one, the worse one.

        Texts that nobody compared with each other are no pair, however far apart they stand.
        """
        said: dict[str, list[int]] = defaultdict(list)
        votes: dict[tuple[str, str], int] = defaultdict(int)
        for first, second, preferred in self.comparisons:
            said[first].append(preferred)
            said[second].append(-preferred)
            votes[first, second] += preferred
            votes[second, first] -= preferred
        pairs = [
            (fmean(said[one]) - fmean(said[other]), one, other) for (one, other), vote in votes.items() if vote > 0
        ]
        return max((pair for pair in pairs if pair[0] > 0), default=None)


def read_ratings(path: Path, rubric: Rubric, roles: Mapping[str, Role]) -> list[GroupOfRatings]:
    """The ratings that count in a file that `/api/export` wrote, in its order.

    Args:
        roles: where ids are looked up, for files without the whole role.

    Raises:
        DataError: naming the line and what is wrong there.
    """
    found: dict[str, GroupOfRatings] = {}
    for place, row in read_rows(path):
        if str(row.get("counts", "true")).lower() in ("false", "0"):
            continue
        group = row.get("group_id")
        if not isinstance(group, str):
            raise DataError(f"{place}: it has no text `group_id`; export the ratings from the page Owner.")
        known = found.setdefault(group, GroupOfRatings(_role(row, roles, place)))
        known.comparisons += _compared(place, row)
        if "chosen" in row or "preferred" in row:
            continue
        try:
            scores = {name: rating_to_score(float(row[name])) for name in rubric.names}
        except KeyError as error:
            raise DataError(f"{place}: it has no rating for {error.args[0]}; name the rubric with --rubric.") from None
        except (TypeError, ValueError) as error:
            raise DataError(f"{place}: its ratings cannot be used ({error}).") from None
        known.questions.setdefault(_text(place, row, "question"), []).append(scores)
    if not found:
        raise DataError(f"{path} holds no ratings.")
    return list(found.values())


def choose_examples(groups: Sequence[GroupOfRatings], rubric: Rubric, count: int = EXAMPLES) -> list[Example]:
    """A few questions for a judge to learn the standard from, each of another role: scored ones from the worst to the best, and
    pairs of which people prefer one, the clearest first. Half of them are pairs where there are enough of both kinds.

    The same ratings give the same examples. Scores are means over people, to a tenth.
    """
    scored = sorted(_scored(groups, rubric), key=lambda one: (one[0], one[1].role.id, one[1].question))
    found = [(group.clearest(), group.role) for group in groups]
    compared = [(pair[0], PreferredExample(role, *pair[1:])) for pair, role in found if pair is not None]
    compared.sort(key=lambda one: (-one[0], one[1].role.id, one[1].better, one[1].worse))
    wanted = max(count // 2, count - len({one.role.id for _, one in scored}))
    pairs: list[PreferredExample] = []
    for _, one in compared:
        if len(pairs) < wanted and one.role.id not in {other.role.id for other in pairs}:
            pairs.append(one)
    chosen: list[Example] = []
    for place in range(left := count - len(pairs)):
        middle = round(place * (len(scored) - 1) / max(1, left - 1))
        taken = {one.role.id for one in (*chosen, *pairs)}
        nearest = sorted(range(len(scored)), key=lambda index: (abs(index - middle), index))
        free = (scored[index][1] for index in nearest if scored[index][1].role.id not in taken)
        chosen += [example] if (example := next(free, None)) is not None else []
    return chosen + pairs


def _scored(groups: Sequence[GroupOfRatings], rubric: Rubric) -> Iterator[tuple[float, RatedExample]]:
    """Each scored question and its composite."""
    for group in groups:
        for question in group.questions:
            means = [round(value, 1) for value in group.means(question, rubric)]
            scores = rubric.scores(dict(zip(rubric.names, means, strict=True)))
            yield scores.composite, RatedExample(group.role, question, scores.values)


def _compared(place: str, row: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """What a row says of two texts."""
    if "preferred" in row:
        if row["preferred"] not in PREFERRED:
            raise DataError(f"{place}: preferred must be first, second or neither.")
        yield _text(place, row, "first"), _text(place, row, "second"), PREFERRED[row["preferred"]]
    elif "chosen" in row:
        yield _text(place, row, "chosen"), _text(place, row, "rejected"), 1
    elif "improved" in row and _text(place, row, "improved") != _text(place, row, "question"):
        yield _text(place, row, "improved"), _text(place, row, "question"), 1


def _text(place: str, row: Mapping[str, Any], name: str) -> str:
    text = row.get(name)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{place}: it has no text `{name}`; export the ratings from the page Owner.")
    return text.strip()


def _role(row: Mapping[str, Any], roles: Mapping[str, Role], place: str) -> Role:
    role = row.get("role")
    if role is None and str(row.get("role_id")) in roles:
        return roles[str(row["role_id"])]
    try:
        fields = json.loads(role) if isinstance(role, str) else role
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise DataError(f"{place}: it has no role; export the ratings from the page Owner.")
    return complete_role({name: fields[name] for name in Role.model_fields if name in fields}, place).role
