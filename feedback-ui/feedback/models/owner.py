"""Bodies of what owners call."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, StringConstraints

from feedback.models.common import CLEAN, Body, Name


class RaterIn(Body):
    """A person who shall get a link."""

    name: Name
    role: Literal["rater", "owner"] = "rater"


class EraseIn(Body):
    """What becomes of a person's ratings when the person is forgotten: kept under a pseudonym, or deleted."""

    ratings: Literal["keep", "delete"]


class Guidelines(Body):
    """What the team agrees on beside the rubric; empty: nothing."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000, pattern=CLEAN)]


class RaterView(BaseModel):
    """A rater, for the owner's eyes. `pseudonym` is what exports and statistics say."""

    id: int
    name: str
    pseudonym: str
    role: str
    has_link: bool
    created_at: float
    last_seen_at: float | None
    revoked_at: float | None
    groups_rated: int


class RaterList(BaseModel):
    """All raters."""

    raters: list[RaterView]


class NewLink(BaseModel):
    """A link, shown once."""

    id: int
    path: str


class Ok(BaseModel):
    """It is done."""

    ok: bool = True


class Health(BaseModel):
    """The server answers, and so does its database."""

    status: Literal["ok"]
    version: str
