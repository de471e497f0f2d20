"""Judging lists of questions outside training: reading them, and having them judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from recruiter.errors import DataError
from recruiter.files import read_text
from recruiter.judges import Judge
from recruiter.llm.loop_thread import run_async
from recruiter.roles import Role
from recruiter.roles.completing import complete_role, read_roles
from recruiter.roles.rows import DOCUMENTS, TABLES, read_rows
from recruiter.rubric import Judgement

AT_A_TIME = 256  # questions on their way; the judge decides how many of them it asks about at once
Entry = tuple[Role, str]
TEXTS = (".txt", ".md", ".html", ".htm")  # how files of advertisements end
LONGEST_NAME = 250  # letters; what is longer is a text, not the name of a file


def find_role(name: str, roles: Mapping[str, Role]) -> Role:
    """A role by its id in `roles`, or from a file that holds one: a table or JSON, or the text of an advertisement.

    Raises:
        DataError: there is neither, or the file holds something else.
    """
    if name in roles:
        return roles[name]
    path = Path(name)
    if text := read_advertisement_file(name):
        return complete_role({"description": text}, name).role
    if not path.is_file():
        raise DataError(f"--role {name} is neither an id of the roles nor a file with a role.")
    found = read_roles(path)
    if len(found) > 1:
        raise DataError(f"{path} holds {len(found)} roles; --role takes one.")
    return found[0].role


def read_advertisement_file(name: str) -> str | None:
    """The text of a file of that name; None: it is no name of a file, or that of a table.

    Raises:
        DataError: the file is missing, or no text.
    """
    path = Path(name)
    suffix = path.suffix.lower()
    if len(name) > LONGEST_NAME or is_table(name):
        return None
    is_name = path.is_file() or (suffix in (*TEXTS, *DOCUMENTS) and len(name.split()) == 1)
    if is_name and suffix in DOCUMENTS:
        raise DataError(f"{name} is no text that can be read here; save it as .txt, .md or .html.")
    return read_text(path, may_be_8_bit=True) if is_name else None


def is_table(name: str) -> bool:
    """Whether a text is the name of a file that holds a table or JSON."""
    return len(name) <= LONGEST_NAME and Path(name).suffix.lower() in TABLES and Path(name).is_file()


def read_questions(path: Path, roles: Mapping[str, Role], role: Role | None = None) -> list[Entry]:
    """Questions with their roles from a CSV, JSON or JSONL file.

    Args:
        path: rows with `question`, and with `role_id` or `id`, or with the fields of a role, or with none of these.
        roles: where ids are looked up.
        role: for rows that name none.

    Raises:
        DataError: naming the file, the line and what it lacks.
    """
    entries = []
    for place, record in read_rows(path):
        row = {**record, **(record["role"] if isinstance(record.get("role"), dict) else {})}
        if not isinstance(row.get("question"), str):
            raise DataError(f"{place}: it has no text in a column 'question'.")
        fields = {name: row[name] for name in Role.model_fields if name not in ("id",) and row.get(name)}
        known = row.get("role_id") or row.get("id")
        if fields:
            found = complete_role({"id": known, **fields}, place).role
        elif known is not None and known != "":
            if str(known) not in roles:
                raise DataError(f"{place}: there is no role '{known}'; name another file of roles with --roles.")
            found = roles[str(known)]
        elif role is not None:
            found = role
        else:
            raise DataError(f"{place}: it names no role; add a column 'role_id', or give one role with --role.")
        entries.append((found, row["question"]))
    if not entries:
        raise DataError(f"{path} holds no questions.")
    return entries


def judge_all(judge: Judge, entries: Sequence[Entry], progress: Callable[[], None] = lambda: None) -> list[Judgement]:
    """A judgement for every entry, in order; `progress` is called after each.

    Raises:
        ApiError: the judge cannot be used any more; what arrived is in its cache.
    """

    async def run() -> list[Judgement]:
        slots = asyncio.Semaphore(AT_A_TIME)

        async def judge_entry(role: Role, question: str) -> Judgement:
            async with slots:
                (judgement,) = await judge.score(role, [question])
            progress()
            return judgement

        try:
            return await asyncio.gather(*(judge_entry(role, question) for role, question in entries))
        finally:
            await judge.close()

    return run_async(run())
