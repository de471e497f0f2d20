"""Files as the whole package writes and reads them: JSON, lines of JSON, hashes, and paths as a person reads them.

What is written appears whole under its name or not at all; a line that a crash tore is left out when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recruiter.config.paths import WORKSPACE

_UMASK = os.umask(0o077)  # can only be read by setting it
os.umask(_UMASK)


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file beside its place and rename it."""
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a JSON-lines file; a torn last line is left out."""
    rows = []
    for line in filter(None, path.read_text(encoding="utf-8", errors="replace").split("\n")):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


class JsonLines:
    """A file of JSON objects that grows by whole lines, each flushed when it is written."""

    def __init__(self, path: Path, kept: Iterable[Mapping[str, Any]] = ()) -> None:
        """Open the file for appending, with the lines `kept` and no others in it."""
        beside = path.with_name(path.name + ".tmp")
        beside.write_text("".join(map(_json_line, kept)), encoding="utf-8")
        os.replace(beside, path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a line."""
        self._file.write(_json_line(row))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def share(path: Path) -> None:
    """Let others read a file as if `open` had made it: safetensors makes files for their owner alone."""
    path.chmod(0o666 & ~_UMASK)


def sha256_of(path: Path) -> str:
    """Hash of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_path(path: Path) -> str:
    """A path relative to the current folder (in a checkout: to its root) where it lies inside, else the whole path."""
    path = path.resolve()
    return str(path.relative_to(WORKSPACE) if path.is_relative_to(WORKSPACE) else path)


def safe_cell(text: str) -> str:
    """A text for a cell of a CSV file that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _json_line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
