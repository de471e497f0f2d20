"""Forms: asking a writer for objects of a known shape. What does not fit is asked for once more, with the fault named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from recruiter.config import SamplingParams
from recruiter.errors import ApiError
from recruiter.llm.reply import json_objects
from recruiter.prompts import Message, repair_messages
from recruiter.writers import Progress, Writer, Written

SAMPLING = SamplingParams(
    max_generate_length=900, temperature=0.7, top_p=0.95
)  # colder, small models repeat themselves
ATTEMPTS = 2
Form = TypeVar("Form", bound=BaseModel)


def fill_forms(
    writer: Writer,
    prompts: Mapping[str, list[Message]],
    form: type[Form],
    fault: Callable[[str, Form], str] = lambda *_: "",
    seed: int = 0,
    progress: Progress = lambda _: None,
    sampling: SamplingParams = SAMPLING,
) -> dict[str, Form | str]:
    """For each named chat, the object that the writer answered with, or in a few words why there is none.

    Args:
        fault: of a named object that has the right shape; "" if there is none.

    Raises:
        ModelError: the writer cannot be loaded.
    """
    found: dict[str, Form | str] = {}
    asked = dict(prompts)
    for attempt in range(ATTEMPTS):
        again: dict[str, list[Message]] = {}
        try:
            for written in writer.answer(asked, 1, sampling, seed + attempt, schema_of(form), progress):
                name = written.role_id
                found[name] = _read(written, form, fault)
                began = written.finished or "{" in written.text  # what was cut off without a beginning will be again
                if isinstance(found[name], str) and not written.error and began:
                    again[name] = [*prompts[name], *repair_messages(written.text, str(found[name]))]
        except ApiError as error:
            return {**{name: str(error) for name in prompts}, **found}
        if not again:
            break
        asked = again
    return found


def schema_of(form: type[BaseModel]) -> dict[str, Any]:
    """JSON schema of a form in the part of the language that all providers understand (no ranges)."""
    fields = {name: _type_schema(field.annotation) for name, field in form.model_fields.items()}
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _type_schema(annotation: Any) -> dict[str, Any]:
    if get_origin(annotation) is list:
        return {"type": "array", "items": _type_schema(get_args(annotation)[0])}
    if get_origin(annotation) is Literal:
        return {"type": "string", "enum": list(get_args(annotation))}
    if annotation in (bool, int):
        return {"type": "boolean" if annotation is bool else "integer"}
    return {"type": "string"}


def _read(written: Written, form: type[Form], fault: Callable[[str, Form], str]) -> Form | str:
    """The object in an answer, or why there is none."""
    if written.error:
        return written.error
    if not written.finished:
        return f"it was cut off after {written.tokens} tokens"
    problem = "it holds no JSON object"
    for value in json_objects(written.text):
        try:
            filled = form.model_validate(_whole(value))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            problem = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg'].removeprefix('Value error, ')}"
            continue
        problem = fault(written.role_id, filled)
        return problem or filled
    return problem


def _whole(value: dict[str, Any]) -> dict[str, Any]:
    """Numbers as a model writes them: 5.0 for 5."""
    return {
        name: round(item) if isinstance(item, float) and math.isfinite(item) else item for name, item in value.items()
    }
