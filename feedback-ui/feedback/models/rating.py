"""Bodies of what the rating page calls."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from feedback.models.common import CLEAN, MAX_QUESTIONS, Body, Mark, Note, Question, SkipReason
from feedback.tasks import Task


class Session(BaseModel):
    """Who is calling, and what their changes must send as X-CSRF-Token."""

    rater: str | None  # null: has not done anything yet
    role: Literal["rater", "owner"]
    name: str
    csrf_token: str


class JoinIn(Body):
    """The token of a link: what stands behind its #."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=400)]
    replace: bool = False  # sign out whoever this browser is now


class NextIn(Body):
    """Which group is wanted, if it is free."""

    prefer: Annotated[str, StringConstraints(max_length=140, pattern=CLEAN)] | None = None


class CriterionView(BaseModel):
    """What raters are asked, and what a rating means."""

    name: str
    label: str
    question: str
    weight: float
    red_flags: list[str]
    anchors: dict[int, str]


class RubricView(BaseModel):
    """The criteria by which questions are rated here, from 1 to 5."""

    hash: str
    criteria: list[CriterionView]


class Remark(Body):
    """What a rater says of one question: a comment, and how they would put it, if that is better."""

    comment: Note = ""
    improved: Question = ""
    no_sense: bool = False  # of a blind sheet


class AnswerIn(Body):
    """What the group's `task` asks for, by candidate id and scale.

    score: each criterion (`GET /api/rubric` has them) from 1 to 5; with `all_equal`, one set that counts for all. rank:
    `place`, 1 for the best, equal places for ties. best_worst: `place` 1 for one, 3 for one, 2 for the others. pairs: by
    the ids of `pairs` such as "1-2", `better` 1 for the first, 3 for the second, 2 for neither.
    """

    ratings: dict[str, dict[str, Mark]] = Field(min_length=1, max_length=2 * MAX_QUESTIONS)
    all_equal: bool = False
    note: Note = ""
    remarks: dict[str, Remark] = Field(default_factory=dict, max_length=MAX_QUESTIONS)


class SkipIn(Body):
    """Why a group is left to others."""

    reason: SkipReason
    note: Note = ""


class LeaseView(BaseModel):
    """How long the group is the rater's without a sign of life."""

    id: str
    expires_at: float
    seconds_left: float
    heartbeat_seconds: float


class Candidate(BaseModel):
    """One question; identical ones are one candidate."""

    candidate_id: str
    text: str


class RatedGroup(BaseModel):
    """What a rater sees of a group. A role of which little is known lacks fields.

    `pairs`: candidates to compare, if that is the task. `blind`: it is of a blind sheet.
    """

    group_id: str
    run: str
    policy_step: int
    role: dict[str, Any]
    candidates: list[Candidate]
    task: Task
    pairs: list[tuple[str, str]]
    blind: bool


class Draft(BaseModel):
    """The answer that an edit starts from."""

    ratings: dict[str, dict[str, Mark]]
    all_equal: bool
    note: str
    remarks: dict[str, Remark]


class NextView(BaseModel):
    """A group to rate, or why there is none."""

    lease: LeaseView | None
    group: RatedGroup | None = None
    draft: Draft | None = None
    unused: bool = False  # training has consumed the group; an edit will be kept, but not used
    reason: Literal["empty", "busy"] | None = None


class Left(BaseModel):
    """Seconds that a lease has left."""

    seconds_left: float


class Count(BaseModel):
    """Groups rated."""

    today: int
    total: int


class TeamCount(Count):
    """Groups rated by everybody."""

    raters_online: int


class QueueCount(BaseModel):
    """Groups by state."""

    pending: int
    leased: int
    rated: int
    late: int


class WaitedFor(BaseModel):
    """What training waits for."""

    run: str
    step: int
    groups_waited_for: int
    groups_in_step: int
    since_seconds: float
    minutes_left: float | None  # at the pace of the latest ratings, by those who are there


class Progress(BaseModel):
    """Mine, the team's, the queue's, and what training waits for."""

    mine: Count
    team: TeamCount
    queue: QueueCount
    waiting: WaitedFor | None
    minutes_a_group: float | None  # median of the team's latest ratings


class Submitted(BaseModel):
    """A stored answer. `unused`: training had consumed the group before."""

    rating_id: int
    unused: bool
    progress: Progress


class Done(BaseModel):
    """Where things stand after a skip or a release."""

    progress: Progress


class Revised(BaseModel):
    """A stored edit."""

    revision: int
    unused: bool


class MyRating(BaseModel):
    """One of my ratings, newest first."""

    rating_id: int
    group: RatedGroup
    answer: Draft
    created_at: float
    updated_at: float
    editable: bool  # training has not consumed it


class MyRatings(BaseModel):
    """My latest ratings."""

    ratings: list[MyRating]
