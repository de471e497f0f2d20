"""Leases: while a rater has a group on the screen, nobody else gets it.

A page sends a heartbeat; a lease without one is over after `lease_seconds` and its group goes to the next rater. Over
means reissued: a rater whose lease ran out and whose group nobody took may still submit.
"""

from __future__ import annotations

import random
import secrets

import sqlalchemy as sa

import database as db
from feedback import checks, groups
from feedback.errors import Refusal, lease_lost, not_found
from recruiter.rubric import Rubric

_NAME_AND_STATUS = sa.select(db.groups.c.group_id, db.groups.c.status).where(db.groups.c.id == sa.bindparam("key"))
RECLAIMED_AT_ONCE = 20  # leases that are over, taken back by one request


def take_next(
    c: sa.Connection,
    rubric: Rubric,
    rater: int,
    prefer: str | None,
    now: float,
    lease_seconds: float,
    check_every: int = 0,
) -> sa.RowMapping | str:
    """The rater's lease: the one that is open (a reloaded page goes on), or one on the next group.

    Args:
        prefer: the id of the group that is wanted first, if it is free.
        check_every: groups after which one is a check; 0: none is.

    Returns:
        The lease's row; or "busy", all that is left is with other raters; or "empty", nothing is left.
    """
    reclaim(c, now)
    current = open_lease(c, rater)
    if current is not None:
        name, status = c.execute(_NAME_AND_STATUS, {"key": current["group_id"]}).one()
        if status != "cancelled" and prefer in (None, name):
            touch(c, rater, now)
            return show_again(c, current, now, lease_seconds)
        give_up(c, current, now)
    group = _pick(c, rubric, rater, prefer or checks.due(c, rater, check_every, now))
    if group is None:
        left = sa.select(db.groups.c.id).where(
            db.groups.c.status == "open", groups.rated_by(rubric), not_had(rater), _may_get(rater)
        )
        touch(c, rater, now)
        return "busy" if c.execute(left.limit(1)).first() else "empty"
    lease = grant(c, group["id"], rater, now, lease_seconds)
    groups.refresh(c, group["id"], now)
    touch(c, rater, now)
    return lease


def grant(
    c: sa.Connection, group: int, rater: int, now: float, lease_seconds: float, rating: int | None = None
) -> sa.RowMapping:
    """Make a lease; the caller holds the group's lock."""
    lease_id = secrets.token_hex(10)
    c.execute(
        sa.insert(db.leases).values(
            id=lease_id,
            group_id=group,
            rater_id=rater,
            rating_id=rating,
            active=True,
            shown=shown_order(c, group, rater),
            created_at=now,
            expires_at=now + lease_seconds,
        )
    )
    return find(c, lease_id)


def shown_order(c: sa.Connection, group: int, rater: int) -> list[int]:
    """Candidates in the order in which this rater sees them: shuffled, and the same each time."""
    query = sa.select(sa.func.max(db.questions.c.candidate)).where(db.questions.c.group_id == group)
    order = list(range(c.execute(query).scalar_one() + 1))
    random.Random(f"{group}/{rater}").shuffle(order)
    return order


def find(c: sa.Connection, lease_id: str, rater: int | None = None) -> sa.RowMapping:
    """A lease's row.

    Raises:
        Refusal: 404, there is none, or it is another rater's.
    """
    row = c.execute(sa.select(db.leases).where(db.leases.c.id == lease_id)).mappings().first()
    if row is None or (rater is not None and row["rater_id"] != rater):
        raise not_found("lease with this id", "gone")
    return row


def open_lease(c: sa.Connection, rater: int) -> sa.RowMapping | None:
    """The lease that a rater holds."""
    query = sa.select(db.leases).where(db.leases.c.rater_id == rater, db.leases.c.active)
    return c.execute(query.order_by(db.leases.c.created_at.desc()).limit(1)).mappings().first()


def heartbeat(c: sa.Connection, lease_id: str, rater: int, now: float, lease_seconds: float) -> None:
    """Keep a lease.

    Raises:
        Refusal: 404; 409, it is over.
    """
    find(c, lease_id, rater)
    if not extend(c, lease_id, now, lease_seconds):
        raise lease_lost()
    touch(c, rater, now)


def extend(c: sa.Connection, lease_id: str, now: float, lease_seconds: float) -> bool:
    """Let an open lease last from now on; whether it is open."""
    update = sa.update(db.leases).where(db.leases.c.id == lease_id, db.leases.c.active)
    return bool(c.execute(update.values(expires_at=now + lease_seconds)).rowcount)


def end(c: sa.Connection, lease_id: str, outcome: str, now: float) -> bool:
    """Close an open lease; whether it was open. The caller refreshes the group."""
    update = sa.update(db.leases).where(db.leases.c.id == lease_id, db.leases.c.active)
    return bool(c.execute(update.values(active=False, outcome=outcome, ended_at=now)).rowcount)


def show_again(c: sa.Connection, lease: sa.RowMapping, now: float, lease_seconds: float) -> sa.RowMapping:
    """A lease that one more page of its rater shows."""
    extend(c, lease["id"], now, lease_seconds)
    c.execute(sa.update(db.leases).where(db.leases.c.id == lease["id"]).values(pages=db.leases.c.pages + 1))
    return find(c, lease["id"])


