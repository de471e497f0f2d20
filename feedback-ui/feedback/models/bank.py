"""Bodies of the bank's calls."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from feedback.models.common import CLEAN, PRINTABLE, Body, Name, Question, RequestId, is_visible
from feedback.models.practice import TypedRole
from recruiter.roles import Role
from recruiter.writers.kit import Guide, KitQuestion
from recruiter.writers.kit.lint import Hint

MOST_TAGS = 20


def _visible(text: str) -> str:
    if not is_visible(text):
        raise ValueError("there is nothing to read in it")
    return text


def _storable(value: Any) -> None:
    """Refuse what a database cannot hold, however deep it stands."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a text holds the character 0")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is not finite")
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for part in parts:
        _storable(part)


class Stored(Body):
    """What goes into the database."""

    @model_validator(mode="after")
    def _is_storable(self) -> Stored:
        _storable(self.model_dump())
        return self


Tag = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=40, pattern=PRINTABLE)
]
Asked = Annotated[Question, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_visible)]
Skill = Annotated[str, StringConstraints(strip_whitespace=True, max_length=400, pattern=PRINTABLE)]
BankId = Annotated[int, Field(ge=1, le=2**31 - 1)]


class CheckIn(Body):
    """A question before it is kept, or as it is edited (`id`, which is not compared with itself)."""

    text: Asked
    id: BankId | None = None


class Alike(BaseModel):
    """A question of the bank that is much alike: `likeness` is the share of trigrams in common, 0 to 1."""

    id: int
    text: str
    role_title: str
    retired: bool
    likeness: float


class Checked(BaseModel):
    """What to know before keeping it: hints, which are no verdicts, and questions that are much alike, for any role."""

    hints: list[Hint]
    alike: list[Alike]


class KeepIn(Stored):
    """A question to keep. The same `request_id` again keeps it once."""

    request_id: RequestId
    role: Role | TypedRole
    text: Asked
    skill: Skill = ""
    entry: KitQuestion | None = None
    tags: list[Tag] = Field(default_factory=list, max_length=MOST_TAGS)


class EditIn(Stored):
    """What is to be changed of version `version`; what is left out stays, and a guide without any line is taken away."""

    version: int = Field(ge=1, le=2**31 - 1)
    text: Asked | None = None
    skill: Skill | None = None
    guide: Guide | None = None
    tags: list[Tag] | None = Field(default=None, max_length=MOST_TAGS)


class RetireIn(Body):
    """Why nobody shall ask it any more."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400, pattern=CLEAN)]


class UseIn(Body):
    """A set that was asked: its name, for which role, which questions. The same `request_id` again is noted once."""

    request_id: RequestId
    name: Name
    role_title: Name
    questions: list[BankId] = Field(min_length=1, max_length=100)


class BankImportIn(Body):
    """The text of a file with questions."""

    format: Literal["csv", "json", "jsonl"]
    text: Annotated[str, StringConstraints(min_length=1)]


class BankQuestion(BaseModel):
    """A kept question. `entry` is what its kit says of it, with the text as it is now."""

    id: int
    version: int
    text: str
    skill: str
    role: Role
    entry: KitQuestion | None
    tags: list[str]
    kept_by: str | None
    created_at: float
    updated_at: float
    retired_at: float | None
    retired_reason: str | None
    uses: int
    last_used_at: float | None


class BankPage(BaseModel):
    """Some of what was found, newest first, how much there is, and all tags."""

    questions: list[BankQuestion]
    total: int
    tags: list[str]


class Version(BaseModel):
    """A text and its guide as they were."""

    version: int
    text: str
    guide: Guide | None
    by: str | None
    created_at: float


class Use(BaseModel):
    """A set that held the question."""

    name: str
    role_title: str
    version: int
    by: str | None
    used_at: float


class BankDetail(BaseModel):
    """A question with its past; `replacements` are what could be asked in its place, the best first."""

    question: BankQuestion
    versions: list[Version]
    uses: list[Use]
    replacements: list[BankQuestion]
