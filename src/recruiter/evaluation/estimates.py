"""Figures as the results keep them: estimates over roles, differences, agreement, strengths, blind reads.

Computed by `figures.py`, `text_figures.py`, `agreement.py`, `strengths.py` and `reads.py` from the records alone.
"""

from __future__ import annotations

from recruiter.evaluation.records import ComparisonRecord, ReaderKind, Record
from recruiter.rubric import MAX_SCORE

TAIL = MAX_SCORE / 2  # a question below it needs rewriting


class Estimate(Record):
    """A mean over roles.

    Attributes:
        mean: of the roles' means.
        low, high: 95% bootstrap interval over roles; None where too few roles make it meaningless.
        roles: how many roles it stands on.
    """

    mean: float
    low: float | None
    high: float | None
    roles: int


class Trimmed(Record):
    """Figures without the `share` of highest and the same share of lowest roles (for a difference: of differences)."""

    share: float
    scores: dict[str, Estimate | None]
    difference: Estimate | None


class Difference(Record):
    """A model minus the baseline, paired by role: it stands on the roles where both have a score.

    Attributes:
        scores: for each criterion, and for `composite`.
        p_value: of a sign-flip test on the composite; `p_corrected` after Holm over the models of this judge. None of a
            model that this judge trained: it tests nothing.
        wins, ties, losses: roles with a higher, equal, lower composite.
    """

    baseline: str
    roles: int
    scores: dict[str, Estimate]
    p_value: float | None
    p_corrected: float | None
    wins: int
    ties: int
    losses: int
    by_level: dict[str, Estimate]
    by_focus: dict[str, Estimate]


class ModelFigures(Record):
    """One judge's figures for one model.

    Attributes:
        questions: asked for; `unwritten` of them do not exist, `unscored` exist without a score.
        unscored_reasons: how often each.
        below_5: share of a role's scored questions below 5.
        by_level, by_focus: composite.
        difference: None for the baseline, and where no role is scored for both.
        judge_trained_it: the judge also rewarded its training, so this is no evidence of how good it is.
    """

    questions: int
    unwritten: int
    unscored: int
    unscored_reasons: dict[str, int]
    scores: dict[str, Estimate | None]
    below_5: Estimate | None
    by_level: dict[str, Estimate]
    by_focus: dict[str, Estimate]
    difference: Difference | None
    trimmed: Trimmed | None
    judge_trained_it: bool = False


class TextFigures(Record):
    """What can be said of a model's questions without a judge.

    Attributes:
        tokens, words: a question.
        cut_off: questions that ended at the length limit.
        seconds_median, seconds_p95: a question, see `SampleRecord.seconds`.
        cost_usd: of all questions; None if the price is unknown.
        distinct: different n-grams of words among all, n = "1", "2", "3" (Li et al. 2016).
        identical: questions that another role's question repeats word for word.
        overlap: share of a question's masked word trigrams in the most similar question of another role (`judges/overlap.py`).
        novelty: 1 − the same share, against the most similar question among `rollouts_of` (a training run's folder).
        copies: questions that stand among those rollouts word for word.
    """

    tokens: Estimate | None
    words: Estimate | None
    cut_off: int
    seconds_median: float | None
    seconds_p95: float | None
    cost_usd: float | None
    distinct: dict[str, float | None]
    identical: int
    overlap: Estimate | None
    novelty: Estimate | None
    copies: int | None
    rollouts_of: str | None


class Consistency(Record):
    """A judge that was asked twice about the same questions.

    Attributes:
        questions: that have two scores.
        within_half: share whose composites differ by half a point or less.
        mean_absolute_difference: of the composites.
        spearman: rank correlation of the composites; None if one of them does not vary.
    """

    questions: int
    within_half: float | None
    mean_absolute_difference: float | None
    spearman: float | None


class Agreement(Record):
    """Two judges on the same questions.

    Attributes:
        questions: scored by both.
        spearman: rank correlation of their composites.
        mean_difference: first minus second.
        preferences: pairs of two models' questions for one role that both judges order, and `same_preference`: the
            share that they order alike.
    """

    judges: tuple[str, str]
    questions: int
    spearman: float | None
    mean_difference: float | None
    preferences: int
    same_preference: float | None


class Strength(Record):
    """Bradley–Terry strength with ties (Davidson 1970).

    Attributes:
        log_strength: natural logarithm, relative to the baseline (0), with its interval over roles.
        beats_baseline: probability of being preferred to the baseline, a tie counting half; None for the baseline, and for a
            model that this judge trained.
        wins, ties, losses: comparisons, both orders counted.
    """

    log_strength: Estimate
    beats_baseline: Estimate | None
    wins: int
    ties: int
    losses: int


class Pairwise(Record):
    """One judge's comparisons.

    Attributes:
        orders_agree: share of the pairs with two answers whose answers fit each other.
        first_preferred: share of the decided comparisons in which the question shown first won; 0.5 is no bias.
        tie_parameter: Davidson's nu.
    """

    comparisons: list[ComparisonRecord]
    unanswered: int
    orders_agree: float | None
    first_preferred: float | None
    tie_parameter: float | None
    strengths: dict[str, Strength]


class Simulated(Record):
    """How surely the answers of simulated candidates tell a strong one from a weak one.

    Attributes:
        judge: the models that answered and graded.
        answers: of each candidate to each question.
        models: the probability that a strong answer beats a weak one, by model; 0.5 tells nothing.
        missing: written questions without a figure, by model.
    """

    judge: str
    version: str
    answers: int
    models: dict[str, Estimate | None]
    missing: dict[str, int]


class ReadFigures(Record):
    """What blind readers say of one model.

    Attributes:
        readers: whose marks count: all but those that also rewarded its training.
        score: mean from 0 to 10, a role counts once.
        no_sense: share of the marks that say that a question makes no sense.
        won, lost, tied: pairs of a question of this model and the reference's one for the same role, as one reader scored
            them.
        preferred: share of the decided pairs that it won, with an interval that counts several readers and questions of
            a role as what they are; None for the reference, and where nothing is decided.
        difference: mean of the pairs' differences over roles.
    """

    readers: list[str]
    score: Estimate | None
    no_sense: Estimate | None
    won: int
    lost: int
    tied: int
    preferred: Estimate | None
    difference: Estimate | None


class ReaderAgreement(Record):
    """Two readers on the questions that both scored."""

    readers: tuple[str, str]
    questions: int
    spearman: float | None


class JudgeAgreement(Record):
    """A judge beside the readers' mean: rank correlation by criterion and of `composite`."""

    questions: int
    spearman: dict[str, float | None]


class Reads(Record):
    """What blind reads show.

    Attributes:
        readers: who they were, by name.
        models: by name, the reference among them.
        alpha: Krippendorff's, for interval data, over the questions that two or more readers scored.
        judges: by name.
    """

    reference: str
    readers: dict[str, ReaderKind]
    models: dict[str, ReadFigures]
    agreement: list[ReaderAgreement]
    alpha: float | None
    judges: dict[str, JudgeAgreement]
