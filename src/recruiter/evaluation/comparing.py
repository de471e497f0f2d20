"""Comparing: a judge says which of two questions for a role is better. A language model is asked; the rubric judge, which
scores, prefers the higher composite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from recruiter.judges import Judge
from recruiter.judges.llm import LLMJudge
from recruiter.judges.llm.reply import json_objects
from recruiter.llm.failure import CallFailed
from recruiter.prompts import comparison_messages
from recruiter.roles import Role

Preferred = Literal["first", "second", "tie"]
ANSWERS: tuple[Preferred, ...] = ("first", "second", "tie")
MARGIN = 0.25  # points of the composite within which a judge that scores calls two questions equal
SCHEMA = {
    "type": "object",
    "properties": {"reasoning": {"type": "string"}, "better": {"type": "string", "enum": list(ANSWERS)}},
    "required": ["reasoning", "better"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Preference:
    """What a judge prefers, and why; or the `failure` to say so."""

    preferred: Preferred | None
    reasoning: str = ""
    failure: str | None = None


class Comparer(Protocol):
    """Compares two questions for one role."""

    async def compare(self, role: Role, first: str, second: str) -> Preference:
        """The preference between two questions, shown in this order.

        Raises:
            ApiError: it cannot be asked any more.
        """
        ...


def make_comparer(judge: Judge) -> Comparer:
    """What compares as `judge` scores."""
    return AskingComparer(judge) if isinstance(judge, LLMJudge) else ScoringComparer(judge)


class AskingComparer:
    """Asks the judge's model."""

    def __init__(self, judge: LLMJudge) -> None:
        self._endpoint = judge.endpoint

    async def compare(self, role: Role, first: str, second: str) -> Preference:
        """See `Comparer`."""
        schema: dict[str, Any] | None = SCHEMA if self._endpoint.has_schema else None
        try:
            completion = await self._endpoint.complete(comparison_messages(role, first, second), schema=schema)
        except CallFailed as failure:
            return Preference(None, failure=str(failure))
        if completion.ended != "by itself":
            return Preference(None, failure=f"the reply ended {completion.ended}")
        return read_preference(completion.text)


class ScoringComparer:
    """Scores both questions."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    async def compare(self, role: Role, first: str, second: str) -> Preference:
        """See `Comparer`."""
        one, other = await self._judge.score(role, [first, second])
        if one.scores is None or other.scores is None:
            return Preference(None, failure=one.unscored_reason or other.unscored_reason)
        difference = one.scores.composite - other.scores.composite
        preferred: Preferred = "tie" if abs(difference) < MARGIN else "first" if difference > 0 else "second"
        return Preference(preferred, f"composite {one.scores.composite:.2f} against {other.scores.composite:.2f}")


def read_preference(text: str) -> Preference:
    """The preference in a reply: one of `ANSWERS`, under the name `better`."""
    found: Sequence[dict[str, Any]] = [value for value in json_objects(text) if value.get("better") in ANSWERS]
    if len({value["better"] for value in found}) != 1:
        return Preference(None, failure="malformed: the reply holds no preference, or several")
    return Preference(found[0]["better"], str(found[0].get("reasoning", "")))
