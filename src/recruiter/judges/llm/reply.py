"""The judge's reply: its schema, and how it is read. What is missing, out of range or ambiguous is an error, not a guess."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from recruiter.rubric import MAX_SCORE, Judgement, Rubric


class ReplyError(ValueError):
    """A reply that holds no judgement. The message says why, for the judge to mend it."""


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
            **dict.fromkeys(scores, Annotated[float, Field(ge=0, le=MAX_SCORE)]),
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
        for value in json_objects(re.sub(r"\A\s*<think>.*?</think>", "", text, flags=re.DOTALL)):
            try:
                reply = self._model.model_validate(value).model_dump()
            except ValidationError as error:
                first = error.errors(include_input=False)[0]
                problems.append(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
                continue
            reasoning = reply.pop("reasoning")
            judgement = Judgement(self._rubric.scores(reply), reasoning)
            if judgement not in found:
                found.append(judgement)
        if len(found) > 1:
            raise ReplyError("it holds several JSON objects with different scores")
        if not found:
            raise ReplyError(problems[0] if problems else "it holds no JSON object")
        return found[0]


def json_objects(text: str) -> list[dict[str, Any]]:
    """The text itself if it is one JSON object, else the outermost objects within it."""
    decoder, objects, start = json.JSONDecoder(), [], text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            end = start + 1
        else:
            objects.append(value)
        start = text.find("{", end)
    return objects
