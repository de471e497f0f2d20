"""Ratings: submitting, skipping, undoing, editing. What gets an answer is stored, exactly once.

A rating has revisions. The one that counts is the latest that came before training consumed the group; later ones are
kept, marked unused.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

import database as db
from feedback import groups, leases, tasks
from feedback.errors import Refusal, not_found
from feedback.tasks import Answer, Content
from recruiter.rubric import Rubric


def submit(c: sa.Connection, rubric: Rubric, lease_id: str, rater: int, answer: Answer, now: float) -> tuple[int, bool]:
    """Store a rater's answer under a lease. The same again changes nothing; another answer is refused.

    Returns:
        The rating's id, and whether training will not use this answer.

    Raises:
        Refusal: 404, 409 or 422.
    """
    lease, group = leases.hold(c, lease_id, rater)
    content = tasks.read(group["task"], rubric, lease["shown"], answer)
    if lease["outcome"] == "submitted":
        return _submitted(c, lease, content.as_given())
    if lease["rating_id"] is not None:
        rating_id = lease["rating_id"]
        unused = _revise(c, rating_id, group, content, now)
        leases.end(c, lease_id, "submitted", now)
    else:
        unused = group["consumed_step"] is not None
        rating_id = _add(c, group, rater, lease_id, content, now)
        c.execute(
            sa.update(db.leases)
            .where(db.leases.c.id == lease_id)
            .values(active=False, outcome="submitted", rating_id=None, ended_at=now)
        )
        groups.refresh(c, group["id"], now)
    leases.touch(c, rater, now)
    return int(rating_id), unused


def skip(c: sa.Connection, lease_id: str, rater: int, reason: str, note: str, now: float) -> None:
    """Note that a rater leaves a group to others, and why. The same lease again changes nothing.

    What they had rated and opened again is withdrawn, unless training has used it.

    Raises:
        Refusal: 404 or 409.
    """
    groups.lock_key(c, leases.find(c, lease_id, rater)["group_id"])
    if leases.find(c, lease_id, rater)["outcome"] == "skipped":
        return
    lease, group = leases.hold(c, lease_id, rater)
    leases.refuse_unless_open(lease)
    if lease["rating_id"] is not None:
        if group["consumed_step"] is not None:
            raise Refusal(
                409, "used", "Training has used your ratings of this group: change them, or leave them as they are."
            )
        c.execute(sa.delete(db.ratings).where(db.ratings.c.id == lease["rating_id"]))
    leases.end(c, lease_id, "skipped", now)
    c.execute(
        sa.insert(db.skips).values(
            group_id=group["id"], rater_id=rater, lease_id=lease_id, reason=reason, note=note, created_at=now
        )
    )
    groups.reopen_unless_rated(c, group["id"], now)
    groups.close_if_nobody_is_left(c, groups.lock_key(c, group["id"]), reason, now)
    leases.touch(c, rater, now)


def undo(c: sa.Connection, rater: int, now: float, lease_seconds: float) -> sa.RowMapping:
    """Open the rater's latest rating or skip again, under a new lease. Until it is submitted, the old answer stands.

    Raises:
        Refusal: 404, there is nothing; 409, another rater has the skipped group by now.
    """
    rated = sa.select(db.ratings.c.id, db.ratings.c.group_id, db.ratings.c.updated_at.label("at")).where(
        db.ratings.c.rater_id == rater
    )
    rating = c.execute(rated.order_by(db.ratings.c.updated_at.desc()).limit(1)).mappings().first()
    skipped = sa.select(db.skips.c.group_id, db.skips.c.created_at.label("at")).where(db.skips.c.rater_id == rater)
    skip_row = c.execute(skipped.order_by(db.skips.c.created_at.desc()).limit(1)).mappings().first()
    current = leases.open_lease(c, rater)
    if rating is not None and (skip_row is None or rating["at"] >= skip_row["at"]):
        if current is not None and current["rating_id"] == rating["id"]:
            return leases.show_again(c, current, now, lease_seconds)
        lease = _reopen(c, current, rating["group_id"], rater, now, lease_seconds, rating["id"])
    elif skip_row is not None:
        lease = _reopen(c, current, skip_row["group_id"], rater, now, lease_seconds, None)
    else:
        raise not_found("rating or skip of yours to undo")
    leases.touch(c, rater, now)
    return lease


def edit(c: sa.Connection, rubric: Rubric, rating_id: int, rater: int, answer: Answer, now: float) -> tuple[int, bool]:
    """Change a rating; the same answer again changes nothing.

    Returns:
        The number of the revision, and whether training will not use it.

    Raises:
        Refusal: 404 or 422.
    """
    rating = c.execute(sa.select(db.ratings).where(db.ratings.c.id == rating_id)).mappings().first()
    if rating is None or rating["rater_id"] != rater:
        raise not_found("rating of yours with this id")
    group = groups.lock_key(c, rating["group_id"])
    content = tasks.read(group["task"], rubric, leases.shown_order(c, group["id"], rater), answer)
    unused = _revise(c, rating_id, group, content, now)
    leases.touch(c, rater, now)
    return latest_revision(c, rating_id), unused


def draft(c: sa.Connection, lease: sa.RowMapping) -> dict[str, Any] | None:
    """The answer that an edit starts from: the rater's latest, whether training used it or not."""
    return None if lease["rating_id"] is None else answer_of(c, lease["rating_id"])


