"""The ratings that count (each rating's revision of record), and a choice among them by time, run and rater."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

import database as db
from recruiter.rubric import Rubric


@dataclass(frozen=True)
class Choice:
    """Which ratings: given from `since` (included) to `until` (excluded), of one run, by one rater."""

    since: float | None = None
    until: float | None = None
    run: str | None = None
    rater: int | None = None

    def conditions(self, table: sa.Table = db.ratings) -> list[sa.ColumnElement[bool]]:
        """For a query over ratings (or skips) joined with groups."""
        found = self.of_times(table.c)
        if self.run is not None:
            found.append(db.groups.c.run == self.run)
        return found

    def of_times(self, columns: Any) -> list[sa.ColumnElement[bool]]:
        """Those by time and rater alone, for columns that have `created_at` and `rater_id`."""
        found: list[sa.ColumnElement[bool]] = []
        if self.since is not None:
            found.append(columns.created_at >= self.since)
        if self.until is not None:
            found.append(columns.created_at < self.until)
        if self.rater is not None:
            found.append(columns.rater_id == self.rater)
        return found


EVERYTHING = Choice()


def of_record() -> sa.ColumnElement[bool]:
    """Joins scores to the revision of their rating that counts."""
    return (db.scores.c.rating_id == db.ratings.c.id) & (db.scores.c.revision == db.ratings.c.revision)


def composites(rubric: Rubric, choice: Choice, shared: bool = False) -> sa.Subquery:
    """A row for each rated candidate: `rating_id`, `group_id`, `rater_id`, `candidate`, `position`, and `value`.

    `value` is the weighted mean of its criteria, 1 to 5.
    """
    by_name = {criterion.name: float(criterion.weight) for criterion in rubric.criteria}
    weight = sa.cast(sa.case(by_name, value=db.scores.c.criterion), sa.Float)
    keys = (
        db.ratings.c.id.label("rating_id"),
        db.ratings.c.group_id,
        db.ratings.c.rater_id,
        db.scores.c.candidate,
        db.scores.c.position,
    )
    mean = sa.func.sum(db.scores.c.value * weight) / sa.func.sum(weight)
    return chosen_scores(rubric, choice, *keys, mean.label("value"), shared=shared).group_by(*keys).subquery()


def chosen_scores(rubric: Rubric, choice: Choice, *columns: Any, shared: bool = False) -> sa.Select[Any]:
    """Columns of the scores that count, a row for each criterion; `shared`: of groups that two or more people rated."""
    query = sa.select(*columns).select_from(db.ratings).join(db.scores, of_record())
    if shared or choice.run is not None:
        query = query.join(db.groups, db.groups.c.id == db.ratings.c.group_id)
    query = query.where(db.scores.c.criterion.in_(rubric.names), *choice.conditions())
    return query.where(db.groups.c.rating_count > 1) if shared else query
