"""What only an owner may do: links for raters, deletion."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path as File
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Path

import database as db
from feedback import accounts, checks, groups, guidelines, importing
from feedback.access import Owner, Shared
from feedback.errors import Refusal, errors, not_found
from feedback.models.common import Identifier
from feedback.models.owner import (
    EraseIn,
    GoldIn,
    Guidelines,
    ImportIn,
    NewLink,
    Ok,
    RaterChange,
    RaterIn,
    RaterList,
    RaterView,
    Steadiness,
    SteadinessList,
    Told,
)
from recruiter.errors import DataError

router = APIRouter(prefix="/api/owner", tags=["owner"], responses=errors(401, 403))
RaterId = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/raters")
def list_raters(_: Owner, context: Shared) -> RaterList:
    """All raters."""
    with context.database.read() as c:
        return RaterList(raters=[RaterView(**rater) for rater in accounts.listing(c, time.time())])


@router.post("/raters", status_code=201)
def create_rater(body: RaterIn, _: Owner, context: Shared) -> NewLink:
    """Make a link for a person. It is shown once; its secret stands behind the #, which no server logs."""
    with context.database.write() as c:
        row = accounts.create(c, body.name, body.role, time.time())
    return NewLink(id=row["id"], path=accounts.join_url("", context.keys.link_token(row["link"])))


@router.patch("/raters/{rater}", responses=errors(404))
def change_rater(rater: RaterId, body: RaterChange, _: Owner, context: Shared) -> Ok:
    """Rename a person, or say whose groups they get first."""
    with context.database.write() as c:
        if not accounts.change(c, rater, body.name, body.fields):
            raise not_found(f"rater {rater}")
    return Ok()


@router.post("/raters/{rater}/link", status_code=201, responses=errors(404))
def replace_link(rater: RaterId, _: Owner, context: Shared) -> NewLink:
    """A new link for a person who has one; the old one ends, and so do its sessions."""
    with context.database.write() as c:
        link = accounts.new_link(c, rater)
    if link is None:
        raise not_found(f"link of rater {rater}")
    return NewLink(id=rater, path=accounts.join_url("", context.keys.link_token(link)))


@router.get("/steadiness")
def steadiness(_: Owner, context: Shared) -> SteadinessList:
    """How steadily people rate. For owners, to talk about the criteria with."""
    with context.database.read() as c:
        gold = c.execute(sa.select(sa.func.count()).where(db.groups.c.is_gold)).scalar_one()
        return SteadinessList(
            gold_groups=gold, raters=[Steadiness(**one) for one in checks.steadiness(c, context.rubric)]
        )


@router.put("/groups/{group_id}/gold", responses=errors(404, 409))
def set_gold(group_id: Identifier, body: GoldIn, _: Owner, context: Shared) -> Ok:
    """Say that a group's ratings are known answers: copies of it are given to raters as checks."""
    with context.database.write() as c:
        found = groups.lock(c, [group_id])
        if not found:
            raise not_found(f"group {group_id}")
        if body.is_gold and not found[0]["rating_count"]:
            raise Refusal(409, "unrated", "Nobody has rated this group; rate it yourself first.")
        c.execute(sa.update(db.groups).where(db.groups.c.id == found[0]["id"]).values(is_gold=body.is_gold))
    return Ok()


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


@router.post("/import", status_code=201)
def import_ratings(body: ImportIn, _: Owner, context: Shared) -> Told:
    """Take in ratings from the text of a file: what was exported, or a table with group_id, question, rater and criteria."""
    with tempfile.TemporaryDirectory() as folder:
        file = File(folder) / f"the file.{body.format}"
        file.write_text(body.text, encoding="utf-8", newline="")
        try:
            return Told(message=importing.told(importing.import_file(context.database, context.rubric, file)))
        except DataError as error:
            raise Refusal(422, "invalid", str(error).replace(str(file), "the file")) from None


@router.delete("/groups/{group_id}", responses=errors(404))
def delete_group(group_id: Identifier, _: Owner, context: Shared) -> Ok:
    """Delete a group with its ratings, for good."""
    with context.database.write() as c:
        if not groups.lock(c, [group_id]):
            raise not_found(f"group {group_id}")
        c.execute(sa.delete(db.groups).where(db.groups.c.group_id == group_id))
        c.info["group_changed"] = True
    return Ok()
