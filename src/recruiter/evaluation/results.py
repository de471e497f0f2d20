"""The results file: everything an evaluation found out, and everything needed to compute its figures again.

`samples` hold each model's questions with every judge's judgements, `roles` and `prompts` what the models saw; `figures`,
`texts`, `agreement`, `consistency` and `pairwise` are computed from these alone (`figures.py`, `texts.py`,
`agreement.py`, `strengths.py`). Scores are 0–10. An estimate is a mean with its 95% interval over roles. What does not
exist is null, never 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from recruiter.config.paths import command_line
from recruiter.errors import DataError
from recruiter.evaluation.records import ComparisonRecord, JudgeRecord, ModelRecord, Plan, Record, SampleRecord, Spent
from recruiter.files import write_json
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE, Rubric, load_rubric

SCHEMA_VERSION: Literal[3] = 3
TAIL = MAX_SCORE / 2  # a question below it needs rewriting


def metrics(rubric: Rubric) -> tuple[str, ...]:
    """Keys of all `scores` by a rubric."""
    return (*rubric.names, "composite")


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
        p_value: of a sign-flip test on the composite; `p_corrected` after Holm over the models of this judge.
        wins, ties, losses: roles with a higher, equal, lower composite.
    """

    baseline: str
    roles: int
    scores: dict[str, Estimate]
    p_value: float
    p_corrected: float
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


class TextFigures(Record):
    """What can be said of a model's questions without a judge.

    Attributes:
        tokens, words: a question.
        cut_off: questions that ended at the length limit.
        seconds_median, seconds_p95: a question, see `SampleRecord.seconds`.
        cost_usd: of all questions; None if the price is unknown.
        distinct: different n-grams of words among all, n = "1", "2", "3" (Li et al. 2016).
        identical: questions that another role's question repeats word for word.
        overlap: share of a question's masked word trigrams in the most similar question of another role (`train/overlap.py`).
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
        beats_baseline: probability of being preferred to the baseline, a tie counting half; None for the baseline.
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


class Results(Record):
    """An evaluation. `made_at`, `seconds` and `spent` are all that differs when it is run again from what is stored.

    Attributes:
        spent: by the names of models and judges that are called over a network: calls, tokens, USD and failed attempts
            of this run; what had been stored by an earlier one cost nothing again.
        versions: of this package, its revision, Python and the libraries that matter.
        flags: what a reader should know before believing any figure, beside `left_out` and the models' `notes`.
        left_out: models that could not take part, with the reason.
        prompts: the chat messages of each role, by its id, the same for every model.
        judge_system: what a judge that is a language model is told; a question's own message follows from role and
            question (`prompts.judge_messages`).
        rubric: what the judges scored by. Files of version 2, which lack it, are by the built-in criteria.
        figures: by judge, then by model.
        consistency, pairwise: by judge.
    """

    schema_version: Literal[2, 3] = SCHEMA_VERSION
    made_at: str
    seconds: float
    spent: dict[str, Spent]
    versions: dict[str, str | None]
    plan: Plan
    flags: list[str]
    left_out: dict[str, str]
    roles: list[Role]
    prompts: dict[str, list[dict[str, str]]]
    rubric: Rubric = Field(default_factory=load_rubric)
    judge_system: str
    models: dict[str, ModelRecord]
    judges: dict[str, JudgeRecord]
    samples: list[SampleRecord]
    figures: dict[str, dict[str, ModelFigures]]
    texts: dict[str, TextFigures]
    consistency: dict[str, Consistency]
    agreement: list[Agreement]
    pairwise: dict[str, Pairwise]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Keys of all `scores`: the criteria, and their composite."""
        return metrics(self.rubric)

    def save(self, path: Path) -> None:
        """Write the file beside its place and rename it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.model_dump(mode="json"))


def load_results(path: Path) -> Results:
    """Read and check a results file.

    Raises:
        DataError: it is missing, something else, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"There are no results at {path}; make some with `{command_line('eval')}`.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None
    try:
        return Results.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        if place == "schema_version":
            raise DataError(
                f"{path} has schema version {first['input']}, this code reads 2 and {SCHEMA_VERSION}: make it again with "
                f"`{command_line('eval')}`."
            ) from None
        raise DataError(f"{path} is not a results file ({place or 'text'}: {first['msg']}).") from None
