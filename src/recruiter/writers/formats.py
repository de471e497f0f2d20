"""Formats: questions with their judgements as people and programs read them.

A set of questions that was written for a role becomes text, Markdown, JSON or CSV (`format_sets`), a list of questions that
was judged a table, JSON or CSV (`format_list`).
"""

from __future__ import annotations

import io
import json
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recruiter.files import as_markdown, csv_text
from recruiter.judges.lists import Entry
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE, Judgement
from recruiter.writers.generate import Question, QuestionSet

FORMATS = ("text", "markdown", "json", "csv")
LIST_FORMATS = ("table", "json", "csv")
# Formats by the ending of a file's name.
ENDINGS = {".md": "markdown", ".json": "json", ".csv": "csv", ".txt": "text"}
LIST_ENDINGS = {".txt": "table", ".csv": "csv", ".json": "json"}
WIDTH = 100  # of text that goes into a file
TABLE_WIDTH = 140  # of a table that is not shown on a terminal


def format_sets(sets: Sequence[QuestionSet], form: str, made_with: Mapping[str, Any], width: int | None = None) -> str:
    """All sets in one of `FORMATS`.

    Args:
        made_with: model, judge, hashes, `criteria` and settings, as the command gives them.
        width: columns of text.
    """
    if form == "json":
        return _json({**made_with, "sets": [_set_data(each, made_with["criteria"]) for each in sets]})
    if form == "csv":
        criteria = made_with["criteria"]
        columns = ["role_id", *(name for name in Role.model_fields if name != "id"), "question", *_columns(criteria)]
        return csv_text(columns, [row for each in sets for row in _rows(each, criteria)])
    if form == "markdown":
        return "\n".join(_markdown(each) for each in sets) + f"\n---\n\n{made_by(made_with)}\n"
    return "".join(f"{line}\n" for line, _ in text_lines(sets, width or WIDTH))


def format_list(entries: Sequence[Entry], judgements: Sequence[Judgement], form: str, criteria: Sequence[str]) -> str:
    """Questions with their judgements and reasons in one of `LIST_FORMATS`."""
    rows = [
        {"role_id": role.id, "question": question, **_verdict(judgement, criteria)}
        for (role, question), judgement in zip(entries, judgements, strict=True)
    ]
    if form != "table":
        return _json(rows) if form == "json" else csv_text(["role_id", "question", *_columns(criteria)], rows)
    table = Table(box=box.SIMPLE_HEAD, show_lines=True)
    for name in ("role", "question", "scores", "why"):
        table.add_column(name, no_wrap=name == "scores", overflow="fold")
    for row in rows:
        scores = [f"{name} {row[name]:.1f}" for name in (*criteria, "composite") if row[name] is not None]
        texts = (row["role_id"], row["question"], "\n".join(scores) or "–", row["reasoning"] or row["unscored_reason"])
        table.add_row(*map(Text, texts))
    stream = io.StringIO()
    Console(file=stream, width=None if os.isatty(1) else TABLE_WIDTH).print(table)
    return stream.getvalue()


def made_by(made_with: Mapping[str, Any]) -> str:
    """One line for people: which model, which judge."""
    judge = made_with.get("judge")
    return f"Written by {made_with['model']}" + (f", judged by {judge}." if judge else ", not judged.")


def heading(role: Role) -> str:
    """A role in one line."""
    return f"{role.title} ({role.level}; {', '.join(role.stack)})"


def _set_data(written: QuestionSet, criteria: Sequence[str]) -> dict[str, Any]:
    return {
        "role": written.role.model_dump(mode="json"),
        "shortfall": written.shortfall or None,
        "drawn": written.drawn,
        "questions": [{"question": q.text, **_verdict(q.judgement, criteria), **_how(q)} for q in written.questions],
    }


def _verdict(judgement: Judgement | None, criteria: Sequence[str]) -> dict[str, Any]:
    """What the judge said, under the names of `_columns`; all None if nobody was asked."""
    scores = judgement.scores if judgement else None
    return {
        **(scores.values if scores else dict.fromkeys(criteria)),
        "composite": round(scores.composite, 3) if scores else None,
        "reasoning": judgement.reasoning if judgement else None,
        "unscored_reason": judgement.unscored_reason if judgement else None,
    }


def _columns(criteria: Sequence[str]) -> tuple[str, ...]:
    return (*criteria, "composite", "reasoning", "unscored_reason")


def _how(question: Question) -> dict[str, Any]:
    written = question.written
    return {"tokens": written.tokens, "seconds": round(written.seconds, 3), "cost_usd": written.cost_usd}


def _rows(written: QuestionSet, criteria: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One row a question, with its role; `scripts/judge.py --file` reads them."""
    fields = written.role.model_dump(mode="json", exclude={"id"})
    role = {"role_id": written.role.id, **fields, **{k: "; ".join(fields[k]) for k in ("stack", "key_skills")}}
    for question in written.questions:
        yield {**role, "question": question.text, **_verdict(question.judgement, criteria)}


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _markdown(written: QuestionSet) -> str:
    lines = [f"## {as_markdown(heading(written.role))}", ""]
    for number, question in enumerate(written.questions, 1):
        lines += [f"{number}. {as_markdown(' '.join(question.text.split()))}", ""]
        lines += [f"   *{as_markdown(line)}*" for line in _said(question)] + [""] * bool(_said(question))
    return "\n".join([*lines, *([f"*Only {written.shortfall}.*", ""] if written.shortfall else [])])


def text_lines(sets: Sequence[QuestionSet], width: int) -> Iterator[tuple[str, str]]:
    """Lines of text with their style in rich's words."""
    for each in sets:
        yield from ((line, "bold") for line in textwrap.wrap(heading(each.role), width))
        yield "", ""
        for number, question in enumerate(each.questions, 1):
            yield from ((line, "") for line in _wrapped(question.text, f"{number:>2}. ", width))
            yield from ((line, "dim") for part in _said(question) for line in _wrapped(part, "    ", width))
            yield "", ""
        if each.shortfall:
            yield from ((line, "yellow") for line in textwrap.wrap(f"Only {each.shortfall}.", width))
            yield "", ""


def _wrapped(text: str, first: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent="    ")


def _said(question: Question) -> list[str]:
    """What the judge said, in two lines; nothing if nobody was asked."""
    judgement = question.judgement
    if judgement is None:
        return []
    if judgement.scores is None:
        return [f"No score: {judgement.unscored_reason}"]
    scores = ", ".join(f"{name} {value:.1f}" for name, value in judgement.scores.values.items())
    composite = f"{judgement.scores.composite:.1f} of {MAX_SCORE:g}"
    return [f"{composite} ({scores})", *filter(None, [judgement.reasoning])]
