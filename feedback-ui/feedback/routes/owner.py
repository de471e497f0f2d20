"""What only an owner may do: links for raters, deletion."""

from __future__ import annotations

import time
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Path

import database as db
from feedback import accounts, groups, guidelines
from feedback.access import Owner, Shared
from feedback.errors import errors, not_found
from feedback.models.common import Identifier
from feedback.models.owner import EraseIn, Guidelines, NewLink, Ok, RaterIn, RaterList, RaterView

router = APIRouter(prefix="/api/owner", tags=["owner"], responses=errors(401, 403))
RaterId = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/raters")
def list_raters(_: Owner, context: Shared) -> RaterList:
    """All raters."""
    with context.database.read() as c:
        return RaterList(raters=[RaterView(**rater) for rater in accounts.listing(c)])


@router.post("/raters", status_code=201)
def create_rater(body: RaterIn, _: Owner, context: Shared) -> NewLink:
    """Make a link for a person. It is shown once; its secret stands behind the #, which no server logs."""
    with context.database.write() as c:
        row = accounts.create(c, body.name, body.role, time.time())
    return NewLink(id=row["id"], path=accounts.join_url("", context.keys.link_token(row["link"])))


@router.delete("/raters/{rater}", responses=errors(404))
def revoke_rater(rater: RaterId, _: Owner, context: Shared) -> Ok:
    """Revoke a person's link and sign them out. What they rated stays."""
    with context.database.write() as c:
        if not accounts.revoke(c, rater, time.time()):
            raise not_found(f"link of rater {rater}")
    return Ok()


@router.post("/raters/{rater}/erase", responses=errors(404))
def erase_rater(rater: RaterId, body: EraseIn, _: Owner, context: Shared) -> Ok:
    """Forget a person: name, link, sessions and notes; the ratings as well, or not."""
    with context.database.write() as c:
        if not accounts.erase(c, rater, body.ratings == "delete", time.time()):
            raise not_found(f"rater {rater}")
    return Ok()


@router.put("/guidelines")
def set_guidelines(body: Guidelines, _: Owner, context: Shared) -> Guidelines:
    """Replace the guidelines that every rater sees before they start."""
    with context.database.write() as c:
        guidelines.write(c, body.text, time.time())
    return body


@router.delete("/groups/{group_id}", responses=errors(404))
def delete_group(group_id: Identifier, _: Owner, context: Shared) -> Ok:
    """Delete a group with its ratings, for good."""
    with context.database.write() as c:
        if not groups.lock(c, [group_id]):
            raise not_found(f"group {group_id}")
        c.execute(sa.delete(db.groups).where(db.groups.c.group_id == group_id))
        c.info["group_changed"] = True
    return Ok()
