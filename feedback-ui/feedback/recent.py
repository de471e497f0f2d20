"""Ratings as the statistics page lists them: newest first, searchable, a page at a time."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

import database as db
from feedback import accounts, leases, ratings, tasks
from feedback.choice import Choice, of_record


def recent(
    c: sa.Connection, choice: Choice, query: str, page: int, size: int, rater: int | None = None
) -> dict[str, Any]:
    """One page of ratings.

    Args:
        rater: who looks; a group that they may still get to rate is not shown to them. None: an owner, who sees all.
        query: a text that the role's title, the run, the group's id or one of the questions holds; case is ignored.
        page: from 1.
    """
    conditions = choice.conditions()
    if rater is not None:
        conditions.append(sa.or_(db.groups.c.status != "open", ~leases.not_had(rater)))
    if query:
        like = "%" + query.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
        asked = sa.select(db.questions.c.group_id).where(db.questions.c.text.ilike(like, escape="\\"))
        fields = (db.groups.c.role_title, db.groups.c.run, db.groups.c.group_id)
        conditions.append(sa.or_(*(field.ilike(like, escape="\\") for field in fields), db.groups.c.id.in_(asked)))
    joined = db.ratings.join(db.groups, db.groups.c.id == db.ratings.c.group_id)
    total = c.execute(sa.select(sa.func.count()).select_from(joined).where(*conditions)).scalar_one()
    columns = (
        db.ratings.c.id, db.ratings.c.rater_id, db.ratings.c.all_equal, db.ratings.c.created_at,
        db.ratings.c.group_id.label("key"), db.groups.c.group_id, db.groups.c.run, db.groups.c.policy_step,
        db.groups.c.role_title, db.groups.c.consumed_step, db.groups.c.task, db.ratings.c.revision,
    )  # fmt: skip
    found = sa.select(*columns).select_from(joined).where(*conditions)
    found = found.order_by(db.ratings.c.created_at.desc(), db.ratings.c.id.desc()).limit(size).offset((page - 1) * size)
    rows = c.execute(found).mappings().all()
    return {"ratings": [_entry(c, row) for row in rows], "total": total, "page": page, "size": size}


def _entry(c: sa.Connection, row: sa.RowMapping) -> dict[str, Any]:
    if row["task"] != "score":
        return _compared(c, row)
    query = sa.select(db.scores).join(db.ratings, of_record()).where(db.ratings.c.id == row["id"])
    placed: dict[int, tuple[int, dict[str, int]]] = {}  # position -> candidate and its scores
    for score in c.execute(query.order_by(db.scores.c.position)).mappings():
        placed.setdefault(score["position"], (score["candidate"], {}))[1][score["criterion"]] = score["value"]
    shown = leases.candidates(c, row["key"], [candidate for candidate, _ in placed.values()])
    candidates = [
        {"text": candidate["text"], "position": position, "scores": scores}
        for candidate, (position, (_, scores)) in zip(shown, placed.items(), strict=True)
    ]
    return _item(row, candidates)


def _compared(c: sa.Connection, row: sa.RowMapping) -> dict[str, Any]:
    """Of a rating that compares: the place of each candidate."""
    content = ratings.content_of(c, row["id"], row["revision"])
    places = tasks.places_of(content.comparisons, len(content.shown))
    candidates = [
        {"text": one["text"], "position": position, "scores": {tasks.PLACE: places[candidate]}}
        for position, (one, candidate) in enumerate(
            zip(leases.candidates(c, row["key"], list(content.shown)), content.shown, strict=True), 1
        )
    ]
    return _item(row, candidates)


def _item(row: sa.RowMapping, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "rating_id": row["id"], "group_id": row["group_id"], "run": row["run"], "policy_step": row["policy_step"],
        "role_title": row["role_title"], "rater": accounts.pseudonym(row["rater_id"]), "rated_at": row["created_at"],
        "all_equal": row["all_equal"], "consumed_step": row["consumed_step"], "candidates": candidates,
    }  # fmt: skip
