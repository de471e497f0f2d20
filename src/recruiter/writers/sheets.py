"""Sheets: sets of questions as people and programs read them. Text, Markdown, JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from recruiter.roles import Role
from recruiter.rubric import CRITERION_NAMES, MAX_SCORE
from recruiter.writers.generate import Question, QuestionSet

FORMATS = ("text", "markdown", "json", "csv")
SUFFIXES = {".md": "markdown", ".json": "json", ".csv": "csv"}
WIDTH = 100  # of text that goes into a file


def render(sets: Sequence[QuestionSet], form: str, made_with: Mapping[str, Any], width: int | None = None) -> str:
    """All sets in one of `FORMATS`.

    Args:
        made_with: model, judge, hashes and settings, as `describe` in the command gives them.
        width: columns of text.
    """
    if form == "json":
        data = {**made_with, "sets": [_set_data(one) for one in sets]}
        return json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    if form == "csv":
        return _csv(sets)
    if form == "markdown":
        return "\n".join(_markdown(one) for one in sets) + f"\n---\n\n{made_by(made_with)}\n"
    return "".join(f"{line}\n" for line, _ in text_lines(sets, width or WIDTH))


def made_by(made_with: Mapping[str, Any]) -> str:
    """One line for people: which model, which judge."""
    judge = made_with.get("judge")
    return f"Written by {made_with['model']}" + (f", judged by {judge}." if judge else ", not judged.")


def heading(role: Role) -> str:
    """A role in one line."""
    return f"{role.title} ({role.level}; {', '.join(role.stack)})"


def _set_data(one: QuestionSet) -> dict[str, Any]:
    return {
        "role": one.role.model_dump(mode="json"),
        "shortfall": one.shortfall or None,
        "drawn": one.drawn,
        "questions": [{"question": q.text, **_scores(q), **_how(q)} for q in one.questions],
    }


def _scores(question: Question) -> dict[str, Any]:
    judgement = question.judgement
    scores = judgement.scores if judgement else None
    return {
        **(asdict(scores) if scores else dict.fromkeys(CRITERION_NAMES)),
        "composite": round(scores.composite, 3) if scores else None,
        "reasoning": judgement.reasoning if judgement else None,
        "unscored_reason": judgement.unscored_reason if judgement else None,
    }


def _how(question: Question) -> dict[str, Any]:
    written = question.written
    return {"tokens": written.tokens, "seconds": round(written.seconds, 3), "cost_usd": written.cost_usd}


def _csv(sets: Sequence[QuestionSet]) -> str:
    """One row a question, with its role; `scripts/judge.py --file` reads it."""
    stream = io.StringIO()
    columns = ("role_id", "title", "level", "focus", "stack", "description", "key_skills", "question",
               *CRITERION_NAMES, "composite", "reasoning", "unscored_reason")  # fmt: skip
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for one in sets:
        fields = one.role.model_dump(mode="json", exclude={"id"})
        role = {"role_id": one.role.id, **fields, **{k: "; ".join(fields[k]) for k in ("stack", "key_skills")}}
        writer.writerows({**role, "question": q.text, **_scores(q)} for q in one.questions)
    return stream.getvalue()


def _markdown(one: QuestionSet) -> str:
    lines = [f"## {heading(one.role)}", ""]
    for number, question in enumerate(one.questions, 1):
        lines += [f"{number}. {' '.join(question.text.split())}", ""]
        lines += [f"   *{line}*" for line in _verdict(question)] + [""] * bool(_verdict(question))
    return "\n".join([*lines, *([f"*Only {one.shortfall}.*", ""] if one.shortfall else [])])


def text_lines(sets: Sequence[QuestionSet], width: int) -> Iterator[tuple[str, str]]:
    """Lines of text with their style in rich's words."""
    for one in sets:
        yield from ((line, "bold") for line in textwrap.wrap(heading(one.role), width))
        yield "", ""
        for number, question in enumerate(one.questions, 1):
            yield from ((line, "") for line in _wrapped(question.text, f"{number:>2}. ", width))
            yield from ((line, "dim") for part in _verdict(question) for line in _wrapped(part, "    ", width))
            yield "", ""
        if one.shortfall:
            yield from ((line, "yellow") for line in textwrap.wrap(f"Only {one.shortfall}.", width))
            yield "", ""


def _wrapped(text: str, first: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent="    ")


def _verdict(question: Question) -> list[str]:
    """What the judge said, in two lines; nothing if nobody was asked."""
    judgement = question.judgement
    if judgement is None:
        return []
    if judgement.scores is None:
        return [f"No score: {judgement.unscored_reason}"]
    scores = ", ".join(f"{name} {getattr(judgement.scores, name):.1f}" for name in CRITERION_NAMES)
    composite = f"{judgement.scores.composite:.1f} of {MAX_SCORE:g}"
    return [f"{composite} ({scores})", *filter(None, [judgement.reasoning])]
