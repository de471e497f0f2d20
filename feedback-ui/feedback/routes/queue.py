"""Single questions: the simple queue. Each is a group of one on the page."""

from __future__ import annotations

import time
from functools import cache
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query

import database as db
from feedback import groups, views
from feedback.access import Shared, training
from feedback.errors import errors, not_found
from feedback.models.common import RequestId
from feedback.models.training import QueueIn, QueueItem, QueueList, QueueResult, RoleContext
from feedback.practice import all_roles
from recruiter.roles import Role

RUN = "queue"

router = APIRouter(prefix="/api/queue", tags=["queue"], dependencies=[Depends(training)], responses=errors(401))


@router.post("/submit", responses=errors(409))
def submit(body: QueueIn, context: Shared) -> QueueResult:
    """Hand in one question. The same `request_id` again returns the same item."""
    group_id = groups.QUEUE + body.request_id
    role = role_shown(body.role_id, body.role_context)
    with context.database.write() as c:
        groups.submit(c, groups.NewGroup(group_id, RUN, 0, role, [body.question]), time.time())
    return result(body.request_id, context)


@router.get("/result/{request_id}", responses=errors(404))
def result(request_id: RequestId, context: Shared) -> QueueResult:
    """The state of one question."""
    with context.database.read() as c:
        found = views.view_groups(c, context.rubric, [groups.QUEUE + request_id], time.time())
    if not found:
        raise not_found(f"question with the request_id {request_id}")
    (answer,) = found[0]["results"]
    scores = answer["scores"] or dict.fromkeys(context.rubric.names)
    return QueueResult(request_id=request_id, status=answer["status"], reward=answer["reward"], **scores)


@router.get("/pending")
def pending(
    context: Shared,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> QueueList:
    """Questions that wait for a rater, oldest first."""
    waiting = (db.groups.c.run == RUN) & (db.groups.c.status == "open")
    query = (
        sa.select(db.groups, db.questions.c.text)
        .join(db.questions, db.questions.c.group_id == db.groups.c.id)
        .where(waiting)
        .order_by(db.groups.c.id)
        .limit(limit)
        .offset(offset)
    )
    with context.database.read() as c:
        count = c.execute(sa.select(sa.func.count()).select_from(db.groups).where(waiting)).scalar_one()
        items = [
            QueueItem(
                request_id=row["group_id"].removeprefix(groups.QUEUE),
                question=row["text"],
                role_id=row["role"].get("id"),
                created_at=row["created_at"],
                status=views.status_of(row),
            )
            for row in c.execute(query).mappings()
        ]
    return QueueList(count=count, items=items)


def role_shown(role_id: str | None, context: str | RoleContext | None) -> dict[str, Any]:
    """What a rater is shown of a role: what was sent, over what is known of the role with this id."""
    known = known_roles().get(role_id or "")
    role = known.model_dump(mode="json") if known else {"title": role_id or "Role not given"}
    role |= {"id": role_id} if role_id else {}
    if isinstance(context, str):
        return role | {"description": context}
    return role | (context.model_dump(exclude_none=True) if context else {})


@cache
def known_roles() -> dict[str, Role]:
    """The roles that come with the project, by id."""
    return {role.id: role for role in all_roles()}
