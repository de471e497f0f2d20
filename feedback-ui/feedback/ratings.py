"""Ratings: submitting, skipping, undoing, editing. What gets an answer is stored, exactly once.

A rating has revisions. The one that counts is the latest that came before training consumed the group; later ones are
kept, marked unused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import groups, leases
from feedback.errors import Refusal, not_found
from feedback.rubric import check_criteria
from recruiter.rubric import Rubric

CandidateScores = dict[str, int]  # criterion -> 1 to 5


@dataclass(frozen=True)
class Answer:
    """What a rater says of a group: scores by candidate id, or one set for all if they are all equal.

    Attributes:
        remarks: comment and better wording by candidate id, where there is either.
    """

    scores: dict[str, CandidateScores]
    all_equal: bool = False
    note: str = ""
    remarks: dict[str, tuple[str, str]] = field(default_factory=dict)

    def by_candidate(self, rubric: Rubric, order: list[int]) -> dict[int, tuple[int, CandidateScores]]:
        """Position and scores of each candidate.

        Raises:
            Refusal: 422, a candidate or a criterion is missing or unknown.
        """
        ids = [str(position) for position in range(1, len(order) + 1)]
        if unknown := [candidate_id for candidate_id in self.remarks if candidate_id not in ids]:
            raise Refusal(422, "invalid", f"There is no candidate {unknown[0][:40]!r} in this group to remark on.")
        for candidate_id, scores in self.scores.items():
            check_criteria(rubric, scores, f"Candidate {candidate_id[:40]}")
        if self.all_equal:
            if not self.scores or len({tuple(s[n] for n in rubric.names) for s in self.scores.values()}) != 1:
                raise Refusal(422, "invalid", "all_equal takes one set of ratings, which counts for all candidates.")
            common = next(iter(self.scores.values()))
            return {candidate: (position, common) for position, candidate in enumerate(order, 1)}
        if missing := [candidate_id for candidate_id in ids if candidate_id not in self.scores]:
            raise Refusal(422, "incomplete", f"Candidate {missing[0]} has no rating; rate all {len(ids)} or skip.")
        if unknown := [candidate_id for candidate_id in self.scores if candidate_id not in ids]:
            raise Refusal(422, "invalid", f"There is no candidate {unknown[0]!r} in this group.")
        return {candidate: (position, self.scores[str(position)]) for position, candidate in enumerate(order, 1)}

    def said(self, cells: dict[int, tuple[int, CandidateScores]]) -> dict[str, Any]:
        """The answer in the form of `answer_of`."""
        ratings = {str(position): scores for position, scores in cells.values()}
        remarks = {name: {"comment": one, "improved": other} for name, (one, other) in self.remarks.items()}
        return {"ratings": ratings, "all_equal": self.all_equal, "note": self.note, "remarks": remarks}


def submit(c: sa.Connection, rubric: Rubric, lease_id: str, rater: int, answer: Answer, now: float) -> tuple[int, bool]:
    """Store a rater's answer under a lease. The same again changes nothing; another answer is refused.

    Returns:
        The rating's id, and whether training will not use this answer.

    Raises:
        Refusal: 404, 409 or 422.
    """
    lease, group = leases.hold(c, lease_id, rater)
    cells = answer.by_candidate(rubric, lease["shown"])
    if lease["outcome"] == "submitted":
        return _submitted(c, lease, answer.said(cells))
    if lease["rating_id"] is not None:
        rating_id = lease["rating_id"]
        unused = _revise(c, rating_id, group, answer, cells, now)
        leases.end(c, lease_id, "submitted", now)
    else:
        unused = group["consumed_step"] is not None
        values = {
            "group_id": group["id"],
            "rater_id": rater,
            "lease_id": lease_id,
            "revision": 1,
            "all_equal": answer.all_equal,
            "created_at": now,
            "updated_at": now,
        }
        rating_id = c.execute(sa.insert(db.ratings).values(values).returning(db.ratings.c.id)).scalar_one()
        _store(c, rating_id, 1, answer, cells, unused, now)
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
    order = leases.shown_order(c, group["id"], rater)
    unused = _revise(c, rating_id, group, answer, answer.by_candidate(rubric, order), now)
    leases.touch(c, rater, now)
    return latest_revision(c, rating_id), unused


def draft(c: sa.Connection, lease: sa.RowMapping) -> dict[str, Any] | None:
    """The answer that an edit starts from: the rater's latest, whether training used it or not."""
    return None if lease["rating_id"] is None else answer_of(c, lease["rating_id"])


