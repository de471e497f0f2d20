"""Bodies of practice: questions that the server writes itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from feedback.models.common import CLEAN, Body, Name
from recruiter.roles import Level, Term
from recruiter.roles.advertisement import LONGEST


class TypedRole(Body):
    """A role as a person fills it in: the title is enough."""

    title: Name
    level: Level | None = None
    focus: Name | None = None
    stack: list[Term] = Field(default_factory=list, max_length=40)
    description: Annotated[str, StringConstraints(max_length=LONGEST, pattern=CLEAN)] = ""
    key_skills: list[Term] = Field(default_factory=list, max_length=40)


class PracticeIn(Body):
    """Whose questions shall be written: a role, a pasted description, or a random held-out role."""

    role: TypedRole | None = None
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=20, max_length=LONGEST)] | None = None
    random: bool = False
    count: int = Field(default=4, ge=2, le=8)


class Job(BaseModel):
    """A job that was taken on."""

    job_id: str


class JobView(BaseModel):
    """How far the writing of questions is."""

    state: Literal["waiting", "loading_model", "writing", "done", "failed"]
    progress: float
    message: str
    group_id: str | None


class ModelView(BaseModel):
    """The model that writes, and if there is none, how to get one."""

    state: Literal["none", "loading", "ready", "failed"]
    name: str | None
    message: str
