"""Groups: the questions written for one role in one step, from the moment training hands them in until it used them.

A group is `open` until enough raters have rated it (`rated`), nobody can (`skipped`), or training no longer wants it
(`expired`, `cancelled`). `refresh` is the only place that derives its counts and status from its leases, ratings and
skips; every change of a group goes through it, with the group's row locked.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

import database as db
from database import insert_into
from feedback.errors import Refusal, not_found
from feedback.tasks import Task
from recruiter.rubric import Rubric

ACTIVE_SECONDS = 300.0  # a rater seen within this time counts as being there
QUEUE, PRACTICE = "queue:", "practice:"  # reserved beginnings of group ids


@dataclass(frozen=True)
class NewGroup:
    """What is handed in.

    Attributes:
        role: what raters are shown; a role record, or the part of it that is known.
        rubric: hash of the rubric to rate by; None: whichever this server has.
        overlap: how many raters shall rate it.
        priority: groups with a higher one are shown first.
        task: what raters do with it; of a single question there is only scoring.
        sheet: hash of the blind sheet that it is of.
        only_for, copy_of: the one rater who gets it, and the key of the group that it repeats, if it is a check.
    """

    group_id: str
    run: str
    policy_step: int
    role: dict[str, Any]
    questions: Sequence[str]
    rubric: str | None = None
    overlap: int = 1
    priority: int = 0
    task: Task = "score"
    sheet: str | None = None
    only_for: int | None = None
    copy_of: int | None = None

    @property
    def content_hash(self) -> str:
        """What must be the same when the same id comes again."""
        content = [self.run, self.policy_step, self.role, list(self.questions), self.overlap]
        content += [self.task] if self.task != "score" else []  # the hash is older than the other tasks
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def new_practice_id() -> str:
    """An id for a group that no training run asked for."""
    return PRACTICE + secrets.token_hex(8)


def submit(c: sa.Connection, new: NewGroup, now: float) -> bool:
    """Store a group; return whether it is new. The same id with the same content is the same group.

    Raises:
        Refusal: 409, the id belongs to a group with other content.
    """
    known = c.execute(sa.select(db.groups.c.content_hash).where(db.groups.c.group_id == new.group_id)).scalar()
    if known is None:
        insert = insert_into(c, db.groups).on_conflict_do_nothing(index_elements=["group_id"])
        candidates: dict[str, int] = {}
        asked = [
            {"question_index": index, "text": text,
             "candidate": candidates.setdefault(" ".join(text.split()), len(candidates))}
            for index, text in enumerate(new.questions)
        ]  # fmt: skip
        row = {
            "task": new.task if len(candidates) > 1 else "score", "sheet": new.sheet, "only_for": new.only_for,
            "copy_of": new.copy_of,
            "group_id": new.group_id, "content_hash": new.content_hash, "run": new.run, "policy_step": new.policy_step,
            "rubric": new.rubric, "role": new.role, "role_title": str(new.role.get("title") or ""), "overlap": new.overlap,
            "priority": new.priority, "status": "open", "available": True, "late": False, "lease_count": 0,
            "rating_count": 0, "version": 1, "created_at": now,
        }  # fmt: skip
        key = c.execute(insert.values(row).returning(db.groups.c.id)).scalar()
        if key is not None:
            c.execute(sa.insert(db.questions), [{"group_id": key, **one} for one in asked])
            c.info["group_changed"] = True
            return True
        known = c.execute(sa.select(db.groups.c.content_hash).where(db.groups.c.group_id == new.group_id)).scalar()
    if known != new.content_hash:
        raise Refusal(409, "different_content", f"The id {new.group_id} is taken by a group with other content.")
    if new.rubric is not None:  # the wording of a rubric may have changed since the group was first handed in
        c.execute(sa.update(db.groups).where(db.groups.c.group_id == new.group_id).values(rubric=new.rubric))
    return False


def rated_by(rubric: Rubric) -> sa.ColumnElement[bool]:
    """Whether a group may be rated by this rubric."""
    return sa.or_(db.groups.c.rubric.is_(None), db.groups.c.rubric == rubric.hash)


def versions(c: sa.Connection, group_ids: Iterable[str]) -> dict[str, int]:
    """The version of each group that exists."""
    query = sa.select(db.groups.c.group_id, db.groups.c.version).where(db.groups.c.group_id.in_(list(group_ids)))
    return dict(c.execute(query).all())


def lock(c: sa.Connection, group_ids: Iterable[str]) -> list[sa.RowMapping]:
    """The rows of the groups that exist among these ids, locked, always in the same order."""
    query = sa.select(db.groups).where(db.groups.c.group_id.in_(list(group_ids))).order_by(db.groups.c.id)
    return list(c.execute(query.with_for_update()).mappings())


def lock_key(c: sa.Connection, key: int) -> sa.RowMapping:
    """The row of one group, locked.

    Raises:
        Refusal: 404, it was deleted at this moment.
    """
    row = c.execute(sa.select(db.groups).where(db.groups.c.id == key).with_for_update()).mappings().one_or_none()
    if row is None:
        raise not_found("group any more", "gone")
    return row


def refresh(c: sa.Connection, key: int, now: float, **changes: Any) -> None:
    """Derive a group's counts and status from what is stored; the caller holds its lock.

    Args:
        changes: columns to set besides, such as a status that a person or training decided.
    """
    group = {**c.execute(sa.select(db.groups).where(db.groups.c.id == key)).mappings().one(), **changes}
    leased = (db.leases.c.group_id == key) & db.leases.c.active & db.leases.c.rating_id.is_(None)
    counts = sa.select(
        sa.select(sa.func.count()).where(leased).scalar_subquery(),
        sa.select(sa.func.count()).where(db.ratings.c.group_id == key).scalar_subquery(),
    )
    lease_count, rating_count = c.execute(counts).one()
    status, late = group["status"], group["late"]
    wanted = {"open": group["overlap"], "expired": 1, "skipped": 1}.get(status)
    if wanted is not None and rating_count >= wanted:
        status, late = "rated", late or status == "expired"
    closed = None if status == "open" else group["closed_at"] or now
    available = status == "open" and lease_count + rating_count < group["overlap"]
    c.execute(
        sa.update(db.groups)
        .where(db.groups.c.id == key)
        .values(
            {
                **changes,
                "lease_count": lease_count,
                "rating_count": rating_count,
                "status": status,
                "late": late,
                "available": available,
                "closed_at": closed,
                "version": db.groups.c.version + 1,
            }
        )
    )
    c.info["group_changed"] = True


def cancel(c: sa.Connection, group_ids: Iterable[str], reason: str, now: float) -> list[str]:
    """Take open and expired groups out of the queue; what is rated stays. Return which are cancelled."""
    cancelled = []
    for group in lock(c, group_ids):
        if group["status"] in ("open", "expired"):
            refresh(c, group["id"], now, status="cancelled", reason=reason)
        if group["status"] in ("open", "expired", "cancelled"):
            cancelled.append(group["group_id"])
    return cancelled


def expire(c: sa.Connection, group_ids: Iterable[str], now: float) -> None:
    """Training waits no longer for these. Who has one open may still rate it: that is kept, as late."""
    for group in lock(c, group_ids):
        if group["status"] == "open":
            refresh(c, group["id"], now, status="rated" if group["rating_count"] else "expired")


def reopen_unless_rated(c: sa.Connection, key: int, now: float) -> None:
    """After a rating was withdrawn: a group that has too few now waits for raters again, if training has not used it."""
    rated = sa.select(sa.func.count()).where(db.ratings.c.group_id == key).scalar_subquery()
    columns = (db.groups.c.status, db.groups.c.late, db.groups.c.overlap, db.groups.c.consumed_step, rated)
    status, late, overlap, consumed, count = c.execute(sa.select(*columns).where(db.groups.c.id == key)).one()
    if status == "rated" and consumed is None and count < (1 if late else overlap):
        refresh(c, key, now, status="expired" if late else "open", late=False, closed_at=None)


def close_if_nobody_is_left(c: sa.Connection, group: sa.RowMapping, reason: str, now: float) -> None:
    """After a skip: close the group if its text is broken, or if everybody who is there has rated or skipped it."""
    key = group["id"]
    had_it = sa.union(
        sa.select(db.ratings.c.rater_id).where(db.ratings.c.group_id == key),
        sa.select(db.skips.c.rater_id).where(db.skips.c.group_id == key),
    )
    left = sa.select(sa.func.count()).where(
        db.raters.c.last_seen_at > now - ACTIVE_SECONDS, db.raters.c.revoked_at.is_(None), db.raters.c.id.not_in(had_it)
    )
    is_last = group["only_for"] is not None or not c.execute(left).scalar()
    if group["status"] == "open" and (reason == "broken_text" or is_last):
        refresh(c, key, now, status="rated" if group["rating_count"] else "skipped", reason=reason)
    else:
        refresh(c, key, now)


def queue_position(c: sa.Connection, group: sa.RowMapping) -> int:
    """How many available groups are shown before this one."""
    ahead = (db.groups.c.priority > group["priority"]) | (
        (db.groups.c.priority == group["priority"]) & (db.groups.c.id < group["id"])
    )
    for_all = db.groups.c.only_for.is_(None)
    return int(c.execute(sa.select(sa.func.count()).where(db.groups.c.available, for_all, ahead)).scalar_one())


def raters_online(c: sa.Connection, now: float) -> int:
    """Raters seen lately."""
    query = sa.select(sa.func.count()).where(db.raters.c.last_seen_at > now - ACTIVE_SECONDS)
    return int(c.execute(query).scalar_one())
