"""The judge's reply: its schema, and how it is read. What is missing, out of range or ambiguous is an error, not a guess."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from recruiter.llm.reply import json_objects
from recruiter.rubric import MAX_SCORE, Judgement, Rubric

_WRITTEN = re.compile(rf"\s*(\d+(?:\.\d+)?)(?:\s*/\s*{MAX_SCORE:g})?\s*")


class ReplyError(ValueError):
    """A reply that holds no judgement. The message says why, for the judge to mend it."""


def read_number(value: object) -> object:
    """A number that a model wrote as text: 8, or 8/10."""
    written = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    return float(written[1]) if written else value


def letter_of(index: int) -> str:
    """A, B, …, Z, AA, AB, …"""
    first, last = divmod(index, len(string.ascii_uppercase))
    return (letter_of(first - 1) if first else "") + string.ascii_uppercase[last]


class ReplyFormat:
    """The replies that a rubric asks for.

    Attributes:
        schema: JSON schema of a reply, in the part of the language that all providers understand (no ranges).
    """

    def __init__(self, rubric: Rubric) -> None:
        self._rubric = rubric
        scores = {c.name: f"0 to {MAX_SCORE:g}: {c.question}" for c in rubric.criteria}
        self._model: type[BaseModel] = create_model(
            "Reply",
            __config__=ConfigDict(strict=True),
            reasoning=str,
            **dict.fromkeys(scores, Annotated[float, BeforeValidator(read_number), Field(ge=0, le=MAX_SCORE)]),
        )  # type: ignore[call-overload]
        # Reasoning comes first: scores that follow reasons are better founded.
        reasoning = {"type": "string", "description": "two or three sentences that name each red flag"}
        numbers = {name: {"type": "number", "description": text} for name, text in scores.items()}
        self.schema: dict[str, Any] = {
            "type": "object",
            "properties": {"reasoning": reasoning, **numbers},
            "required": ["reasoning", *numbers],
            "additionalProperties": False,
        }

    def parse(self, text: str) -> Judgement:
        """The judgement in a reply: the whole text as JSON, or the one JSON object with scores within it.

        Raises:
            ReplyError: there is none, or more than one that say different things.
        """
        found: list[Judgement] = []
        problems: list[str] = []
        for value in json_objects(text):
            try:
                judgement = self.read(value)
            except ReplyError as error:
                problems.append(str(error))
                continue
            if judgement not in found:
                found.append(judgement)
        if len(found) > 1:
            raise ReplyError("it holds several JSON objects with different scores")
        if not found:
            raise ReplyError(problems[0] if problems else "it holds no JSON object")
        return found[0]

    def read(self, value: object) -> Judgement:
        """The judgement in one JSON object.

        Raises:
            ReplyError: it is none.
        """
        try:
            reply = self._model.model_validate(value).model_dump()
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise ReplyError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        reasoning = reply.pop("reasoning")
        return Judgement(self._rubric.scores(reply), reasoning)

    def group_schema(self, letters: Sequence[str]) -> dict[str, Any]:
        """JSON schema of a reply with an entry for each letter."""
        entries = dict.fromkeys(letters, self.schema)
        return {"type": "object", "properties": entries, "required": list(letters), "additionalProperties": False}

    def parse_group(self, text: str, letters: Sequence[str]) -> dict[str, Judgement]:
        """The judgements in a reply, by letter. One that is missing, cannot be read or stands there twice is left out."""
        found: dict[str, list[Judgement]] = {letter: [] for letter in letters}
        for value in json_objects(text):
            for letter in found.keys() & value.keys():
                with suppress(ReplyError):
                    if (judgement := self.read(value[letter])) not in found[letter]:
                        found[letter].append(judgement)
        return {letter: judgements[0] for letter, judgements in found.items() if len(judgements) == 1}
