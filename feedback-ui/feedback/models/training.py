"""Bodies of what training calls: groups, runs, single questions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from feedback.models.common import (
    CLEAN,
    MAX_QUESTIONS,
    Body,
    GroupStatus,
    Identifier,
    JudgeScore,
    Name,
    Note,
    Question,
    RequestId,
    RubricHash,
    SheetHash,
    Step,
    is_visible,
)
from feedback.tasks import Task
from recruiter.roles import Role


class GroupIn(Body):
    """One role's questions of one step."""

    group_id: Identifier
    run: Name
    policy_step: Step
    role: Role
    questions: list[Question] = Field(min_length=1, max_length=MAX_QUESTIONS)
    rubric_hash: RubricHash | None = None  # null: any
    overlap: int = Field(default=1, ge=1, le=16)
    priority: int = Field(default=0, ge=-1000, le=1000)
    task: Task = "score"
    sheet: SheetHash | None = None  # its questions stand on this blind sheet: raters are also asked what makes no sense

    @field_validator("role")
    @classmethod
    def storable(cls, role: Role) -> Role:
        """No text of a database can hold the character 0."""
        if any("\0" in text for text in (role.title, role.focus, role.description, *role.stack, *role.key_skills)):
            raise ValueError("a text of the role holds the character 0")
        return role

    @field_validator("questions")
    @classmethod
    def something_to_rate(cls, questions: list[str]) -> list[str]:
        """A model may write nothing now and then, but a group of nothing is a mistake."""
        if not any(map(is_visible, questions)):
            raise ValueError("none of the questions has anything to see")
        return questions


class QuestionResult(BaseModel):
    """What people say of one question: means over raters, each rater's own level taken out where they share groups.

    Where questions were compared instead of scored, there is a reward and no score.
    """

    question_index: int
    status: Literal["rated", "skipped", "expired", "cancelled", "pending"]
    scores: dict[str, float] | None
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
    rubric_hash: RubricHash | None = None


class CancelIn(Ids):
    """Take groups out of the queue."""

    reason: Annotated[str, StringConstraints(max_length=300, pattern=CLEAN)] = ""


class Cancelled(BaseModel):
    """Those that are cancelled now; what is rated stays."""

    cancelled: list[str]


class ConsumeIn(Ids):
    """Training uses the ratings as they are."""

    step: Step


class JudgeIn(Body):
    """A judge's scores of a group, one for each question, null where it had none; for people against judge."""

    judge: Name
    scores: list[dict[str, JudgeScore] | None] = Field(min_length=1, max_length=MAX_QUESTIONS)


class ReadQuestion(BaseModel):
    """What a reader says of a question of a blind sheet, in the columns of a file of readings; scores from 0 to 10."""

    reader: str
    kind: str
    sheet: str
    ID: str
    score: float
    X: str


class Readings(BaseModel):
    """What was read of a sheet."""

    readings: list[ReadQuestion]


class RunStep(Body):
    """One step of a run."""

    step: Step
    reward: float | None = None
    rated: int | None = Field(default=None, ge=0)
    unscored: int | None = Field(default=None, ge=0)


class RunReport(Body):
    """What a run in progress says of itself."""

    step: Step
    total_steps: Step
    state: Literal["training", "waiting", "sampling", "done"]
    reward_mean: float | None = None
    message: Note = ""
    recent: list[RunStep] = Field(default_factory=list, max_length=2000)


class RunIn(RunReport):
    """A run in progress says where it is, as often as it likes."""

    waiting_groups: list[Identifier] = Field(default_factory=list, max_length=1024)


class WaitedForGroup(BaseModel):
    """A group that a run waits for."""

    group_id: str
    role_title: str | None


class RunView(RunReport):
    """A run for the page."""

    waiting_groups: list[WaitedForGroup]
    run: str
    updated_at: float
    seconds_since_report: float
    since_seconds: float | None


class RunList(BaseModel):
    """Runs, the latest first."""

    runs: list[RunView]


class RoleContext(BaseModel):
    """What is known of a role; more fields may be there and are left out."""

    title: Name | None = None
    level: Name | None = None
    focus: Name | None = None
    stack: list[Name] | None = Field(default=None, max_length=40)
    description: Annotated[str, StringConstraints(max_length=8000, pattern=CLEAN)] | None = None
    key_skills: list[Name] | None = Field(default=None, max_length=40)


class QueueIn(BaseModel):
    """One question, rated alone. `role_context` is what a rater should know of the role, as text or as fields."""

    request_id: RequestId
    question: Annotated[str, StringConstraints(min_length=1, max_length=8000, pattern=CLEAN)]
    role_id: Name | None = None
    role_context: Annotated[str, StringConstraints(max_length=8000, pattern=CLEAN)] | RoleContext | None = None

    @field_validator("question")
    @classmethod
    def something_to_rate(cls, question: str) -> str:
        """A question that shows nothing is a mistake."""
        if not is_visible(question):
            raise ValueError("it has nothing to see")
        return question


class QueueResult(BaseModel):
    """The state of a single question; when it is rated, its reward and beside it a rating for each criterion."""

    model_config = ConfigDict(extra="allow")

    request_id: str
    status: Literal["pending", "rated", "skipped", "expired", "cancelled"]
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
