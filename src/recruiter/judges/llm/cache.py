"""The cache: judgements that were paid for, in SQLite. Every one is on disk before anybody hears of it.

Several processes may share a file (write-ahead log). Only scored judgements are kept: a failure is worth another try.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from recruiter.errors import JudgeError
from recruiter.judges.llm.clients import Tokens
from recruiter.rubric import CRITERION_NAMES, Judgement, Scores

SECONDS_TO_WAIT = 30.0  # for other processes' writes

_metadata = sa.MetaData()
_judgements = sa.Table(
    "judgements",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("judge", sa.String, nullable=False),
    *(sa.Column(name, sa.Float, nullable=False) for name in CRITERION_NAMES),
    sa.Column("reasoning", sa.String, nullable=False),
    sa.Column("input_tokens", sa.Integer, nullable=False),
    sa.Column("output_tokens", sa.Integer, nullable=False),
    sa.Column("created_at", sa.String, nullable=False),
)

# Built once: building them anew costs more than running them.
_find = sa.select(_judgements).where(_judgements.c.key == sa.bindparam("key"))
_store = insert(_judgements).on_conflict_do_nothing()


def cache_key(*parts: Any) -> str:
    """Hash of everything a judgement depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class JudgementCache:
    """Judgements by key, in one file."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            JudgeError: that cannot be done.
        """
        self.path = path
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": SECONDS_TO_WAIT})
        sa.event.listen(self._engine, "connect", _prepare_connection)
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            _metadata.create_all(self._engine)

    def get(self, key: str) -> Judgement | None:
        """The judgement stored under `key`, if there is one.

        Raises:
            JudgeError: the file cannot be read.
        """
        with self._explained(), self._engine.connect() as connection:
            row = connection.execute(_find, {"key": key}).mappings().first()
        return Judgement(Scores(*(row[name] for name in CRITERION_NAMES)), row["reasoning"]) if row else None

    def put(self, key: str, judge: str, judgement: Judgement, tokens: Tokens) -> Judgement:
        """Store a scored judgement; when this returns, it is on disk. The first one stored under a key stays.

        Returns:
            The judgement that is stored: another process may have been first.

        Raises:
            JudgeError: it could not be stored.
            ValueError: it has no scores.
        """
        if judgement.scores is None:
            raise ValueError("only scored judgements are cached")
        row = {
            "key": key,
            "judge": judge,
            **{name: getattr(judgement.scores, name) for name in CRITERION_NAMES},
            "reasoning": judgement.reasoning,
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with self._explained(), self._engine.begin() as connection:
            is_new = connection.execute(_store, row).rowcount
        return judgement if is_new else self.get(key) or judgement

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sa.exc.SQLAlchemyError) as error:
            cause = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
            raise JudgeError(
                f"judge.cache_path={self.path} cannot be used ({cause}): mend that, or name another file."
            ) from None


def _prepare_connection(connection: Any, _record: Any) -> None:
    """In a write-ahead log a commit outlives its process without waiting for the disk."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
