"""Groups to practise with, when no training asks: roles that were held out, typed or pasted, and questions for them."""

from __future__ import annotations

import random
import time
from functools import cache
from typing import Any

import database as db
from feedback import groups
from feedback.errors import Refusal
from feedback.models.practice import TypedRole
from feedback.runs import PRACTICE
from generator import QuestionGenerator
from recruiter.config.paths import ROLES, WORKSPACE
from recruiter.errors import DataError
from recruiter.roles import Role, load_roles
from recruiter.roles.completing import CompletedRole, complete_role
from recruiter.roles.dataset import read_raw, split_roles
from recruiter.writers.generate import Report

PRIORITY = -1  # what training waits for comes first


def random_role() -> Role:
    """One of the held-out roles."""
    return random.SystemRandom().choice(held_out_roles())


@cache
def held_out_roles() -> list[Role]:
    """The test split."""
    path = WORKSPACE / "data/raw/test.parquet"
    return read_raw(path) if path.is_file() else split_roles(all_roles())[1]


@cache
def all_roles() -> list[Role]:
    """Every role that comes with the project."""
    return load_roles(ROLES)


def typed_role(typed: TypedRole) -> CompletedRole:
    """A whole record from what a person filled in.

    Raises:
        Refusal: 422, too little is known of the role.
    """
    return _complete(typed.model_dump())


def pasted_role(text: str) -> CompletedRole:
    """A whole record from a pasted description.

    Raises:
        Refusal: 422, it names no title or no technology.
    """
    return _complete({"description": text})


def group_for(database: db.Database, generator: QuestionGenerator, role: Role, count: int, report: Report) -> str:
    """Have questions written for a role and put them into the queue; return the group's id."""
    questions = [question.text.replace("\0", "") for question in generator.write(role, count, report).questions]
    group_id = groups.new_practice_id()
    new = groups.NewGroup(group_id, PRACTICE, 0, role.model_dump(mode="json"), questions, priority=PRIORITY)
    with database.write() as c:
        groups.submit(c, new, time.time())
    return group_id


def _complete(fields: dict[str, Any]) -> CompletedRole:
    try:
        return complete_role(fields)
    except DataError as error:
        raise Refusal(422, "incomplete_role", str(error)) from None
