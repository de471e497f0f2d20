"""Bodies of the writing page's calls."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from feedback.models.common import Body
from feedback.models.practice import TypedRole


class WriteIn(Body):
    """Questions wanted for a role: `count` of them, the best of `count` × `best_of` by the judge."""

    role: TypedRole
    count: int = Field(default=4, ge=1, le=8)
    best_of: int = Field(default=2, ge=1, le=4)


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
