"""The store: every question and comparison of earlier evaluations, so that one that is run again goes on where it was.

Rows are only added, and each is on disk before its result is used. Failures are not kept: they are tried
again. Judgements have a store of their own, shared with training (`judge.cache_path`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from recruiter.llm.reply_cache import ReplyCache, cache_key, reply_table

_TABLE = reply_table("records", sa.Column("value", sa.String, nullable=False))


class RecordStore:
    """Plain data under a hash of everything that it depends on."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            ApiError: that cannot be done.
        """
        self._store = ReplyCache(path, _TABLE, "The store of the evaluation ")

    def get(self, *parts: Any) -> dict[str, Any] | None:
        """What is stored under `parts`, if anything."""
        row = self._store.find(cache_key(*parts))
        return None if row is None else dict(json.loads(row["value"]))

    def put(self, *parts: Any, value: dict[str, Any]) -> None:
        """Store a value; the first one under the same parts stays."""
        self._store.add(cache_key(*parts), value=json.dumps(value, ensure_ascii=False))
