"""People's ratings as an export of the feedback server holds them: whole groups, for whatever learns from people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recruiter.errors import DataError
from recruiter.prompts import RatedExample
from recruiter.roles import Role
from recruiter.roles.completing import complete_role
from recruiter.roles.rows import read_rows
from recruiter.rubric import Rubric, rating_to_score

EXAMPLES = 6


@dataclass
class GroupOfRatings:
    """The questions for one role and what people gave them, 0 to 10 by criterion, one entry a person."""

    role: Role
    questions: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def means(self, question: str, rubric: Rubric) -> list[float]:
        """The means over people of a question's scores, in the rubric's order."""
        given = self.questions[question]
        return [sum(one[name] for one in given) / len(given) for name in rubric.names]


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
        group, question = row.get("group_id"), row.get("question")
        if not isinstance(group, str) or not isinstance(question, str):
            raise DataError(
                f"{place}: it has no texts `group_id` and `question`; export the ratings from the page Owner."
            )
        try:
            scores = {name: rating_to_score(float(row[name])) for name in rubric.names}
        except KeyError as error:
            raise DataError(f"{place}: it has no rating for {error.args[0]}; name the rubric with --rubric.") from None
        except (TypeError, ValueError) as error:
            raise DataError(f"{place}: its ratings cannot be used ({error}).") from None
        known = found.setdefault(group, GroupOfRatings(_role(row, roles, place)))
        known.questions.setdefault(question.strip(), []).append(scores)
    if not found:
        raise DataError(f"{path} holds no ratings.")
    return list(found.values())


def choose_examples(groups: Sequence[GroupOfRatings], rubric: Rubric, count: int = EXAMPLES) -> list[RatedExample]:
    """A few rated questions for a judge to learn the standard from: from the worst to the best, each of another role.

    The same ratings give the same examples. Scores are means over people, to a tenth.
    """
    found = []
    for group in groups:
        for question in group.questions:
            means = [round(value, 1) for value in group.means(question, rubric)]
            scores = rubric.scores(dict(zip(rubric.names, means, strict=True)))
            found.append((scores.composite, RatedExample(group.role, question, scores.values)))
    found.sort(key=lambda one: (one[0], one[1].role.id, one[1].question))
    chosen: list[RatedExample] = []
    for place in range(count):
        wanted = round(place * (len(found) - 1) / max(1, count - 1))
        taken = {one.role.id for one in chosen}
        nearest = sorted(range(len(found)), key=lambda index: (abs(index - wanted), index))
        free = (found[index][1] for index in nearest if found[index][1].role.id not in taken)
        if (one := next(free, None)) is not None:
            chosen.append(one)
    return chosen


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
