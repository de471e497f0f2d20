"""Comparing: what it means that a judge finds one of two questions for a role better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from recruiter.llm.reply import json_objects
from recruiter.rubric import Judgement

Preferred = Literal["first", "second", "tie"]
ANSWERS: tuple[Preferred, ...] = ("first", "second", "tie")
MARGIN = 0.25  # points of the composite within which a judge that scores calls two questions equal
SCHEMA: dict[str, Any] = {
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


def compare_scores(first: Judgement, second: Judgement) -> Preference:
    """The preference of a judge that scores: the higher composite."""
    if first.scores is None or second.scores is None:
        return Preference(None, failure=first.unscored_reason or second.unscored_reason)
    difference = first.scores.composite - second.scores.composite
    preferred: Preferred = "tie" if abs(difference) < MARGIN else "first" if difference > 0 else "second"
    return Preference(preferred, f"composite {first.scores.composite:.2f} against {second.scores.composite:.2f}")


def read_preference(text: str) -> Preference:
    """The preference in a reply: one of `ANSWERS`, under the name `better`."""
    found = [value for value in json_objects(text) if value.get("better") in ANSWERS]
    if len({value["better"] for value in found}) != 1:
        return Preference(None, failure="malformed: the reply holds no preference, or several")
    return Preference(found[0]["better"], str(found[0].get("reasoning", "")))