def release(c: sa.Connection, lease_id: str, rater: int, now: float) -> None:
    """A page that shows a group is closed; the last one gives it back unrated.

    Raises:
        Refusal: 404.
    """
    find(c, lease_id, rater)
    here = sa.update(db.leases).where(db.leases.c.id == lease_id, db.leases.c.active)
    left = c.execute(here.values(pages=db.leases.c.pages - 1).returning(db.leases.c.pages)).scalar()
    if left is not None and left <= 0:
        give_up(c, find(c, lease_id), now)


def give_up(c: sa.Connection, lease: sa.RowMapping, now: float) -> None:
    """Give a group back unrated."""
    groups.lock_key(c, lease["group_id"])
    if end(c, lease["id"], "released", now):
        groups.refresh(c, lease["group_id"], now)


def hold(c: sa.Connection, lease_id: str, rater: int) -> tuple[sa.RowMapping, sa.RowMapping]:
    """A lease and its group, locked, for something that ends the lease.

    A lease that is over is as good as open while its group waits for a rater and nobody else has it.

    Raises:
        Refusal: 404; 409, another rater has the group.
    """
    group = groups.lock_key(c, find(c, lease_id, rater)["group_id"])
    lease = find(c, lease_id, rater)
    if lease["active"] or lease["outcome"] == "submitted":
        return lease, group
    had = sa.select(db.ratings.c.id).where(db.ratings.c.group_id == group["id"], db.ratings.c.rater_id == rater)
    is_edit = lease["rating_id"] is not None
    is_free = group["available"] or (group["status"] == "expired" and not group["lease_count"])
    if lease["outcome"] == "expired" and (is_edit or (is_free and not c.execute(had).first())):
        return lease, group
    raise lease_lost()


def reclaim(c: sa.Connection, now: float) -> None:
    """End leases whose time is over. What another transaction is working on is left to it."""
    over = sa.select(db.leases.c.id, db.leases.c.group_id).where(db.leases.c.active, db.leases.c.expires_at < now)
    for lease_id, key in c.execute(over.order_by(db.leases.c.expires_at).limit(RECLAIMED_AT_ONCE)).all():
        row = sa.select(db.groups.c.id).where(db.groups.c.id == key).with_for_update(skip_locked=True)
        if c.execute(row).first() is None:
            continue
        still = sa.update(db.leases).where(db.leases.c.id == lease_id, db.leases.c.active, db.leases.c.expires_at < now)
        if c.execute(still.values(active=False, outcome="expired", ended_at=now)).rowcount:
            groups.refresh(c, key, now)


def touch(c: sa.Connection, rater: int, now: float) -> None:
    """Note that a rater is there. Always the last thing a transaction does, so that none waits for another in a circle."""
    c.execute(sa.update(db.raters).where(db.raters.c.id == rater).values(last_seen_at=now))


def candidates(c: sa.Connection, group: int, shown: list[int]) -> list[dict[str, str]]:
    """What a rater sees, in order: ids that say nothing about when a question was written, and texts."""
    query = sa.select(db.questions.c.candidate, sa.func.min(db.questions.c.text)).where(
        db.questions.c.group_id == group
    )
    texts = dict(c.execute(query.group_by(db.questions.c.candidate)).all())
    return [{"candidate_id": str(position), "text": texts[candidate]} for position, candidate in enumerate(shown, 1)]


def not_had(rater: int) -> sa.ColumnElement[bool]:
    """Whether a rater has neither rated nor skipped a group."""
    rated = sa.exists().where(db.ratings.c.group_id == db.groups.c.id, db.ratings.c.rater_id == rater)
    skipped = sa.exists().where(db.skips.c.group_id == db.groups.c.id, db.skips.c.rater_id == rater)
    rated, skipped = rated.correlate(db.groups), skipped.correlate(db.groups)
    return ~rated & ~skipped


def _pick(c: sa.Connection, rubric: Rubric, rater: int, prefer: str | None) -> sa.RowMapping | None:
    free = sa.select(db.groups).where(db.groups.c.available, groups.rated_by(rubric), not_had(rater), _may_get(rater))
    free = free.with_for_update(skip_locked=True)
    if prefer is not None:
        wanted = c.execute(free.where(db.groups.c.group_id == prefer)).mappings().first()
        if wanted is not None:
            return wanted
    first = free.order_by(db.groups.c.priority.desc(), db.groups.c.id).limit(1)
    fields = c.execute(sa.select(db.raters.c.fields).where(db.raters.c.id == rater)).scalar()
    if fields:
        focus = sa.func.lower(db.groups.c.role["focus"].as_string())
        theirs = c.execute(first.where(focus.in_([field.lower() for field in fields]))).mappings().first()
        if theirs is not None:
            return theirs
    return c.execute(first).mappings().first()


def _may_get(rater: int) -> sa.ColumnElement[bool]:
    """Whether a group is for everybody, or a check for this rater."""
    return sa.or_(db.groups.c.only_for.is_(None), db.groups.c.only_for == rater)


def refuse_unless_open(lease: sa.RowMapping) -> None:
    """For what cannot be done twice.

    Raises:
        Refusal: 409.
    """
    if lease["outcome"] == "submitted":
        raise Refusal(409, "already_submitted", "This group has been rated; undo opens it again.")