def answer_of(c: sa.Connection, rating_id: int, number: int | None = None) -> dict[str, Any]:
    """An answer as the page gives it: that of a revision, or the latest."""
    return content_of(c, rating_id, number or latest_revision(c, rating_id)).as_given()


def content_of(c: sa.Connection, rating_id: int, number: int) -> Content:
    """What a revision of a rating says."""
    about = (
        sa.select(db.ratings.c.group_id, db.ratings.c.rater_id, db.groups.c.task, db.revisions)
        .join(db.groups, db.groups.c.id == db.ratings.c.group_id)
        .join(db.revisions, (db.revisions.c.rating_id == db.ratings.c.id) & (db.revisions.c.revision == number))
        .where(db.ratings.c.id == rating_id)
    )
    head = c.execute(about).mappings().one()

    def rows(table: sa.Table) -> list[sa.RowMapping]:
        here = (table.c.rating_id == rating_id) & (table.c.revision == number)
        return list(c.execute(sa.select(table).where(here)).mappings())

    scores: dict[int, tasks.Scores] = {}
    for row in rows(db.scores):
        scores.setdefault(row["candidate"], {})[row["criterion"]] = row["value"]
    remarks = {row["candidate"]: (row["comment"], row["improved"], row["no_sense"]) for row in rows(db.remarks)}
    comparisons = tasks.by_rating(rows(db.comparisons)).get(rating_id, {})
    shown = leases.shown_order(c, head["group_id"], head["rater_id"])
    said_equal = head["all_equal"] and head["task"] == "score"
    return Content(head["task"], shown, scores, comparisons, remarks, head["note"], said_equal)


def latest_revision(c: sa.Connection, rating_id: int) -> int:
    """The number of the last revision, unused ones included."""
    query = sa.select(sa.func.max(db.revisions.c.revision)).where(db.revisions.c.rating_id == rating_id)
    return int(c.execute(query).scalar_one())


def _submitted(c: sa.Connection, lease: sa.RowMapping, said: dict[str, Any]) -> tuple[int, bool]:
    """What was stored under a lease, if it is what is said now.

    Raises:
        Refusal: 409.
    """
    rating_id = lease["rating_id"]
    if rating_id is None:
        rating_id = c.execute(sa.select(db.ratings.c.id).where(db.ratings.c.lease_id == lease["id"])).scalar_one()
    made = (db.revisions.c.rating_id == rating_id) & (db.revisions.c.created_at == lease["ended_at"])
    row = c.execute(sa.select(db.revisions.c.revision, db.revisions.c.unused).where(made)).first()
    number, unused = row or (None, False)
    if answer_of(c, rating_id, number) != said:
        raise Refusal(
            409,
            "already_submitted",
            "You have submitted other ratings of this group already, perhaps in another tab; "
            "they are under My recent ratings, where you can change them.",
        )
    return int(rating_id), bool(unused)