def answer_of(c: sa.Connection, rating_id: int, number: int | None = None) -> dict[str, Any]:
    """An answer of a rating, by candidate id: that of a revision, or the latest."""
    number = number or latest_revision(c, rating_id)
    here = (db.scores.c.rating_id == rating_id) & (db.scores.c.revision == number)
    rows = c.execute(sa.select(db.scores).where(here).order_by(db.scores.c.position)).mappings().all()
    ratings: dict[str, CandidateScores] = {}
    for row in rows:
        ratings.setdefault(str(row["position"]), {})[row["criterion"]] = row["value"]
    revision = sa.select(db.revisions).where(db.revisions.c.rating_id == rating_id, db.revisions.c.revision == number)
    head = c.execute(revision).mappings().one()
    where = {row["candidate"]: str(row["position"]) for row in rows}
    said = sa.select(db.remarks).where(db.remarks.c.rating_id == rating_id, db.remarks.c.revision == number)
    remarks = {
        where[row["candidate"]]: {"comment": row["comment"], "improved": row["improved"]}
        for row in c.execute(said).mappings()
    }
    return {"ratings": ratings, "all_equal": head["all_equal"], "note": head["note"], "remarks": remarks}


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


def _revise(
    c: sa.Connection,
    rating_id: int,
    group: sa.RowMapping,
    answer: Answer,
    cells: dict[int, tuple[int, CandidateScores]],
    now: float,
) -> bool:
    """Add a revision unless it says what the latest says; whether training will not use it."""
    unused = group["consumed_step"] is not None
    number = latest_revision(c, rating_id)
    latest = answer_of(c, rating_id)
    if latest == answer.said(cells):
        same = sa.select(db.revisions.c.unused).where(
            db.revisions.c.rating_id == rating_id, db.revisions.c.revision == number
        )
        return bool(c.execute(same).scalar_one())
    _store(c, rating_id, number + 1, answer, cells, unused, now)
    values: dict[str, Any] = {"updated_at": now}
    if not unused:
        values |= {"revision": number + 1, "all_equal": answer.all_equal}
    c.execute(sa.update(db.ratings).where(db.ratings.c.id == rating_id).values(values))
    groups.refresh(c, group["id"], now)
    return unused


def _store(
    c: sa.Connection,
    rating_id: int,
    number: int,
    answer: Answer,
    cells: dict[int, tuple[int, CandidateScores]],
    unused: bool,
    now: float,
) -> None:
    c.execute(
        sa.insert(db.revisions).values(
            rating_id=rating_id,
            revision=number,
            all_equal=answer.all_equal,
            note=answer.note,
            unused=unused,
            created_at=now,
        )
    )
    rows = [
        {
            "rating_id": rating_id,
            "revision": number,
            "candidate": candidate,
            "position": position,
            "criterion": name,
            "value": value,
        }
        for candidate, (position, scores) in cells.items()
        for name, value in scores.items()
    ]
    c.execute(sa.insert(db.scores), rows)
    remarks = [
        {"rating_id": rating_id, "revision": number, "candidate": candidate, "comment": comment, "improved": improved}
        for candidate, (position, _) in cells.items()
        for comment, improved in [answer.remarks.get(str(position), ("", ""))]
        if comment or improved
    ]
    if remarks:
        c.execute(sa.insert(db.remarks), remarks)
