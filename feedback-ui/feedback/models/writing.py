"""Bodies of the writing page's calls."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from feedback.models.common import CLEAN, Body
from feedback.models.practice import TypedRole
from recruiter.roles import Role, Term
from recruiter.roles.advertisement import LONGEST
from recruiter.roles.languages import Language
from recruiter.writers.kit import Difficulty, Kit
from recruiter.writers.kit.making import MOST_QUESTIONS


class WriteIn(Body):
    """Questions wanted for a role: `count` of them, the best of `count` × `best_of` by the judge."""

    role: TypedRole
    count: int = Field(default=4, ge=1, le=8)
    best_of: int = Field(default=4, ge=1, le=8)


class JudgedQuestion(BaseModel):
    """A question with the judge's scores (0 to 10) and reasons; unscored with a reason if it could not be judged."""

    text: str
    scores: dict[str, float] | None
    composite: float | None
    reasoning: str
    unscored_reason: str | None


class WriteView(BaseModel):
    """How far the writing is, and the questions, best first, when it is done."""

    state: Literal["waiting", "loading_model", "writing", "done", "failed"]
    progress: float
    message: str
    questions: list[JudgedQuestion]


class AdvertisementIn(Body):
    """A job advertisement as it was pasted, HTML or not."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=20, max_length=LONGEST, pattern=CLEAN)]


class AdvertisementView(BaseModel):
    """How far the reading is, and what was found, to be corrected; `assumed` says in words what is not certain."""

    state: Literal["waiting", "loading_model", "writing", "done", "failed"]
    progress: float
    message: str
    role: Role | None
    assumed: list[str]


class KitIn(Body):
    """A kit wanted for a role: `count` questions that test `cover` and then the role's own skills."""

    role: TypedRole
    count: int = Field(default=4, ge=1, le=MOST_QUESTIONS)
    best_of: int = Field(default=4, ge=1, le=8)
    cover: list[Term] = Field(default_factory=list, max_length=MOST_QUESTIONS)
    difficulty: Difficulty | None = None
    language: Language | None = None


class KitView(BaseModel):
    """How far the kit is, and the kit when it is done."""

    state: Literal["waiting", "loading_model", "writing", "done", "failed"]
    progress: float
    message: str
    kit: Kit | None


class SheetIn(Body):
    """A kit, as it was edited, to be written down."""

    kit: Kit
    form: Literal["html", "markdown", "csv", "json"] = "html"
    for_candidate: bool = False


class SheetView(BaseModel):
    """A sheet as the text of a file."""

    text: str
