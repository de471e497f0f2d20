"""A copy of the ratings while the server runs, and the way back.

    python -m feedback.backup save ratings-2026-11-30.db
    python -m feedback.backup restore ratings-2026-11-30.db      (the server stopped)

Of SQLite. Copying the file leaves out what still lies beside it in the write-ahead log. PostgreSQL has `pg_dump`.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import database as db
from feedback.settings import Settings
from recruiter.cli.command import command
from recruiter.cli.options import OptionParser
from recruiter.errors import ConfigError, DataError


def save(url: str, target: Path) -> int:
    """Write all that is committed into a new file; return the number of ratings in it.

    Raises:
        ConfigError: the database is not of SQLite.
        DataError: the file is there already, or cannot be written.
    """
    source = _file(url)
    if target.exists():
        raise DataError(f"{target} is there already: name another file.")
    return _copy(source, target)


def restore(url: str, source: Path) -> int:
    """Put a saved file in the place of the database, which is kept beside it as `….before-restore`.

    Raises:
        ConfigError: the database is not of SQLite.
        DataError: the file holds no ratings, or cannot be read.
    """
    target = _file(url)
    _count(source)
    if target.exists():
        kept = target.with_name(target.name + ".before-restore")
        kept.unlink(missing_ok=True)
        _copy(target, kept)
        for file in (target, *(target.with_name(target.name + end) for end in ("-wal", "-shm"))):
            file.unlink(missing_ok=True)
    return _copy(source, target)


def _file(url: str) -> Path:
    database = db.Database(url)
    database.close()
    if not database.is_sqlite:
        raise ConfigError(
            "DATABASE_URL is of PostgreSQL: save it with `pg_dump --format=custom`, and restore it with `pg_restore`."
        )
    return Path(database.engine.url.database or "").resolve()


def _copy(source: Path, target: Path) -> int:
    """Copy page by page, under SQLite's own locks, beside the target; then rename it."""
    beside = target.with_name(target.name + ".part")
    beside.unlink(missing_ok=True)
    count = _count(source)
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(source)) as from_, closing(sqlite3.connect(beside)) as to:
            from_.backup(to)
        count = _count(beside)
        os.replace(beside, target)
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"{target} cannot be written ({error}).") from None
    return count


def _count(path: Path) -> int:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        with closing(sqlite3.connect(path)) as connection:
            return int(connection.execute("SELECT count(*) FROM ratings").fetchone()[0])
    except sqlite3.Error as error:
        raise DataError(f"{path} is no database of the feedback server ({error}).") from None


@command
def main() -> None:
    """Save the ratings while the server runs, or restore them while it does not."""
    parser = OptionParser(prog="python -m feedback.backup", description=main.__doc__)
    parser.add_argument("action", choices=("save", "restore"))
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    url = Settings.from_environment().database_url
    if arguments.action == "save":
        print(f"{arguments.file} holds {save(url, arguments.file)} ratings.")
    else:
        print(f"Restored: {restore(url, arguments.file)} ratings. What was there before is kept as ….before-restore.")


if __name__ == "__main__":
    main()
