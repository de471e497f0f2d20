"""The bank: questions that the team keeps, with versions, tags and uses; those much alike are found before one is kept.

An edit is data: the texts before it and the one that stands are pairs for preference training (`export.py`). A question that
leaked is retired for everybody and stays, so that it is recognised when somebody keeps it again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import ValidationError

import database as db
from feedback import accounts, alike
from feedback.errors import Refusal, not_found
from feedback.models.bank import Alike, BankDetail, BankPage, BankQuestion, EditIn, KeepIn, RetireIn, UseIn
from recruiter.errors import DataError
from recruiter.roles import Role
from recruiter.roles.completing import complete_role
from recruiter.roles.rows import read_rows, split_list
from recruiter.writers.kit import Guide, KitQuestion
from recruiter.writers.kit.lint import lint

State = Literal["active", "retired", "all"]
MOST_ALIKE, MOST_COMPARED, MOST_REPLACEMENTS = 5, 60, 3
MOST_WORDS = 12  # of a search
NOTHING = Guide()  # what somebody leaves who takes a guide away


@dataclass(frozen=True)
class Kept:
    """What there is to know of a question that is kept."""

    role: Role
    text: str
    skill: str = ""
    entry: KitQuestion | None = None
    tags: Sequence[str] = ()
    retired_reason: str | None = None


def find(
    c: sa.Connection, query: str = "", tag: str = "", state: State = "active", page: int = 1, size: int = 20
) -> BankPage:
    """Questions that have all words of `query` in their title, skill, level, text or tags, newest first."""
    b, t = db.bank, db.bank_tags
    position = sa.func.instr if c.dialect.name == "sqlite" else sa.func.strpos
    conditions = [position(b.c.search, word) > 0 for word in query.casefold().split()[:MOST_WORDS]]
    if state != "all":
        conditions.append(b.c.retired_at.is_(None) if state == "active" else b.c.retired_at.is_not(None))
    if tag:
        conditions.append(b.c.id.in_(sa.select(t.c.bank_id).where(t.c.tag == tag.strip().lower())))
    total = c.execute(sa.select(sa.func.count()).select_from(b).where(*conditions)).scalar_one()
    shown = sa.select(b.c.id).where(*conditions).order_by(b.c.updated_at.desc(), b.c.id.desc())
    ids = c.execute(shown.limit(size).offset((page - 1) * size)).scalars().all() if total else []
    tags = c.execute(sa.select(t.c.tag).distinct().order_by(t.c.tag)).scalars().all()
    return BankPage(questions=questions(c, ids), total=total, tags=list(tags))


def questions(c: sa.Connection, ids: Sequence[int]) -> list[BankQuestion]:
    """Questions as they are shown, in the order of `ids`."""
    used, uses = db.bank_used, db.bank_uses
    rows = {row["id"]: row for row in c.execute(sa.select(db.bank).where(db.bank.c.id.in_(ids))).mappings()}
    tags: dict[int, list[str]] = {}
    for key, tag in c.execute(sa.select(db.bank_tags).where(db.bank_tags.c.bank_id.in_(ids)).order_by("tag")):
        tags.setdefault(key, []).append(tag)
    counted = sa.select(used.c.bank_id, sa.func.count(), sa.func.max(uses.c.created_at))
    counted = counted.join(uses, uses.c.id == used.c.use_id).where(used.c.bank_id.in_(ids)).group_by(used.c.bank_id)
    times = {key: (count, last) for key, count, last in c.execute(counted)}
    return [_view(rows[key], tags.get(key, []), *times.get(key, (0, None))) for key in ids]


def detail(c: sa.Connection, key: int) -> BankDetail:
    """A question with its versions and uses, and what could be asked in its place once it is retired.

    Raises:
        Refusal: 404.
    """
    row = _row(c, key)
    v, used, uses = db.bank_versions, db.bank_used, db.bank_uses
    versions = c.execute(sa.select(v).where(v.c.bank_id == key).order_by(v.c.version.desc())).mappings()
    query = sa.select(uses, used.c.version).join(used, used.c.use_id == uses.c.id).where(used.c.bank_id == key)
    return BankDetail(
        question=questions(c, [key])[0],
        versions=[{**one, "by": _by(one["rater_id"])} for one in versions],  # type: ignore[misc]
        uses=[
            {**one, "by": _by(one["rater_id"]), "used_at": one["created_at"]}  # type: ignore[misc]
            for one in c.execute(query.order_by(uses.c.created_at.desc())).mappings()
        ],
        replacements=questions(c, _replacements(c, row)) if row["retired_at"] is not None else [],
    )


def find_alike(c: sa.Connection, text: str, but: int | None = None) -> list[Alike]:
    """Questions of any role that are much alike, retired ones too, the most alike first."""
    s, b = db.bank_bands, db.bank
    shared = sa.func.count()
    near = sa.select(s.c.bank_id).where(s.c.band.in_(alike.bands(text)), s.c.bank_id != (but or 0))
    near = near.group_by(s.c.bank_id).order_by(shared.desc(), s.c.bank_id).limit(MOST_COMPARED)
    ids = c.execute(near).scalars().all()
    query = sa.select(b.c.id, b.c.text, b.c.role_title, b.c.retired_at).where(b.c.id.in_(ids))
    own = alike.trigrams(text)
    found = [
        Alike(id=key, text=other, role_title=title, retired=retired is not None,
              likeness=round(alike.likeness(own, alike.trigrams(other)), 3))
        for key, other, title, retired in c.execute(query)
    ]  # fmt: skip
    found = sorted((one for one in found if one.likeness >= alike.ALIKE), key=lambda one: (-one.likeness, one.id))
    return found[:MOST_ALIKE]


def keep(
    c: sa.Connection, kept: Kept, rater: int | None, now: float, request_id: str | None = None
) -> tuple[int, bool]:
    """Keep a question; its number, and False if the bank has this text for this title already, under that number.

    Asked again under the same `request_id` it is there once.
    """
    digest = _digest(kept.role.title, kept.text)
    values = {
        "request_id": request_id, "digest": digest, "role": kept.role.model_dump(mode="json"), "role_title": kept.role.title,
        "skill": kept.skill, "text": kept.text, "entry": kept.entry.model_dump(mode="json") if kept.entry else None,
        "search": _search(kept), "version": 1, "rater_id": rater, "created_at": now, "updated_at": now,
        "retired_at": None if kept.retired_reason is None else now, "retired_reason": kept.retired_reason,
    }  # fmt: skip
    insert = db.insert_into(c, db.bank).values(values).on_conflict_do_nothing().returning(db.bank.c.id)
    same = [(db.bank.c.request_id == request_id, True)] if request_id else []
    while (key := c.execute(insert).scalar_one_or_none()) is None:
        for condition, is_kept in [*same, (db.bank.c.digest == digest, False)]:
            there = c.execute(sa.select(db.bank.c.id).where(condition)).scalar_one_or_none()
            if there is not None:
                return int(there), is_kept
    _add_version(c, key, 1, kept, rater, now)
    _index(c, key, kept)
    return int(key), True


def edit(c: sa.Connection, key: int, wish: EditIn, rater: int | None, now: float) -> None:
    """Change a question; another text or guide is a new version.

    Raises:
        Refusal: 404; 409 if somebody changed it meanwhile, or the bank has this text for this title already.
    """
    row = _row(c, key, lock=True)
    if row["version"] != wish.version:
        raise Refusal(409, "changed", "Somebody has changed this question meanwhile: load it again.")
    entry = KitQuestion(**row["entry"]) if row["entry"] else None
    tags = c.execute(sa.select(db.bank_tags.c.tag).where(db.bank_tags.c.bank_id == key)).scalars().all()
    role, text = Role(**row["role"]), row["text"] if wish.text is None else wish.text
    skill = row["skill"] if wish.skill is None else wish.skill
    guide = wish.guide if wish.guide and wish.guide != NOTHING else None
    new_guide = wish.guide is not None and guide != (entry.guide if entry else None)
    is_new = new_guide or text != row["text"]
    if new_guide:
        entry = entry or KitQuestion(question=text, skill=skill, level=role.level)
        missing = [reason for reason in entry.missing if not reason.startswith("No guide")]
        entry = entry.model_copy(update={"guide": guide, "missing": missing})
    if entry and is_new:  # what a judge and lint said is of another version
        entry = entry.model_copy(update={"checked": None, "hints": lint(text)})
    version = row["version"] + is_new
    kept = Kept(role, text, skill, entry, tags if wish.tags is None else wish.tags)
    digest = _digest(kept.role.title, kept.text)
    values = {
        "digest": digest, "skill": kept.skill, "text": kept.text, "search": _search(kept), "version": version,
        "entry": kept.entry.model_dump(mode="json") if kept.entry else None, "updated_at": now,
    }  # fmt: skip
    try:
        with c.begin_nested():
            c.execute(sa.update(db.bank).where(db.bank.c.id == key).values(values))
    except sa.exc.IntegrityError:
        raise known(c.execute(sa.select(db.bank.c.id).where(db.bank.c.digest == digest)).scalar()) from None
    if is_new:
        _add_version(c, key, version, kept, rater, now)
    _index(c, key, kept)


def set_retired(c: sa.Connection, key: int, reason: str | None, now: float) -> None:
    """Retire a question for everybody, or take it back (`reason` None).

    Raises:
        Refusal: 404.
    """
    _row(c, key, lock=True)
    values = {"retired_at": None if reason is None else now, "retired_reason": reason, "updated_at": now}
    c.execute(sa.update(db.bank).where(db.bank.c.id == key).values(values))


def note_use(c: sa.Connection, use: UseIn, rater: int, now: float) -> None:
    """Note that a set was asked.

    Raises:
        Refusal: 404; 409 if one of its questions is retired.
    """
    ids = sorted(set(use.questions))
    rows = {key: _row(c, key, lock=True) for key in ids}
    if retired := [str(key) for key, row in rows.items() if row["retired_at"] is not None]:
        raise Refusal(409, "retired", f"Retired, and to be replaced first: {', '.join(retired)}.")
    values = {"request_id": use.request_id, "name": use.name, "role_title": use.role_title, "rater_id": rater,
              "created_at": now}  # fmt: skip
    insert = db.insert_into(c, db.bank_uses).values(values).on_conflict_do_nothing().returning(db.bank_uses.c.id)
    if (made := c.execute(insert).scalar_one_or_none()) is not None:
        held = [{"use_id": made, "bank_id": key, "version": row["version"]} for key, row in rows.items()]
        c.execute(sa.insert(db.bank_used), held)


def import_file(database: db.Database, path: Path, rater: int | None) -> str:
    """Take in all questions of a table or of kits, or, if one is wrong, none; what became of them, in a sentence.

    A row has `question` and a role: as JSON in `role`, or in columns as roles have them. `skill`, `tags`, `entry` (JSON) and
    `retired_reason` are taken over. A kit's JSON is taken question by question.

    Raises:
        DataError: naming the line, and what is wrong there.
    """
    found = [kept for place, row in read_rows(path) for kept in _kept(place, row)]
    if not found:
        raise DataError(f"{path} holds no questions.")
    with database.write() as c:
        db.go_alone(c, db.IMPORT_LOCK)
        now = time.time()
        made = sum(keep(c, kept, rater, now)[1] for kept in found)
    known_ones = f"; {len(found) - made} were there already" if made < len(found) else ""
    return f"Took in {made} question{'' if made == 1 else 's'}{known_ones}."


def known(key: int | None) -> Refusal:
    """The 409 of a text that is there; None: its number is not known any more."""
    number = "" if key is None else f": number {key}"
    return Refusal(409, "known", f"The bank has this question for this title already{number}.")


def _kept(place: str, row: Mapping[str, Any]) -> Iterator[Kept]:
    if isinstance(row.get("kits"), list):
        for kit in row["kits"]:
            yield from _kept(place, kit)
        return
    try:
        if isinstance(row.get("questions"), list):
            role = Role.model_validate(row.get("role"))
            for one in row["questions"]:
                made = KitQuestion.model_validate(one)
                yield _checked(role, made.question, made.skill, made, [])
            return
        role = _role(place, row)
        entry = KitQuestion.model_validate_json(str(row["entry"])) if "entry" in row else None
        tags = [str(tag) for tag in split_list(row.get("tags", [])) or []]
        text, skill = (str(row.get(name, "")) for name in ("question", "skill"))
        kept = _checked(role, text, skill, entry, tags)
        leaked = RetireIn(reason=str(row["retired_reason"])).reason if "retired_reason" in row else None
        yield replace(kept, retired_reason=leaked)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the row"
        raise DataError(f"{place}, field '{field}': {first['msg']}.") from None


def _checked(role: Role, text: str, skill: str, entry: KitQuestion | None, tags: Sequence[str]) -> Kept:
    body = KeepIn(
        request_id="import", role=role, text=text, skill=" ".join(skill.split()), entry=entry, tags=list(tags)
    )
    return Kept(role, body.text, body.skill, entry, body.tags)


def _role(place: str, row: Mapping[str, Any]) -> Role:
    """The role of a row: a whole record as JSON, or what its columns say of it."""
    role = row.get("role")
    if isinstance(role, dict):
        return Role.model_validate(role)
    if isinstance(role, str) and role.lstrip().startswith("{"):
        return Role.model_validate_json(role)
    return complete_role(row, place).role


def _replacements(c: sa.Connection, row: sa.RowMapping) -> list[int]:
    """Questions for the same skill or title, those that fit best and were asked least first; none that is much alike."""
    b, used = db.bank, db.bank_used
    same_skill = sa.case((sa.and_(b.c.skill == row["skill"], b.c.skill != ""), 2), else_=0)
    same_title = sa.case((b.c.role_title == row["role_title"], 1), else_=0)
    fit = same_skill + same_title
    asked = sa.select(sa.func.count()).where(used.c.bank_id == b.c.id).correlate(b).scalar_subquery()
    alive = sa.and_(b.c.retired_at.is_(None), b.c.id != row["id"], fit > 0)
    query = sa.select(b.c.id, b.c.text).where(alive).order_by(fit.desc(), asked, b.c.id).limit(MOST_COMPARED)
    leaked = alike.trigrams(row["text"])
    fitting = [key for key, text in c.execute(query) if alike.likeness(leaked, alike.trigrams(text)) < alike.ALIKE]
    return fitting[:MOST_REPLACEMENTS]


def _row(c: sa.Connection, key: int, lock: bool = False) -> sa.RowMapping:
    query = sa.select(db.bank).where(db.bank.c.id == key)
    row = c.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise not_found(f"question {key} in the bank")
    return row


def _add_version(c: sa.Connection, key: int, number: int, kept: Kept, rater: int | None, now: float) -> None:
    guide = kept.entry.guide.model_dump(mode="json") if kept.entry and kept.entry.guide else None
    values = {
        "bank_id": key,
        "version": number,
        "text": kept.text,
        "guide": guide,
        "rater_id": rater,
        "created_at": now,
    }
    c.execute(sa.insert(db.bank_versions).values(values))


def _index(c: sa.Connection, key: int, kept: Kept) -> None:
    """Tags, and what finds questions that are much alike."""
    for table, column, values in (
        (db.bank_tags, "tag", sorted(set(kept.tags))),
        (db.bank_bands, "band", sorted(set(alike.bands(kept.text)))),
    ):
        c.execute(sa.delete(table).where(table.c.bank_id == key))
        if values:
            c.execute(sa.insert(table).values([{"bank_id": key, column: value} for value in values]))


def _search(kept: Kept) -> str:
    parts = (kept.role.title, kept.skill, kept.role.level, kept.text, *kept.tags)
    return "\n".join(parts).casefold()


def _digest(title: str, text: str) -> str:
    folded = "\n".join(" ".join(part.casefold().split()) for part in (title, text))
    return hashlib.sha256(folded.encode()).hexdigest()


def _by(rater: int | None) -> str | None:
    return None if rater is None else accounts.pseudonym(rater)


def _view(row: sa.RowMapping, tags: list[str], uses: int, last: float | None) -> BankQuestion:
    entry = row["entry"] and {**row["entry"], "question": row["text"], "skill": row["skill"]}
    return BankQuestion(
        **{**row, "entry": entry}, tags=tags, kept_by=_by(row["rater_id"]), uses=uses, last_used_at=last
    )