def _reopen(
    c: sa.Connection,
    current: sa.RowMapping | None,
    key: int,
    rater: int,
    now: float,
    seconds: float,
    rating: int | None,
) -> sa.RowMapping:
    """A lease on a group that the rater had rated (`rating`) or skipped (None)."""
    for lease_key in sorted({key, *([current["group_id"]] if current else [])}):
        groups.lock_key(c, lease_key)
    if current is not None:
        leases.give_up(c, current, now)
    if rating is not None:
        return leases.grant(c, key, rater, now, seconds, rating)
    group = groups.lock_key(c, key)
    is_free = group["status"] == "skipped" or group["available"] or group["status"] == "expired"
    if not is_free or group["lease_count"] + group["rating_count"] >= group["overlap"]:
        raise Refusal(409, "taken", "The group that you skipped is with another rater by now.")
    c.execute(sa.delete(db.skips).where(db.skips.c.group_id == key, db.skips.c.rater_id == rater))
    lease = leases.grant(c, key, rater, now, seconds)
    reopened = {"status": "open", "reason": None, "closed_at": None} if group["status"] == "skipped" else {}
    groups.refresh(c, key, now, **reopened)
    return lease


def add_given(
    c: sa.Connection, group: sa.RowMapping, rater: int, lease_id: str, content: Content, began: float, now: float
) -> None:
    """Store a rating that was given elsewhere, with a lease that is over. The caller refreshes the group."""
    lease = {
        "id": lease_id, "group_id": group["id"], "rater_id": rater, "active": False, "outcome": "submitted",
        "shown": list(content.shown), "created_at": began, "expires_at": now, "ended_at": now,
    }  # fmt: skip
    c.execute(sa.insert(db.leases).values(lease))
    _add(c, group, rater, lease_id, content, now)


def _add(c: sa.Connection, group: sa.RowMapping, rater: int, lease_id: str, content: Content, now: float) -> int:
    values = {
        "group_id": group["id"], "rater_id": rater, "lease_id": lease_id, "revision": 1,
        "all_equal": content.all_equal, "created_at": now, "updated_at": now,
    }  # fmt: skip
    rating_id = int(c.execute(sa.insert(db.ratings).values(values).returning(db.ratings.c.id)).scalar_one())
    _store(c, rating_id, 1, content, group["consumed_step"] is not None, now)
    return rating_id


def _revise(c: sa.Connection, rating_id: int, group: sa.RowMapping, content: Content, now: float) -> bool:
    """Add a revision unless it says what the latest says; whether training will not use it."""
    unused = group["consumed_step"] is not None
    number = latest_revision(c, rating_id)
    if answer_of(c, rating_id, number) == content.as_given():
        same = sa.select(db.revisions.c.unused).where(
            db.revisions.c.rating_id == rating_id, db.revisions.c.revision == number
        )
        return bool(c.execute(same).scalar_one())
    _store(c, rating_id, number + 1, content, unused, now)
    values: dict[str, Any] = {"updated_at": now}
    if not unused:
        values |= {"revision": number + 1, "all_equal": content.all_equal}
    c.execute(sa.update(db.ratings).where(db.ratings.c.id == rating_id).values(values))
    groups.refresh(c, group["id"], now)
    return unused


def _store(c: sa.Connection, rating_id: int, number: int, content: Content, unused: bool, now: float) -> None:
    here = {"rating_id": rating_id, "revision": number}
    revision = {**here, "all_equal": content.all_equal, "note": content.note, "unused": unused, "created_at": now}
    c.execute(sa.insert(db.revisions).values(revision))
    places = {candidate: position for position, candidate in enumerate(content.shown, 1)}
    scores = [
        {**here, "candidate": candidate, "position": places[candidate], "criterion": name, "value": value}
        for candidate, given in content.scores.items()
        for name, value in given.items()
    ]
    comparisons = [
        {**here, "first": first, "second": second, "preferred": preferred}
        for (first, second), preferred in content.comparisons.items()
    ]
    remarks = [
        {**here, "candidate": candidate, "comment": comment, "improved": improved, "no_sense": no_sense}
        for candidate, (comment, improved, no_sense) in content.remarks.items()
    ]
    for table, rows in ((db.scores, scores), (db.comparisons, comparisons), (db.remarks, remarks)):
        if rows:
            c.execute(sa.insert(table), rows)
