"""The bodies of the API: what is taken, what is given, and the limits of both."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from recruiter.roles import Level, Role, Term
from recruiter.rubric import MAX_RATING, MAX_SCORE, MIN_RATING

MAX_QUESTIONS = 64
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._~:-]+$")]
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/?#]+$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\x00]*$")]
Question = Annotated[str, StringConstraints(max_length=8000, pattern=r"^[^\x00]*$")]
Note = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]
Step = Annotated[int, Field(ge=0, le=2**31 - 1)]
Stars = Annotated[int, Field(ge=MIN_RATING, le=MAX_RATING)]
JudgeScore = Annotated[float, Field(ge=0, le=MAX_SCORE)]
GroupStatus = Literal["pending", "leased", "rated", "skipped", "expired", "cancelled"]
SkipReason = Literal["unclear_role", "not_my_field", "broken_text", "other"]


class Body(BaseModel):
    """A request's body: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid")


# ---- training ----------------------------------------------------------------------------------------------------


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


# ---- single questions --------------------------------------------------------------------------------------------


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


# ---- rating ------------------------------------------------------------------------------------------------------


class Session(BaseModel):
    """Who is calling, and what their changes must send as X-CSRF-Token."""

    rater: str
    role: Literal["rater", "owner"]
    name: str
    csrf_token: str


class JoinIn(Body):
    """The token of a link: what stands behind its #."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=400)]


class NextIn(Body):
    """Which group is wanted, if it is free."""

    prefer: Annotated[str, StringConstraints(max_length=140)] | None = None


class Stars3(Body):
    """A rater's scores of one candidate."""

    relevance: Stars
    clarity: Stars
    discriminative: Stars


class AnswerIn(Body):
    """Scores by candidate id; with `all_equal`, one set that counts for all."""

    ratings: dict[str, Stars3] = Field(min_length=1, max_length=MAX_QUESTIONS)
    all_equal: bool = False
    note: Note = ""


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
    """What a rater sees of a group. A role of which little is known lacks fields."""

    group_id: str
    run: str
    policy_step: int
    role: dict[str, Any]
    candidates: list[Candidate]


class Draft(BaseModel):
    """The answer that an edit starts from."""

    ratings: dict[str, Stars3]
    all_equal: bool
    note: str


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
    since_seconds: float


class Progress(BaseModel):
    """Mine, the team's, the queue's, and what training waits for."""

    mine: Count
    team: TeamCount
    queue: QueueCount
    waiting: WaitedFor | None


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


# ---- practice ----------------------------------------------------------------------------------------------------


class TypedRole(Body):
    """A role as a person fills it in: the title is enough."""

    title: Name
    level: Level | None = None
    focus: Name | None = None
    stack: list[Term] = Field(default_factory=list, max_length=40)
    description: Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")] = ""
    key_skills: list[Term] = Field(default_factory=list, max_length=40)


class PracticeIn(Body):
    """Whose questions shall be written: a role, a pasted description, or a random held-out role."""

    role: TypedRole | None = None
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=20, max_length=8000)] | None = None
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


# ---- owner -------------------------------------------------------------------------------------------------------


class RaterIn(Body):
    """A person who shall get a link."""

    name: Name
    role: Literal["rater", "owner"] = "rater"


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
