"""What an evaluation did: the plan, who took part, every question with its judgements, every comparison.

All figures are computed from these (`results.py`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recruiter.rubric import MAX_SCORE

ReaderKind = Literal["person", "language model", "not stated"]


class Record(BaseModel):
    """Base of all parts: unknown fields and NaN are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class JudgementRecord(Record):
    """What one judge said of one question: `scores` (by criterion, and `composite`), or the reason why there are none."""

    scores: dict[str, float] | None
    reasoning: str
    unscored_reason: str | None


class InterviewRecord(Record):
    """What came of a question when simulated candidates answered it.

    Attributes:
        probability: that a strong answer gets a better grade than a weak one; None if too few answers have a grade.
        weak, strong: the answers of either candidate, each with its grade from 0 to 10; None: it got none.
    """

    probability: float | None
    weak: list[tuple[str, float | None]]
    strong: list[tuple[str, float | None]]


class SampleRecord(Record):
    """One question, or the failure to write one.

    Attributes:
        model, role_id, sample: which model wrote it for which role, and its number among that role's (from 0).
        question: the text, whole; None if the model failed.
        failure: why there is no question.
        tokens: written, counted by whoever wrote them.
        finished: whether it ended by itself rather than at the length limit.
        seconds: until it was there. Locally, a batch's time divided by its questions.
        cost_usd: 0 where nothing is paid; None if the price is unknown.
        judgements: by judge.
        interviews: with simulated candidates, where they were held.
    """

    model: str
    role_id: str
    sample: int
    question: str | None
    failure: str | None
    tokens: int | None
    finished: bool | None
    seconds: float | None
    cost_usd: float | None
    judgements: dict[str, JudgementRecord] = Field(default_factory=dict)
    interviews: InterviewRecord | None = None


class Training(Record):
    """The training of a checkpoint, as far as it is known.

    Attributes:
        run: its folder.
        step: None for the best one, whose step its folder doesn't say.
        judge: whoever rewarded its questions.
    """

    run: str
    step: int | None = None
    judge: str | None = None
    config: dict[str, Any] | None = None


class Spent(Record):
    """What calls to a model or judge took in one run.

    Attributes:
        wanted: answers that were needed; `stored_before` of them had been paid for by an earlier run.
        cost_usd: None if the price is unknown.
        seconds_median: of a call; None if there was none.
        errors: failed attempts, by kind.
    """

    wanted: int
    stored_before: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds_median: float | None
    errors: dict[str, int]


class ModelRecord(Record):
    """A contestant.

    Attributes:
        kind: who computes it: this machine, a provider's API, or an endpoint.
        source: folder, Hub id, or provider/model.
        adapter: folder of the LoRA adapter on top.
        fingerprint: hash of everything its questions depend on.
        sampling: the settings that it was really sampled with.
        notes: what differs from the plan, for example a setting that its provider forbids.
        training: of a checkpoint whose run is there.
    """

    kind: Literal["local", "api", "endpoint"]
    source: str
    adapter: str | None
    fingerprint: str
    sampling: dict[str, int | float]
    notes: list[str]
    training: Training | None


class JudgeRecord(Record):
    """A judge.

    Attributes:
        version: changes whenever it could score differently.
        flags: why its word counts for less: it judged the training, or it is a contestant.
    """

    version: str
    flags: list[str]


class SheetItem(Record):
    """A question on a sheet, and who wrote it.

    Attributes:
        id: the number of its role on the sheet, and its letter: 12B.
        samples: model and number of the sample; several where they say the same.
    """

    id: str
    role_id: str
    samples: list[tuple[str, int]]


class Mark(Record):
    """What a reader says of a question: a score from 0 to 10, and whether it makes no sense."""

    score: float = Field(ge=0, le=MAX_SCORE)
    no_sense: bool = False


class Reading(Record):
    """What one reader says of a sheet: marks by id, perhaps not of all."""

    kind: ReaderKind
    marks: dict[str, Mark]


class Sheet(Record):
    """A sheet of questions without names, who wrote them, and what readers said.

    Attributes:
        seed: of the order of roles and letters, and of the choice of roles where there are not all.
        salt: random, so that nobody finds out from `hash` who wrote what.
        hash: SHA-256 of the key's file; it stands on the sheet.
        readings: by reader.
    """

    seed: int
    salt: str
    hash: str
    items: list[SheetItem]
    readings: dict[str, Reading] = Field(default_factory=dict)


class Plan(Record):
    """What was asked for.

    Attributes:
        baseline: the model that differences are to.
        trim: share that is cut off at either end for the figures in `trimmed`; None: no such figures.
        twice: questions that each judge is asked about a second time.
        sampling: for every model; what a provider forbids stands in its notes.
    """

    baseline: str
    roles_from: str
    samples: int
    seed: int
    sampling: dict[str, int | float]
    trim: float | None
    twice: int
    pairwise: bool
    budget_usd: float | None
    prompt_hash: str
    rubric_hash: str


class ComparisonRecord(Record):
    """A judge's preference between two questions for a role, in one order.

    Attributes:
        first, second: the models, in the order in which the judge saw them.
        preferred: None if the judge gave no answer, with the reason in `failure`.
    """

    role_id: str
    sample: int
    first: str
    second: str
    preferred: Literal["first", "second", "tie"] | None
    reasoning: str
    failure: str | None
