"""Bodies of what owners call."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from feedback.models.common import CLEAN, Body, Name


class RaterIn(Body):
    """A person who shall get a link."""

    name: Name
    role: Literal["rater", "owner"] = "rater"


class RaterChange(Body):
    """What is to be changed of a rater: the name, the areas (a role's focus) whose groups they get first."""

    name: Name | None = None
    fields: list[Name] | None = Field(default=None, max_length=40)


class EraseIn(Body):
    """What becomes of a person's ratings when the person is forgotten: kept under a pseudonym, or deleted."""

    ratings: Literal["keep", "delete"]


class Guidelines(Body):
    """What the team agrees on beside the rubric; empty: nothing."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000, pattern=CLEAN)]


class ImportIn(Body):
    """The text of a file with ratings."""

    format: Literal["csv", "json", "jsonl"]
    text: Annotated[str, StringConstraints(min_length=1)]


class Told(BaseModel):
    """What was done, in a sentence."""

    message: str


class RaterView(BaseModel):
    """A rater, for the owner's eyes. `pseudonym` is what exports and statistics say."""

    id: int
    name: str
    pseudonym: str
    role: str
    has_link: bool
    account: str | None
    fields: list[str]
    is_here: bool
    created_at: float
    last_seen_at: float | None
    revoked_at: float | None
    groups_rated: int


class RaterList(BaseModel):
    """All raters."""

    raters: list[RaterView]


class Mean(BaseModel):
    """A mean of Kendall's tau-b within groups, its 95% interval, and the number of groups."""

    mean: float
    low: float | None
    high: float | None
    groups: int


class Month(Mean):
    """The same of a month, such as 2026-11."""

    month: str


class Steadiness(BaseModel):
    """How far a rater orders groups as the known answers do, as they did themselves before, and as others do; by month the
    first and the last together."""

    rater: str
    known: Mean | None
    again: Mean | None
    others: Mean | None
    months: list[Month]


class SteadinessList(BaseModel):
    """Of all raters."""

    gold_groups: int
    raters: list[Steadiness]


class GoldIn(Body):
    """Whether a group's ratings are known answers."""

    is_gold: bool


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
