"""Groups to practise with, when no training asks: roles that were held out, typed or pasted, and questions for them."""

from __future__ import annotations

import hashlib
import random
import re
import time
from functools import cache

import database as db
from feedback import groups
from feedback.models.practice import TypedRole
from generator import QuestionGenerator
from recruiter.config import REPOSITORY
from recruiter.dataset import read_raw, split_roles
from recruiter.roles import Role, load_roles
from recruiter.writers import Progress

RUN = "practice"
PRIORITY = -1  # what training waits for comes first
TEST_SIZE, SEED = 100, 42  # of scripts/prepare_dataset.py, where it has not run yet
UNKNOWN = "not given"


def random_role() -> Role:
    """One of the held-out roles."""
    return random.SystemRandom().choice(held_out_roles())


@cache
def held_out_roles() -> list[Role]:
    """The test split."""
    path = REPOSITORY / "data/raw/test.parquet"
    return read_raw(path) if path.is_file() else split_roles(all_roles(), TEST_SIZE, SEED)[1]


@cache
def all_roles() -> list[Role]:
    """Every role that comes with the project."""
    return load_roles(REPOSITORY / "data/backend_roles.json")


def typed_role(typed: TypedRole) -> Role:
    """A whole record from what a person filled in; what they left out is said to be not given."""
    return _role(
        typed.title, typed.level or "mid", typed.focus or typed.title, typed.stack, typed.description, typed.key_skills
    )


def pasted_role(text: str) -> Role:
    """A whole record from a pasted description: its first line is the title, known technologies are the stack."""
    lines = [line.strip(" #*-\t") for line in text.splitlines()]
    title = next(line for line in lines if line)[:120]
    level = next(
        (level for word, level in _LEVEL_WORDS.items() if re.search(rf"\b{word}\b", text, re.IGNORECASE)), "mid"
    )
    stack = [term for term in known_terms() if re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text)][:12]
    return _role(title, level, title, stack, text[:4000], [])


_LEVEL_WORDS = {"principal": "principal", "staff": "staff", "senior": "senior", "lead": "senior", "junior": "junior"}


@cache
def known_terms() -> list[str]:
    """Technologies that roles list, longest first."""
    return sorted({term for role in all_roles() for term in role.stack}, key=lambda term: (-len(term), term))


def group_for(database: db.Database, generator: QuestionGenerator, role: Role, count: int, progress: Progress) -> str:
    """Have questions written for a role and put them into the queue; return the group's id."""
    questions = [text.replace("\0", "") for text in generator.write(role, count, progress)]
    shown = role.model_dump(mode="json")
    shown |= {name: [] for name in ("stack", "key_skills") if shown[name] == [UNKNOWN]}
    if role.description == UNKNOWN:
        shown["description"] = ""
    new = groups.NewGroup(groups.new_practice_id(), RUN, 0, shown, questions, priority=PRIORITY)
    with database.write() as c:
        groups.submit(c, new, time.time())
    return new.group_id


def _role(title: str, level: str, focus: str, stack: list[str], description: str, key_skills: list[str]) -> Role:
    record = {
        "title": title, "level": level, "focus": focus, "stack": stack or [UNKNOWN],
        "description": description.strip() or UNKNOWN, "key_skills": key_skills or stack or [UNKNOWN],
    }  # fmt: skip
    return Role(id=f"typed-{hashlib.sha256(repr(record).encode()).hexdigest()[:12]}", **record)  # type: ignore[arg-type]
