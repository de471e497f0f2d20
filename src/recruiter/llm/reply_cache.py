"""The cache of replies that were paid for, in SQLite. Each is on disk before it is used.

Several processes may share a file (write-ahead log). Only what succeeded is kept: a failure is worth another try.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from recruiter.errors import ApiError

SECONDS_TO_WAIT = 30.0  # for other processes' writes


def cache_key(*parts: Any) -> str:
    """Hash of everything a reply depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def reply_table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """A table of replies: `key` and `created_at`, and the columns given."""
    key, created = sa.Column("key", sa.String, primary_key=True), sa.Column("created_at", sa.String, nullable=False)
    return sa.Table(name, sa.MetaData(), key, *columns, created)


class ReplyCache:
    """Rows by key, in one file."""

    def __init__(self, path: Path, table: sa.Table, option: str) -> None:
        """Open the file, or make it.

        Args:
            table: made by `reply_table`.
            option: what stands before the path in errors, such as the setting that names it.

        Raises:
            ApiError: that cannot be done.
        """
        self.path, self._option = path, option
        # Built once: building them anew costs more than running them.
        self._find = sa.select(table).where(table.c.key == sa.bindparam("key"))
        self._insert = insert(table).on_conflict_do_nothing()
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": SECONDS_TO_WAIT}
        )
        weakref.finalize(self, self._engine.dispose)  # nobody has to close it: each row is on disk already
        sa.event.listen(self._engine, "connect", _prepare_connection)
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            table.metadata.create_all(self._engine)

    def find(self, key: str) -> dict[str, Any] | None:
        """The row stored under `key`, if there is one.

        Raises:
            ApiError: the file cannot be read.
        """
        with self._explained(), self._engine.connect() as connection:
            row = connection.execute(self._find, {"key": key}).mappings().first()
        return dict(row) if row else None

    def add(self, key: str, **values: Any) -> bool:
        """Store a row; when this returns, it is on disk. The first one stored under a key stays.

        Returns:
            Whether this is that row: another process may have been first.

        Raises:
            ApiError: it could not be stored.
        """
        row = {"key": key, **values, "created_at": datetime.now(UTC).isoformat(timespec="seconds")}
        with self._explained(), self._engine.begin() as connection:
            return bool(connection.execute(self._insert, row).rowcount)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sa.exc.SQLAlchemyError) as error:
            cause = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
            raise ApiError(
                f"{self._option}{self.path} cannot be used ({cause}): mend that, or name another file."
            ) from None


def _prepare_connection(connection: Any, _record: Any) -> None:
    """In a write-ahead log a commit outlives its process without waiting for the disk."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
