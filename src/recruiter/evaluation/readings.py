"""Readings: what a reader wrote about a sheet, from the CSV that the sheet's page exports or that was written by hand.

A line is `ID,score` or `ID,score,X`, X where the question makes no sense. Columns `reader` and `kind` say who read, and
`sheet` which sheet; a file without them is named after itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

from recruiter.errors import DataError
from recruiter.evaluation.records import Mark, ReaderKind, Reading, Sheet
from recruiter.roles.rows import read_rows
from recruiter.rubric import MAX_SCORE

COLUMNS = ("ID", "score", "X")
YES, NO = ("x", "1", "yes", "true"), ("", "0", "no", "false")


def read_readings(path: Path, sheet: Sheet, kind: ReaderKind = "not stated") -> dict[str, Reading]:
    """The readings in a file, by reader.

    Args:
        kind: of readers of whom the file does not say it.

    Raises:
        DataError: naming the line and what is wrong there.
    """
    ids = {item.id: None for item in sheet.items}
    found: dict[str, Reading] = {}
    for place, row in read_rows(path, COLUMNS):
        cells = {str(name).strip().lower(): str(value).strip() for name, value in row.items()}
        if cells.get("sheet", sheet.hash) != sheet.hash:
            raise DataError(f"{place}: it is of another sheet ({cells['sheet'][:12]}…, not {sheet.hash[:12]}…).")
        name = cells.get("id", "").upper()
        if name not in ids:
            first, last = sheet.items[0].id, sheet.items[-1].id
            raise DataError(
                f"{place}: there is no question {name or 'without an id'} on the sheet ({first} to {last})."
            )
        if not cells.get("score") and not cells.get("x"):
            continue  # not read yet
        reader = cells.get("reader") or path.stem
        reading = found.setdefault(reader, Reading(kind=_kind(cells, place) or kind, marks={}))
        if name in reading.marks:
            raise DataError(f"{place}: {name} stands there twice; leave one of the lines.")
        reading.marks[name] = _mark(name, cells, place)
    if not found:
        raise DataError(f"{path} holds no scores.")
    return found


def _kind(cells: dict[str, Any], place: str) -> ReaderKind | None:
    said = cells.get("kind", "").lower()
    if said and said not in get_args(ReaderKind):
        raise DataError(
            f"{place}: a reader of kind {said} is not known; write {' or '.join(get_args(ReaderKind)[:2])}."
        )
    return cast(ReaderKind, said) if said else None


def _mark(name: str, cells: dict[str, Any], place: str) -> Mark:
    try:
        score = float(cells.get("score", "").replace(",", "."))
    except ValueError:
        score = -1.0
    if not 0 <= score <= MAX_SCORE:
        raise DataError(
            f"{place}: the score {cells.get('score') or 'that is missing'} of {name} is no number from 0 to {MAX_SCORE:g}."
        )
    no_sense = cells.get("x", "").lower()
    if no_sense not in YES + NO:
        raise DataError(f"{place}: {cells['x']} after the score of {name} means nothing; write X or nothing.")
    return Mark(score=score, no_sense=no_sense in YES)
