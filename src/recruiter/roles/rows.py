"""Rows: the one reader of tables of roles, questions and ratings, whatever file they stand in.

A value that is missing in one of the usual ways (null, NaN, an empty cell) is not there.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recruiter.config.paths import command_line
from recruiter.errors import DataError
from recruiter.files import read_bytes, read_cell, read_text

Row = tuple[str, dict[str, Any]]  # place, for errors; fields
# What people call the fields of a role, see `field_of`.
FIELD_NAMES = {
    "id": ("id", "role id"),
    "title": ("title", "job title", "position", "role title", "role", "job"),
    "level": ("level", "seniority", "grade"),
    "focus": ("focus", "area", "domain", "team"),
    "stack": ("stack", "tech stack", "technologies", "technology", "tools", "tech"),
    "key_skills": ("key skills", "skills", "requirements", "must-haves", "must-have"),
    "description": ("description", "job description", "summary", "about", "responsibilities", "text"),
}
_SHORTEST = 5  # letters of a name that counts within a longer one ("Position Title"); others have another meaning there
DOCUMENTS = (
    ".doc",
    ".docx",
    ".numbers",
    ".ods",
    ".odt",
    ".pages",
    ".pdf",
    ".rtf",
    ".xls",
    ".xlsx",
)  # of office programs
TABLES = (".csv", ".json", ".jsonl", ".parquet", ".tsv")
AN_ADVERTISEMENT = "; if it is an advertisement, name it with --description"
_MISSING = ("", "nan", "null", "none")  # in a cell


def read_rows(path: Path, columns: Sequence[str] = ()) -> list[Row]:
    """The rows of a file: of a `.json` file, its object or list of objects; of a `.jsonl` file, an object a line; of a
    `.parquet` file, its rows; of any other, CSV with commas, semicolons, tabs or bars.

    Args:
        columns: of a CSV file that may lack the line with their names, and may begin with comments (#).

    Raises:
        DataError: naming the file, the line and what is wrong there.
    """
    suffix = path.suffix.lower()
    if re.match(rb"\s*<(?:!doctype|\w+\W)", read_bytes(path)[:999], re.IGNORECASE):
        read = f"{command_line('generate')} --description {path}"
        raise DataError(f"{path} is HTML and no table; an advertisement is read by `{read}`.")
    if suffix in DOCUMENTS:
        raise DataError(f"{path} is no table that can be read here; save it as CSV, JSON or JSON lines.")
    if suffix == ".parquet":
        rows = _parquet_rows(path)
    elif suffix in (".json", ".jsonl"):
        rows = (_json_rows if suffix == ".json" else _json_lines)(read_text(path), path)
    else:
        rows = _csv_rows(read_text(path, may_be_8_bit=True), path, columns)
    for place, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{place}: it is no JSON object.")
    return [(place, _present(row)) for place, row in rows]


def field_of(name: object) -> tuple[str | None, int]:
    """The field of a role that a column's name means, and how surely: 0 it is one of `FIELD_NAMES`, later ones less; 99 it ends
    or begins with one ("Tools & Technologies"); None: no field."""
    plain = re.sub(r"\(.*?\)|\[.*?\]|[^a-z]", "", str(name).lower())
    known = [
        (re.sub(r"[^a-z]", "", one), field, rank)
        for field, names in FIELD_NAMES.items()
        for rank, one in enumerate(names)
    ]
    for one, field, rank in known:
        if plain == one:
            return field, rank
    for fits in (plain.endswith, plain.startswith):
        for one, field, _ in known:
            if len(one) >= _SHORTEST and fits(one):
                return field, 99
    return None, 99


def split_list(value: Any) -> Any:
    """A list that stands in one cell, separated by semicolons, line breaks or commas."""
    if not isinstance(value, str):
        return value
    separator = next((mark for mark in (";", "\n") if mark in value), ",")
    return [part.strip(" \t-•*") for part in value.split(separator) if part.strip(" \t-•*")]


def _present(value: Any) -> Any:
    """A value without those within it that are missing."""
    if isinstance(value, dict):
        return {name: _present(item) for name, item in value.items() if not _is_missing(item)}
    return [_present(item) for item in value if not _is_missing(item)] if isinstance(value, list) else value


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _csv_rows(text: str, path: Path, columns: Sequence[str]) -> list[Row]:
    skipped = 0
    while columns and re.match(r'\s*("?#.*)?\n', text):
        text, skipped = text.partition("\n")[2], skipped + 1
    first, _, rest = text.partition("\n")
    is_headless = bool(columns) and not re.match(rf"\W*{re.escape(columns[0])}\b", first, re.IGNORECASE)
    if found := re.fullmatch(r"sep=(.)\s*", first):  # how Excel is told the delimiter
        delimiter, text, skipped = found.group(1), rest, skipped + 1
    elif is_headless:
        delimiter = next((mark for mark in first if mark in ",;\t|"), ",")
        text, skipped = f"{delimiter.join(columns)}\n{text}", skipped - 1
    else:
        delimiter = max(",;\t|", key=lambda mark: _known_columns(text, mark))
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(f"{path}, line {reader.line_num + skipped}", row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + skipped}: {error}.") from None
    for place, row in rows:
        more = [cell for cell in row.get(None, ()) if not _is_empty(cell)]
        if more:
            raise DataError(
                f"{place}: it has more cells than there are columns, '{more[0][:40]}' for one; put texts that hold "
                f"{delimiter!r} in double quotes{'' if _known_columns(text, delimiter)[0] else AN_ADVERTISEMENT}."
            )
    return [
        (
            place,
            {name: read_cell(value) for name, value in row.items() if name is not None and not _is_empty(value)},
        )
        for place, row in rows
    ]


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def _known_columns(text: str, delimiter: str) -> tuple[int, int]:
    """How many columns have known names, and how many there are, with a delimiter."""
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return 0, 0
    return sum(field_of(name)[0] is not None or name.strip().lower() == "question" for name in names), len(names)


def _json_rows(text: str, path: Path) -> list[Row]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a JSON file: {error}.") from None
    if isinstance(data, list):
        return [(f"{path}, record {index}", row) for index, row in enumerate(data)]
    return [(str(path), data)]


def _json_lines(text: str, path: Path) -> list[Row]:
    if re.match(r"\s*\[\s*\{", text):  # a list after all
        return _json_rows(text, path)
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            rows.append((place, json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: it is not JSON ({error}).") from None
    return rows


def _parquet_rows(path: Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(io.BytesIO(read_bytes(path))).to_pylist()
        return [(f"{path}, row {index}", row) for index, row in enumerate(rows)]
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a Parquet file: {error}.") from None
