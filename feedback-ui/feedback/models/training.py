"""Bodies of what training calls: groups, runs, single questions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from feedback.models.common import (
    MAX_QUESTIONS,
    Body,
    GroupStatus,
    Identifier,
    JudgeScore,
    Name,
    Note,
    Question,
    RequestId,
    Step,
)
from recruiter.roles import Role


class GroupIn(Body):
    """One role's questions of one step."""

    group_id: Identifier
    run: Name
    policy_step: Step
    role: Role
    questions: list[Question] = Field(min_length=1, max_length=MAX_QUESTIONS)
    overlap: int = Field(default=1, ge=1, le=16)
    priority: int = Field(default=0, ge=-1000, le=1000)


class QuestionResult(BaseModel):
    """What people say of one question: means over raters, each rater's own level taken out where they share groups."""

    question_index: int
    status: Literal["rated", "skipped", "expired", "cancelled", "pending"]
    relevance: float | None
    clarity: float | None
    discriminative: float | None
    reward: float | None


class Waiting(BaseModel):
    """Where an open group stands."""

    position: int
    raters_online: int


class GroupView(BaseModel):
    """A group as training sees it. `version` grows with every change."""

    group_id: str
    run: str
    policy_step: int
    status: GroupStatus
    version: int
    late: bool
    consumed_step: int | None
    results: list[QuestionResult]
    all_equal: bool
    raters: int
    skip_reason: str | None
    waiting: Waiting | None


class GroupList(BaseModel):
    """Groups in the order asked for; ids that are unknown are left out."""

    groups: list[GroupView]


class Ids(Body):
    """Groups, by their ids."""

    ids: list[Identifier] = Field(min_length=1, max_length=256)


class WaitIn(Ids):
    """Return when a group has another version than the one known."""

    timeout: float = Field(default=30.0, ge=0, le=60)
    known: dict[str, int] = Field(default_factory=dict)


class CancelIn(Ids):
    """Take groups out of the queue."""

    reason: Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00]*$")] = ""


class Cancelled(BaseModel):
    """Those that are cancelled now; what is rated stays."""

    cancelled: list[str]


class ConsumeIn(Ids):
    """Training uses the ratings as they are."""

    step: Step


class JudgeScores(Body):
    """A judge's scores of one question."""

    relevance: JudgeScore
    clarity: JudgeScore
    discriminative: JudgeScore


class JudgeIn(Body):
    """A judge's scores of a group, one for each question, null where it had none; for people against judge."""

    judge: Name
    scores: list[JudgeScores | None] = Field(min_length=1, max_length=MAX_QUESTIONS)


class RunStep(Body):
    """One step of a run."""

    step: Step
    reward: float | None = None
    rated: int | None = Field(default=None, ge=0)
    unscored: int | None = Field(default=None, ge=0)


class RunIn(Body):
    """What a run in progress says of itself, as often as it likes."""

    step: Step
    total_steps: Step
    state: Literal["training", "waiting", "sampling", "done"]
    reward_mean: float | None = None
    waiting_groups: list[Identifier] = Field(default_factory=list, max_length=1024)
    message: Note = ""
    recent: list[RunStep] = Field(default_factory=list, max_length=2000)


class RunView(RunIn):
    """A run for the page."""

    run: str
    updated_at: float
    seconds_since_report: float
    since_seconds: float | None


class RunList(BaseModel):
    """Runs, the latest first."""

    runs: list[RunView]


class QueueIn(BaseModel):
    """One question, rated alone. `role_context` is what a rater should know of the role, as text or as fields."""

    request_id: RequestId
    question: Annotated[str, StringConstraints(min_length=1, max_length=8000, pattern=r"^[^\x00]*$")]
    role_id: Name | None = None
    role_context: Annotated[str, StringConstraints(max_length=8000, pattern=r"^[^\x00]*$")] | dict[str, Any] | None = (
        None
    )


class QueueResult(BaseModel):
    """The state of a single question; ratings and reward when it is rated."""

    request_id: str
    status: Literal["pending", "rated", "skipped", "expired", "cancelled"]
    relevance: float | None = None
    clarity: float | None = None
    discriminative: float | None = None
    reward: float | None = None


class QueueItem(BaseModel):
    """A single question that waits."""

    request_id: str
    question: str
    role_id: str | None
    created_at: float
    status: str


class QueueList(BaseModel):
    """Waiting questions, oldest first."""

    count: int
    items: list[QueueItem]
