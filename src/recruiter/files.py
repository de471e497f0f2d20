"""Files as the whole package writes and reads them: texts, JSON, lines of JSON, hashes, and paths as a person reads them.

What is written appears whole under its name or not at all; a line that a crash tore is left out when it is read.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from dotenv import load_dotenv

from recruiter.config.paths import WORKSPACE
from recruiter.errors import DataError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_UMASK = os.umask(0o077)  # can only be read by setting it
os.umask(_UMASK)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one


def read_bytes(path: Path) -> bytes:
    """The content of a file that a person named.

    Raises:
        DataError: it is missing, or unreadable.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def read_text(path: Path, may_be_8_bit: bool = False) -> str:
    """A text that a person wrote: UTF-8, or UTF-16 where the file begins as such.

    Args:
        may_be_8_bit: whether another one is taken for what spreadsheets write in western countries.

    Raises:
        DataError: it is missing, unreadable, or no text.
    """
    content = read_bytes(path)
    try:
        is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
        end = text.find("\0")
    except UnicodeDecodeError as error:
        if may_be_8_bit:
            return content.decode("cp1252", "replace")
        text, end = content.decode("latin-1"), error.start
    if end >= 0:
        line = text.count("\n", 0, end) + 1
        raise DataError(f"{path}, line {line}: it is no text in UTF-8; save the file in that encoding.")
    return text


def yaml_fault(name: str, error: Exception) -> str:
    """What is wrong with a YAML file, and in which line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    line = f", line {mark.line + 1}" if mark else ""
    return f"{name}{line}: it cannot be read as YAML ({problem or ' '.join(str(error).split())})."


def load_environment() -> None:
    """Set the variables of `.env` that the environment lacks.

    Raises:
        DataError: the file cannot be read.
    """
    file = WORKSPACE / ".env"
    if file.exists() and not file.is_dir():
        load_dotenv(stream=io.StringIO(read_text(file)))


def safe_cell(value: Any) -> Any:
    """A value for a cell of CSV: a text that a spreadsheet would compute gets a ' before it."""
    return "'" + value if isinstance(value, str) and value.lstrip("'").startswith(_FORMULAS) else value


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV that spreadsheets open without computing anything; what is in no column is left out."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def read_cell(cell: str) -> str:
    """What `safe_cell` was given."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULAS) else cell


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Where to write the file that shall stand at `path`, or where a link there leads: it is renamed when the block ends."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(target.name + ".tmp")
    yield beside
    os.replace(beside, target)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Make a folder, and wait until no other process is in such a block with it.

    Where folders cannot be locked, nobody waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, wait: bool) -> None:
    """Take the system's lock on an open file or folder, which ends when it is closed; nothing where there are no locks.

    Raises:
        BlockingIOError: another process has it, and we shall not wait.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        pass


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file; when this returns, it is on disk."""
    with replaced(path) as beside, beside.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
        file.flush()
        os.fsync(file.fileno())


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
        with replaced(path) as beside:
            beside.write_text("".join(map(_json_line, kept)), encoding="utf-8")
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


def free_beside(folder: Path) -> Path:
    """A folder beside another one that is not there yet: its name and a number."""
    return next(path for n in count(2) if not (path := folder.with_name(f"{folder.name}-{n}")).exists())


def as_markdown(text: str) -> str:
    """A text as Markdown that shows what looks like HTML outside of code as it stands."""
    return re.sub(r"(`+).*?\1|<(?=[A-Za-z/!?])", lambda found: found[0] if found[1] else "&lt;", text, flags=re.DOTALL)


def _json_line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
