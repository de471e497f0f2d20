"""Records: the rows of a CSV, JSON or JSONL file, each with the place where it stands."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from recruiter.errors import DataError

Record = tuple[str, dict[str, Any]]  # place, for errors; fields


def read_records(path: Path) -> list[Record]:
    """The rows of a file: of a `.json` file, its object or list of objects; of a `.jsonl` file, an object a line; of any
    other, CSV with commas, semicolons or tabs.

    Raises:
        DataError: naming the file, the line and what is wrong there.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}.") from None
    readers = {".json": _json_records, ".jsonl": _json_lines}
    records = readers.get(path.suffix.lower(), _csv_records)(text, path)
    for place, record in records:
        if not isinstance(record, dict):
            raise DataError(f"{place}: it is no JSON object.")
    return records


def split_list(value: Any) -> Any:
    """A list that stands in one cell, separated by semicolons, line breaks or commas."""
    if not isinstance(value, str):
        return value
    separator = next((mark for mark in (";", "\n") if mark in value), ",")
    return [part.strip(" \t-•*") for part in value.split(separator) if part.strip(" \t-•*")]


def _csv_records(text: str, path: Path) -> list[Record]:
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [(f"{path}, line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}.") from None


def _json_records(text: str, path: Path) -> list[Record]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not a JSON file: {error}.") from None
    if isinstance(data, list):
        return [(f"{path}, record {index}", record) for index, record in enumerate(data)]
    return [(str(path), data)]


def _json_lines(text: str, path: Path) -> list[Record]:
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            records.append((place, json.loads(line)))
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: it is not JSON ({error}).") from None
    return records
