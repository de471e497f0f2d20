"""The ratings that count (each rating's revision of record), and a choice among them by time, run and rater."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

import database as db
from recruiter.rubric import CRITERION_NAMES


@dataclass(frozen=True)
class Choice:
    """Which ratings: given from `since` (included) to `until` (excluded), of one run, by one rater."""

    since: float | None = None
    until: float | None = None
    run: str | None = None
    rater: int | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """For a query over ratings joined with groups."""
        found: list[sa.ColumnElement[bool]] = []
        if self.since is not None:
            found.append(db.ratings.c.created_at >= self.since)
        if self.until is not None:
            found.append(db.ratings.c.created_at < self.until)
        if self.run is not None:
            found.append(db.groups.c.run == self.run)
        if self.rater is not None:
            found.append(db.ratings.c.rater_id == self.rater)
        return found


def of_record() -> sa.ColumnElement[bool]:
    """Joins scores to the revision of their rating that counts."""
    return (db.scores.c.rating_id == db.ratings.c.id) & (db.scores.c.revision == db.ratings.c.revision)


def composite() -> sa.ColumnElement[float]:
    """Mean of the criteria of a row of scores, 1 to 5."""
    total: sa.ColumnElement[float] = sa.literal(0.0)
    for name in CRITERION_NAMES:
        total = total + db.scores.c[name]
    return total / len(CRITERION_NAMES)


def chosen_scores(choice: Choice, *columns: Any, shared: bool = False) -> sa.Select[Any]:
    """Columns of the scores that count; `shared`: of groups that two or more people rated."""
    query = (
        sa.select(*columns)
        .select_from(db.ratings)
        .join(db.groups, db.groups.c.id == db.ratings.c.group_id)
        .join(db.scores, of_record())
        .where(*choice.conditions())
    )
    return query.where(db.groups.c.rating_count > 1) if shared else query
