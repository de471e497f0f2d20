"""The cache: scored judgements that were paid for.

A key is a hash of all that the judge was told, the rubric among it, so judgements by several rubrics share one file.
Files of earlier versions hold another table, `judgements`, for the rubric of that time; it is left as it is.
"""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa

from recruiter.judges.comparing import Preference
from recruiter.llm.reply import Tokens
from recruiter.llm.reply_cache import ReplyCache, reply_table
from recruiter.rubric import Judgement, Rubric

_TABLE = reply_table(
    "scored",
    sa.Column("judge", sa.String, nullable=False),
    sa.Column("scores", sa.String, nullable=False),  # JSON, by criterion
    sa.Column("reasoning", sa.String, nullable=False),
    sa.Column("input_tokens", sa.Integer, nullable=False),
    sa.Column("output_tokens", sa.Integer, nullable=False),
)
_PREFERENCES = reply_table(
    "preferences",
    sa.Column("judge", sa.String, nullable=False),
    sa.Column("preferred", sa.String, nullable=False),
    sa.Column("reasoning", sa.String, nullable=False),
)


class PreferenceCache:
    """Preferences between two questions by key, in the same file."""

    def __init__(self, path: Path, option: str) -> None:
        """Open the file, or make it; `option` names it in errors.

        Raises:
            ApiError: that cannot be done.
        """
        self._replies = ReplyCache(path, _PREFERENCES, option)

    def get(self, key: str) -> Preference | None:
        """The preference stored under `key`, if there is one."""
        row = self._replies.find(key)
        return Preference(row["preferred"], row["reasoning"]) if row else None

    def put(self, key: str, judge: str, preference: Preference) -> None:
        """Store what is no failure; the first one stored under a key stays."""
        if preference.preferred is not None:
            self._replies.add(key, judge=judge, preferred=preference.preferred, reasoning=preference.reasoning)


class JudgementCache:
    """Judgements by a rubric by key, in one file."""

    def __init__(self, path: Path, rubric: Rubric, option: str) -> None:
        """Open the file, or make it; `option` names it in errors.

        Raises:
            ApiError: that cannot be done.
        """
        self.path, self._rubric = path, rubric
        self._replies = ReplyCache(path, _TABLE, option)

    def get(self, key: str) -> Judgement | None:
        """The judgement stored under `key`, if there is one.

        Raises:
            ApiError: the file cannot be read.
        """
        row = self._replies.find(key)
        return Judgement(self._rubric.scores(json.loads(row["scores"])), row["reasoning"]) if row else None

    def put(self, key: str, judge: str, judgement: Judgement, tokens: Tokens) -> Judgement:
        """Store a scored judgement; when this returns, it is on disk. The first one stored under a key stays.

        Returns:
            The judgement that is stored: another process may have been first.

        Raises:
            ApiError: it could not be stored.
            ValueError: it has no scores.
        """
        if judgement.scores is None:
            raise ValueError("only scored judgements are cached")
        is_new = self._replies.add(
            key,
            judge=judge,
            scores=json.dumps(judgement.scores.values),
            reasoning=judgement.reasoning,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
        )
        return judgement if is_new else self.get(key) or judgement
