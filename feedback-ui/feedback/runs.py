"""Runs in progress, as training reports them, and the figures that raters see beside their work."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import groups
from recruiter.rubric import Rubric

SILENT_AFTER = 120.0  # seconds without a report after which nothing is said to wait


def report(c: sa.Connection, name: str, what: dict[str, Any], now: float) -> None:
    """Store a run's latest report. `waiting_since` is when it began to wait in this step."""
    known = c.execute(sa.select(db.runs).where(db.runs.c.name == name).with_for_update()).mappings().first()
    still = known and known["report"]["state"] == "waiting" and known["report"]["step"] == what["step"]
    since = None if what["state"] != "waiting" else known["waiting_since"] if known and still else now
    values = {"report": what, "waiting_since": since, "updated_at": now}
    insert = groups.insert_into(c, db.runs).values(name=name, **values)
    c.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))


def view(row: sa.RowMapping, now: float) -> dict[str, Any]:
    """A run for the page."""
    since = row["waiting_since"]
    return {
        "run": row["name"], **row["report"], "updated_at": row["updated_at"],
        "seconds_since_report": max(0.0, now - row["updated_at"]),
        "since_seconds": None if since is None else max(0.0, now - since),
    }  # fmt: skip


def listing(c: sa.Connection, now: float) -> list[dict[str, Any]]:
    """All runs, the latest first."""
    rows = c.execute(sa.select(db.runs).order_by(db.runs.c.updated_at.desc()).limit(100)).mappings()
    return [view(row, now) for row in rows]


def waiting(c: sa.Connection, now: float) -> dict[str, Any] | None:
    """What training waits for: the latest run that says so, unless it has fallen silent."""
    query = sa.select(db.runs).where(db.runs.c.updated_at > now - SILENT_AFTER, db.runs.c.waiting_since.is_not(None))
    row = c.execute(query.order_by(db.runs.c.updated_at.desc()).limit(1)).mappings().first()
    if row is None:
        return None
    return {
        "run": row["name"], "step": row["report"]["step"], "groups_waited_for": len(row["report"]["waiting_groups"]),
        "since_seconds": max(0.0, now - row["waiting_since"]),
    }  # fmt: skip


def counts(c: sa.Connection, rubric: Rubric, now: float) -> dict[str, Any]:
    """The team's ratings and the queue."""
    by_status = (
        sa.select(db.groups.c.status, db.groups.c.late, sa.func.count())
        .where((db.groups.c.status != "open") | groups.rated_by(rubric))
        .group_by(db.groups.c.status, db.groups.c.late)
    )
    numbers = {(status, late): count for status, late, count in c.execute(by_status)}
    leased = sa.select(sa.func.count(sa.distinct(db.leases.c.group_id))).where(
        db.leases.c.active, db.leases.c.expires_at > now, db.leases.c.rating_id.is_(None)
    )
    out = int(c.execute(leased).scalar_one())
    still_open = sum(count for (status, _), count in numbers.items() if status == "open")
    return {
        "team": {**rated_by(c, None, now), "raters_online": groups.raters_online(c, now)},
        "queue": {
            "pending": max(0, still_open - out), "leased": out, "late": numbers.get(("rated", True), 0),
            "rated": sum(count for (status, _), count in numbers.items() if status == "rated"),
        },
        "waiting": waiting(c, now),
    }  # fmt: skip


def rated_by(c: sa.Connection, rater: int | None, now: float) -> dict[str, int]:
    """Groups rated today (the server's day) and in all, by one rater or everybody."""
    query = sa.select(sa.func.count()).select_from(db.ratings)
    if rater is not None:
        query = query.where(db.ratings.c.rater_id == rater)
    day = time.localtime(now)
    midnight = time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))
    today = query.where(db.ratings.c.created_at >= midnight)
    return {"today": int(c.execute(today).scalar_one()), "total": int(c.execute(query).scalar_one())}
