"""The judge's reply: its schema, and how it is read. What is missing, out of range or ambiguous is an error, not a guess."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from recruiter.rubric import CRITERIA, MAX_SCORE, Judgement, Scores


class ReplyError(ValueError):
    """A reply that holds no judgement. The message says why, for the judge to mend it."""


_Reply: type[BaseModel] = create_model(  # reasoning comes first: scores that follow reasons are better founded
    "_Reply",
    __config__=ConfigDict(strict=True),
    reasoning=(str, Field(description="two or three sentences that name each red flag")),
    **{c.name: (float, Field(description=f"0 to {MAX_SCORE:g}: {c.question}", ge=0, le=MAX_SCORE)) for c in CRITERIA},
)  # type: ignore[call-overload]


def reply_schema() -> dict[str, Any]:
    """JSON schema of a reply, in the part of the language that all providers understand (no ranges)."""
    schema = _Reply.model_json_schema()
    properties = {
        name: {"type": prop["type"], "description": prop["description"]} for name, prop in schema["properties"].items()
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def parse_reply(text: str) -> Judgement:
    """The judgement in a reply: the whole text as JSON, or the one JSON object with scores within it.

    Raises:
        ReplyError: there is none, or more than one that say different things.
    """
    found: list[Judgement] = []
    problems: list[str] = []
    for value in json_objects(re.sub(r"\A\s*<think>.*?</think>", "", text, flags=re.DOTALL)):
        try:
            reply = _Reply.model_validate(value).model_dump()
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            problems.append(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
            continue
        reasoning = reply.pop("reasoning")
        judgement = Judgement(Scores(**reply), reasoning)
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
