"""The bank: keep, find, edit, retire and use questions, and take in a file of them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path as File
from typing import Annotated

from fastapi import APIRouter, Path, Query

from feedback import bank, practice
from feedback.access import Rating, Shared, SignedIn
from feedback.errors import Refusal, errors
from feedback.models.bank import (
    BankDetail,
    BankImportIn,
    BankPage,
    Checked,
    CheckIn,
    EditIn,
    KeepIn,
    RetireIn,
    UseIn,
)
from feedback.models.common import CLEAN
from feedback.models.owner import Ok, Told
from recruiter.errors import DataError
from recruiter.roles import Role
from recruiter.writers.kit.lint import lint

router = APIRouter(prefix="/api/bank", tags=["bank"], responses=errors(401))
Key = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("")
def find(
    _: SignedIn,
    context: Shared,
    query: Annotated[str, Query(max_length=200, pattern=CLEAN)] = "",
    tag: Annotated[str, Query(max_length=40, pattern=CLEAN)] = "",
    state: bank.State = "active",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> BankPage:
    """Questions that have all words of a search in title, skill, level, text or tags, newest first."""
    with context.database.read() as c:
        return bank.find(c, query, tag, state, page, size)


@router.post("", status_code=201, responses=errors(403, 409))
def keep(body: KeepIn, rater: Rating, context: Shared) -> BankDetail:
    """Keep a question."""
    role = body.role if isinstance(body.role, Role) else practice.typed_role(body.role).role
    kept = bank.Kept(role, body.text, body.skill or (body.entry.skill if body.entry else ""), body.entry, body.tags)
    with context.database.write() as c:
        key, is_kept = bank.keep(c, kept, rater.id, time.time(), body.request_id)
        if not is_kept:
            raise bank.known(key)
        return bank.detail(c, key)


@router.post("/check", responses=errors(403))
def check(body: CheckIn, _: Rating, context: Shared) -> Checked:
    """Hints about a question, and questions of the bank that are much alike, for any role."""
    with context.database.read() as c:
        return Checked(hints=lint(body.text), alike=bank.find_alike(c, body.text, body.id))


@router.post("/uses", status_code=201, responses=errors(403, 404, 409))
def use(body: UseIn, rater: Rating, context: Shared) -> Ok:
    """Note that a set was asked, and for which role."""
    with context.database.write() as c:
        bank.note_use(c, body, rater.id, time.time())
    return Ok()


@router.post("/import", status_code=201, responses=errors(403))
def take_in(body: BankImportIn, rater: Rating, context: Shared) -> Told:
    """Take in questions from the text of a file: what was exported, kits, or a table with question, title and stack."""
    with tempfile.TemporaryDirectory() as folder:
        file = File(folder) / f"the file.{body.format}"
        file.write_text(body.text, encoding="utf-8", newline="")
        try:
            return Told(message=bank.import_file(context.database, file, rater.id))
        except DataError as error:
            raise Refusal(422, "invalid", str(error).replace(str(file), "the file")) from None


@router.get("/{key}", responses=errors(404))
def look(key: Key, _: SignedIn, context: Shared) -> BankDetail:
    """A question with its versions, its uses, and what could replace it once it is retired."""
    with context.database.read() as c:
        return bank.detail(c, key)


@router.patch("/{key}", responses=errors(403, 404, 409))
def edit(key: Key, body: EditIn, rater: Rating, context: Shared) -> BankDetail:
    """Change text, skill, guide or tags. Another text or guide is a new version."""
    with context.database.write() as c:
        bank.edit(c, key, body, rater.id, time.time())
        return bank.detail(c, key)


@router.post("/{key}/retire", responses=errors(403, 404))
def retire(key: Key, body: RetireIn, _: Rating, context: Shared) -> BankDetail:
    """Retire a question that leaked, for everybody at once; what could replace it is proposed."""
    with context.database.write() as c:
        bank.set_retired(c, key, body.reason, time.time())
        return bank.detail(c, key)


@router.post("/{key}/restore", responses=errors(403, 404))
def restore(key: Key, _: Rating, context: Shared) -> BankDetail:
    """Take a retirement back."""
    with context.database.write() as c:
        bank.set_retired(c, key, None, time.time())
        return bank.detail(c, key)
