"""The generator's prompt, once. Training, evaluation, the web page and the endpoint all call `generator_messages`."""

from __future__ import annotations

import hashlib
import json
from typing import TypedDict

from recruiter.roles import Role


class Message(TypedDict):
    """One chat message, as chat templates and APIs take it."""

    role: str
    content: str


GENERATOR_SYSTEM = (
    "You write technical screening questions for engineering roles. Write exactly one question that the candidate can "
    "answer in two to five minutes and that tells strong candidates from weak ones: one concrete problem of this role, "
    "not trivia, not yes or no. Reply with the question only."
)

_GENERATOR_USER = """Title: {title}
Level: {level}
Focus: {focus}
Stack: {stack}
Key skills: {key_skills}
Description: {description}

Write one screening question for this role."""


def generator_messages(role: Role) -> list[Message]:
    """The chat messages that ask a model for one question for `role`."""
    user = _GENERATOR_USER.format(
        title=role.title,
        level=role.level,
        focus=role.focus,
        stack=", ".join(role.stack),
        key_skills=", ".join(role.key_skills),
        description=role.description,
    )
    return [Message(role="system", content=GENERATOR_SYSTEM), Message(role="user", content=user)]


def prompt_hash() -> str:
    """Hash of what `generator_messages` makes of a fixed role: changes with the texts and with the code around them."""
    fixed = Role(
        id="i", title="t", level="senior", focus="f", stack=("s1", "s2"), description="d", key_skills=("k1", "k2")
    )
    return hashlib.sha256(json.dumps(generator_messages(fixed)).encode()).hexdigest()[:16]


PROMPT_HASH = prompt_hash()
