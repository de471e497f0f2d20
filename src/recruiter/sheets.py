"""Sheets: sets of questions as people and programs read them. Text, Markdown, JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from recruiter.generate import Question, QuestionSet
from recruiter.roles import Role
from recruiter.rubric import CRITERION_NAMES

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
    return _text(sets, width or WIDTH)


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


def _text(sets: Sequence[QuestionSet], width: int) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None)
    for one in sets:
        console.print(Text(heading(one.role)), "")
        for number, question in enumerate(one.questions, 1):
            console.print(Padding(Text(question.text), (0, 0, 0, 4)), end="")
            verdict = _verdict(question)
            for line in verdict:
                console.print(Padding(Text(line), (0, 0, 0, 4)), end="")
            console.print()
        if one.shortfall:
            console.print(Text(f"Only {one.shortfall}."), "")
    return stream.getvalue()


def _verdict(question: Question) -> list[str]:
    """What the judge said, in two lines; nothing if nobody was asked."""
    judgement = question.judgement
    if judgement is None:
        return []
    if judgement.scores is None:
        return [f"No score: {judgement.unscored_reason}"]
    scores = [f"{name} {getattr(judgement.scores, name):.1f}" for name in CRITERION_NAMES]
    return [
        f"{judgement.scores.composite:.1f} of 10 · {', '.join(scores)}",
        *([judgement.reasoning] if judgement.reasoning else []),
    ]
