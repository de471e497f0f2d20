"""Runs in progress, as training reports them, and the figures that raters see beside their work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import groups
from recruiter.rubric import Rubric

PRACTICE = "practice"  # the run of groups that no training asked for
LATEST, FEWEST = 50, 5  # ratings whose time is looked at; before so many it says nothing
SILENT_AFTER = 120.0  # seconds without a report after which nothing is said to wait


def report(c: sa.Connection, name: str, what: dict[str, Any], now: float) -> bool:
    """Store a run's latest report; whether it began to wait for ratings just now.

    `waiting_since` is when it began to wait in this step.
    """
    known = c.execute(sa.select(db.runs).where(db.runs.c.name == name).with_for_update()).mappings().first()
    still = known and known["report"]["state"] == "waiting" and known["report"]["step"] == what["step"]
    since = None if what["state"] != "waiting" else known["waiting_since"] if known and still else now
    values = {"report": what, "waiting_since": since, "updated_at": now}
    insert = db.insert_into(c, db.runs).values(name=name, **values)
    c.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))
    return since == now and bool(what["waiting_groups"])


def view(c: sa.Connection, row: sa.RowMapping, now: float) -> dict[str, Any]:
    """A run for the page."""
    since, waiting_groups = row["waiting_since"], row["report"]["waiting_groups"]
    titles = role_titles(c, waiting_groups)
    return {
        "run": row["name"],
        **row["report"],
        "waiting_groups": [{"group_id": name, "role_title": titles.get(name)} for name in waiting_groups],
        "updated_at": row["updated_at"],
        "seconds_since_report": max(0.0, now - row["updated_at"]),
        "since_seconds": None if since is None else max(0.0, now - since),
    }


def listing(c: sa.Connection, now: float) -> list[dict[str, Any]]:
    """All runs, the latest first."""
    rows = c.execute(sa.select(db.runs).order_by(db.runs.c.updated_at.desc()).limit(100)).mappings().all()
    return [view(c, row, now) for row in rows]


def waiting(c: sa.Connection, now: float) -> dict[str, Any] | None:
    """What training waits for: the latest run that says so, unless it has fallen silent."""
    query = sa.select(db.runs).where(db.runs.c.updated_at > now - SILENT_AFTER, db.runs.c.waiting_since.is_not(None))
    row = c.execute(query.order_by(db.runs.c.updated_at.desc()).limit(1)).mappings().first()
    if row is None:
        return None
    step, waited_for = row["report"]["step"], row["report"]["waiting_groups"]
    of_step = (db.groups.c.run == row["name"]) & (db.groups.c.policy_step == step)
    here = db.groups.c.group_id.in_(waited_for)
    is_open = db.groups.c.status == "open"
    wanted = sa.select(sa.func.coalesce(sa.func.sum(db.groups.c.overlap - db.groups.c.rating_count), 0)).where(
        here, is_open
    )
    done = c.execute(sa.select(sa.func.count()).where(here, ~is_open)).scalar_one()
    all_of_step = c.execute(sa.select(sa.func.count()).where(of_step)).scalar_one()
    each, people = minutes_a_group(c), max(1, groups.raters_online(c, now))
    return {
        "run": row["name"], "step": step, "groups_waited_for": len(waited_for) - done,
        "groups_in_step": max(all_of_step, len(waited_for)), "since_seconds": max(0.0, now - row["waiting_since"]),
        "minutes_left": None if each is None else each * c.execute(wanted).scalar_one() / people,
    }  # fmt: skip


def counts(c: sa.Connection, rubric: Rubric, now: float) -> dict[str, Any]:
    """The team's ratings and the queue."""
    by_status = (
        sa.select(db.groups.c.status, db.groups.c.late, sa.func.count())
        .where((db.groups.c.status != "open") | groups.rated_by(rubric))
        .group_by(db.groups.c.status, db.groups.c.late)
    )
    is_check = db.groups.c.copy_of > 0  # few, found by their index; subtracted, so that an index answers for all groups
    checks = Counter(
        (status, late) for status, late in c.execute(sa.select(db.groups.c.status, db.groups.c.late).where(is_check))
    )
    numbers = {(status, late): count - checks[status, late] for status, late, count in c.execute(by_status)}
    leased = sa.select(sa.func.count(sa.distinct(db.leases.c.group_id))).where(
        db.leases.c.active, db.leases.c.expires_at > now, db.leases.c.rating_id.is_(None),
        db.leases.c.group_id.not_in(sa.select(db.groups.c.id).where(is_check)),
    )  # fmt: skip
    out = int(c.execute(leased).scalar_one())
    still_open = sum(count for (status, _), count in numbers.items() if status == "open")
    return {
        "team": {**rated_by(c, None, now), "raters_online": groups.raters_online(c, now)},
        "queue": {
            "pending": max(0, still_open - out),
            "leased": out,
            "late": numbers.get(("rated", True), 0),
            "rated": sum(count for (status, _), count in numbers.items() if status == "rated"),
        },
        "waiting": waiting(c, now),
        "minutes_a_group": minutes_a_group(c),
    }


def minutes_a_group(c: sa.Connection) -> float | None:
    """The median time from taking a group to submitting it, over the latest ratings; None before the first few."""
    latest = sa.select(db.ratings.c.lease_id, db.ratings.c.created_at).order_by(db.ratings.c.created_at.desc())
    timed = latest.limit(LATEST).subquery()
    query = sa.select(timed.c.created_at - db.leases.c.created_at).join(db.leases, db.leases.c.id == timed.c.lease_id)
    seconds = c.execute(query).scalars().all()
    return median(seconds) / 60 if len(seconds) >= FEWEST else None


def rated_by(c: sa.Connection, rater: int | None, now: float) -> dict[str, int]:
    """Groups rated today (the server's day) and in all, by one rater or everybody; practice is not counted."""
    day = time.localtime(now)
    midnight = time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))
    everything = sa.select(sa.func.count()).select_from(db.ratings)
    practised = everything.join(db.groups, db.groups.c.id == db.ratings.c.group_id).where(db.groups.c.run == PRACTICE)

    def count(*conditions: sa.ColumnElement[bool]) -> int:
        whose = conditions if rater is None else (*conditions, db.ratings.c.rater_id == rater)
        return int(c.execute(everything.where(*whose)).scalar_one() - c.execute(practised.where(*whose)).scalar_one())

    return {"today": count(db.ratings.c.created_at >= midnight), "total": count()}


def role_titles(c: sa.Connection, group_ids: Iterable[str]) -> dict[str, str]:
    """The titles of the roles of groups."""
    query = sa.select(db.groups.c.group_id, db.groups.c.role_title).where(db.groups.c.group_id.in_(list(group_ids)))
    return dict(c.execute(query).all())
