"""Sheets for blind reads: roles and their questions in a random order, letters for names, and the key that undoes it."""

from __future__ import annotations

import hashlib
import json
import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recruiter.errors import DataError
from recruiter.evaluation.reads import read_figures
from recruiter.evaluation.records import Sheet, SheetItem
from recruiter.evaluation.results import Results
from recruiter.roles import Role


@dataclass(frozen=True)
class SheetRole:
    """A role as a reader sees it: its number, and its questions by id."""

    number: int
    role: Role
    questions: dict[str, str]


def make_sheet(results: Results, seed: int, roles: int | None = None) -> Sheet:
    """A sheet of every question there is, each text of a role once.

    Args:
        seed: of the order, and of the choice of roles.
        roles: how many; None: all that have a question.

    Raises:
        DataError: no model wrote a question.
    """
    by_role: dict[str, dict[str, list[tuple[str, int]]]] = {}
    for sample in results.samples:
        if sample.question is not None:
            texts = by_role.setdefault(sample.role_id, {})
            texts.setdefault(sample.question.strip(), []).append((sample.model, sample.sample))
    if not by_role:
        raise DataError("There is nothing to read: no model wrote a question.")
    generator = random.Random(seed)
    order = generator.sample(sorted(by_role), min(roles or len(by_role), len(by_role)))
    items = []
    for number, role in enumerate(order, 1):
        writers = sorted(by_role[role].values())
        generator.shuffle(writers)
        items += [
            SheetItem(id=f"{number}{letters(place)}", role_id=role, samples=samples)
            for place, samples in enumerate(writers)
        ]
    salt = secrets.token_hex(16)
    return Sheet(seed=seed, salt=salt, hash=hashlib.sha256(_key(seed, salt, items).encode()).hexdigest(), items=items)


def key_text(sheet: Sheet) -> str:
    """The key as it is kept in a file; the sheet's hash is its SHA-256."""
    return _key(sheet.seed, sheet.salt, sheet.items)


def sheet_roles(results: Results, sheet: Sheet) -> Iterator[SheetRole]:
    """What stands on a sheet, in its order."""
    roles = {role.id: role for role in results.roles}
    texts = {(s.model, s.role_id, s.sample): s.question or "" for s in results.samples}
    questions: dict[str, dict[str, str]] = {}
    for item in sheet.items:
        model, index = item.samples[0]
        questions.setdefault(item.role_id, {})[item.id] = texts[model, item.role_id, index].strip()
    for number, (role, asked) in enumerate(questions.items(), 1):
        yield SheetRole(number, roles[role], asked)


def with_sheet(results: Results, sheet: Sheet) -> Results:
    """The results with a sheet, and the figures of its readings if there are any."""
    reads = read_figures(results, sheet) if sheet.readings else None
    flags = [flag for flag in results.flags if not flag.startswith("Reader ")] + [
        f"Reader {reader}: it is the contestant {name}, and may favour its own questions."
        for reader in sheet.readings
        for name, model in results.models.items()
        if reader in (name, model.source)
    ]
    return Results.model_validate({**dict(results), "sheet": sheet, "reads": reads, "flags": flags})


def is_of(sheet: Sheet, results: Results, earlier: Results) -> bool:
    """Whether the questions of `earlier`, which a sheet is of, are the same in `results`, and nobody else wrote."""
    texts, before = ({(s.model, s.role_id, s.sample): s.question for s in each.samples} for each in (results, earlier))
    on_it = {(model, item.role_id, index) for item in sheet.items for model, index in item.samples}
    return results.models.keys() == earlier.models.keys() and all(texts.get(s) == before[s] for s in on_it)


def _key(seed: int, salt: str, items: Sequence[SheetItem]) -> str:
    who = {item.id: {"role": item.role_id, "written_by": item.samples} for item in items}
    return json.dumps({"salt": salt, "seed": seed, "questions": who}, indent=1) + "\n"


def letters(place: int) -> str:
    """The letter of a question's place among those of its role: A to Z, then AA, as columns of a spreadsheet."""
    first, last = divmod(place, 26)
    return (letters(first - 1) if first else "") + chr(ord("A") + last)
