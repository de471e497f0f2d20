"""Bodies of statistics."""

from __future__ import annotations

from pydantic import BaseModel


class Counts(BaseModel):
    """How much there is."""

    ratings: int
    groups: int
    questions: int
    raters: int
    all_equal: int
    skipped: int
    pending: int
    late: int


class CriterionStats(BaseModel):
    """Mean and histogram (how many 1s to 5s) of one criterion."""

    mean: float | None
    histogram: list[int]


ByCriterion = dict[str, float | None]  # null where it cannot be computed


class TimeStats(BaseModel):
    """Groups rated and means of a day or an hour, in the server's time."""

    time: str
    ratings: int
    means: ByCriterion


class RaterStats(BaseModel):
    """One rater, by pseudonym. `leniency`: points above the other raters of shared groups."""

    rater: str
    ratings: int
    means: ByCriterion
    leniency: ByCriterion | None


class Agreement(BaseModel):
    """Between raters on shared groups: Krippendorff's alpha (ordinal), mean Kendall tau-b within groups."""

    alpha: ByCriterion
    rank: float | None
    groups: int


class JudgeStats(BaseModel):
    """A judge against people: Pearson's correlation over questions, mean Kendall tau-b within groups."""

    judge: str
    n: int
    correlation: ByCriterion
    rank: float | None


class Interval(BaseModel):
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


class CalibrationStats(BaseModel):
    """What weighing judges by people's ratings would change: mean Kendall tau-b with people within groups, by
    cross-validation. Null with fewer groups than `needed`. `more`: what twice as many ratings would add, about.
    `without_scores`: ratings that are an order or comparisons, which say nothing by criterion."""

    judges: list[str]
    groups: int
    needed: int
    without_scores: int
    before: Interval | None
    after: Interval | None
    gain: Interval | None
    more: float | None
    helps: bool


class PositionStats(BaseModel):
    """Mean rating of what stood at a place of the page, each group's own level taken out."""

    position: int
    n: int
    mean: float


class Statistics(BaseModel):
    """Everything the statistics page draws."""

    counts: Counts
    criteria: dict[str, CriterionStats]
    over_time: list[TimeStats]
    raters: list[RaterStats]
    agreement: Agreement
    judges: list[JudgeStats]
    calibration: CalibrationStats | None
    position: list[PositionStats]
    skips: dict[str, int]
    runs: list[str]


class RatedCandidate(BaseModel):
    """One question as it was rated."""

    text: str
    position: int
    scores: dict[str, int]


class RecentRating(BaseModel):
    """One rating."""

    rating_id: int
    group_id: str
    run: str
    policy_step: int
    role_title: str
    rater: str
    rated_at: float
    all_equal: bool
    consumed_step: int | None
    candidates: list[RatedCandidate]


class RecentRatings(BaseModel):
    """A page of ratings, newest first."""

    ratings: list[RecentRating]
    total: int
    page: int
    size: int
