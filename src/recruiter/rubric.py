"""The rubric: what a good screening question is, and the only place where scores become rewards.

A rubric is data: `configs/rubric.yaml`, or a file of the user's in the same form. Whoever judges, rates, evaluates or
shows scores gets a `Rubric` and takes criteria, names and weights from it. The scale and its normalisation stand here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from recruiter.config.paths import CONFIGS, WORKSPACE
from recruiter.errors import ConfigError
from recruiter.files import read_text, yaml_fault

MAX_SCORE = 10.0
MIN_RATING, MAX_RATING = 1, 5
RATING_WORDS = {
    1: "useless", 2: "hardly usable", 3: "usable after rewriting", 4: "good, with small blemishes", 5: "could not be better",
}  # fmt: skip
TOLD_JUDGES = (1, 3, 5)  # ratings of which a judge is told what they mean: of 0, 5 and 10
# Names that stand beside those of the criteria in metrics, tables and CSV files, and so cannot be criteria.
RESERVED = frozenset(
    "composite reasoning unscored_reason role_id id title level focus stack description key_skills question tokens "
    "cost_usd step reward reward_mean reward_std overlap penalty samples unscored unscored_reasons groups "
    "stale_groups groups_without_spread length_mean length_max cut_off trained_tokens loss kl entropy clipped "
    "rollout_ratio_mean rollout_ratio_max updates grad_norm learning_rate updates_skipped group_id run policy_step role_title "
    "group_status late question_indices reward_level kept sense alarm rating_id rater revision counts unused "
    "all_equal note comment improved no_sense place better role judges position lease_id "
    "leased_at rated_at revised_at consumed_step consumed_at".split()
)
RESERVED_BEGINNINGS = ("judge_", "validation_", "watch_", "seconds")

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Words = Annotated[str, AfterValidator(lambda text: " ".join(text.split())), StringConstraints(pattern=r"\S")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RedFlag(_Part):
    """A defect that costs `penalty` points on its criterion."""

    name: Name
    text: Words
    penalty: Annotated[float, Field(strict=True, gt=0, le=MAX_SCORE)]


class Criterion(_Part):
    """One 0-10 scale.

    Attributes:
        question: what the score answers.
        weight: in the composite, relative to the other criteria.
        red_flags: what lowers the score.
        anchors: what a rating of 1, 3 and 5 (a score of 0, 5 and 10) means, and for people perhaps of 2 and 4; or none.
        checks: short questions to which yes speaks for the question, for judges that read probabilities of yes and no.
        label: what people see instead of the name.
    """

    name: Name
    question: Words
    weight: Annotated[float, Field(strict=True, gt=0)] = 1.0
    red_flags: tuple[RedFlag, ...] = ()
    anchors: dict[int, Words] = Field(default_factory=dict)
    checks: tuple[Words, ...] = ()
    label: Words | None = None

    @property
    def title(self) -> str:
        """What people see."""
        return self.label or self.name.replace("_", " ").capitalize()


class Example(_Part):
    """A question for a role as somebody who knows the rubric would rate it, and why; for people who begin.

    Attributes:
        ratings: 1 to 5, one for each criterion in the rubric's order.
    """

    role: Words
    question: Words
    ratings: tuple[Annotated[int, Field(strict=True, ge=MIN_RATING, le=MAX_RATING)], ...]
    why: Words


class Rubric(_Part):
    """All criteria, in the order in which they are shown."""

    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Rubric:
        names = [criterion.name for criterion in self.criteria]
        flags = [flag.name for criterion in self.criteria for flag in criterion.red_flags]
        for what, found in (("criterion", names), ("red flag", flags)):
            if twice := next((name for name in found if found.count(name) > 1), None):
                raise ValueError(f"there are two of the {what} '{twice}'; give one of them another name")
        if taken := next((name for name in names if name in RESERVED or name.startswith(RESERVED_BEGINNINGS)), None):
            raise ValueError(f"a criterion cannot be called '{taken}', which is a column beside the scores; rename it")
        for criterion in self.criteria:
            if set(criterion.anchors) not in (set(), set(TOLD_JUDGES), set(RATING_WORDS)):
                raise ValueError(
                    f"the anchors of '{criterion.name}' must say what 1, 3 and 5 mean; write these three, or 1 to 5, or none"
                )
        for example in self.examples:
            if len(example.ratings) != len(names):
                raise ValueError(
                    f"the example '{example.question[:40]}' has {len(example.ratings)} ratings; write one for each of "
                    f"{', '.join(names)}, in this order"
                )
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the criteria."""
        return tuple(criterion.name for criterion in self.criteria)

    @cached_property
    def hash(self) -> str:
        """Changes with whatever a judge is told or a score is computed with. What only helps people has no part in it:
        labels, examples, and what 2 and 4 mean."""
        criteria = [
            {**one.model_dump(exclude={"label"}), "anchors": {k: v for k, v in one.anchors.items() if k in TOLD_JUDGES}}
            for one in self.criteria
        ]
        return hashlib.sha256(json.dumps({"criteria": criteria}, sort_keys=True).encode()).hexdigest()[:16]

    def scores(self, values: Mapping[str, float]) -> Scores:
        """The scores of one question, `values` being one number for each criterion.

        Raises:
            ValueError: a criterion lacks or is unknown, or a number is outside [0, 10] (NaN included).
        """
        if values.keys() != set(self.names):
            raise ValueError(f"these are no scores by {', '.join(self.names)}: {', '.join(values) or 'none'}")
        for name in self.names:
            if not 0.0 <= values[name] <= MAX_SCORE:
                raise ValueError(f"{name} must be between 0 and {MAX_SCORE:g}, not {values[name]!r}")
        total = sum(criterion.weight * values[criterion.name] for criterion in self.criteria)
        composite = total / sum(criterion.weight for criterion in self.criteria)
        return Scores({name: values[name] for name in self.names}, min(MAX_SCORE, composite))


def load_rubric(path: str | Path | None = None) -> Rubric:
    """The rubric in a file, relative to the current folder or the repository; without a file, the built-in one.

    Raises:
        ConfigError: there is no such file, or it is no rubric; the sentence says where, and what to write.
    """
    if path is None:
        return _built_in()
    found = next((place for place in (Path(path), WORKSPACE / path) if place.is_file()), None)
    if found is None:
        raise ConfigError(f"There is no rubric at {path}: name a file in the form of configs/rubric.yaml.")
    return _read(found, str(path))


def stored_rubric(data: Mapping[str, Any] | None) -> Rubric:
    """The rubric that a file of this project holds; None, from before they held one: the built-in one."""
    return _built_in() if data is None else Rubric.model_validate(data)


@cache
def _built_in() -> Rubric:
    return _read(CONFIGS / "rubric.yaml", "configs/rubric.yaml")


def _read(path: Path, name: str) -> Rubric:
    try:
        data = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ConfigError(yaml_fault(name, error)) from None
    if not isinstance(data, dict):
        raise ConfigError(f"{name} is no rubric: write `criteria:` and under it a list, as in configs/rubric.yaml.")
    try:
        return Rubric.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{name}: {_explain(data, first['loc'], first['type'], first['msg'])}.") from None


_WISHES = {
    "criteria": "a list of criteria, each with a name and a question",
    "name": "small letters, digits and underscores, such as clarity",
    "question": "the question that its score answers",
    "weight": "a number above 0",
    "red_flags": "a list of red flags, each with name, text and penalty",
    "text": "in words what the defect is",
    "penalty": f"the points that it takes away, above 0 and up to {MAX_SCORE:g}",
    "anchors": "what 1, 3 and 5 mean, a line each, and perhaps 2 and 4",
    "label": "in words what people see instead of the name",
    "examples": "a list of examples, each with role, question, ratings and why",
    "role": "in a sentence what the role is",
    "ratings": f"a list of whole numbers from {MIN_RATING} to {MAX_RATING}, one for each criterion",
    "why": "in a sentence why it is rated so",
    "checks": "a list of short yes/no questions",
}


_KEYS = {
    "": ("criteria", "examples"),
    "examples": tuple(Example.model_fields),
    "criteria": tuple(Criterion.model_fields),
    "red_flags": tuple(RedFlag.model_fields),
}
_CALLED = {
    "criteria": "criterion",
    "examples": "example",
    "red_flags": "red flag",
    "checks": "check",
    "anchors": "anchor",
}


def _explain(data: Any, place: Sequence[str | int], kind: str, message: str) -> str:
    """What is wrong at a place of a rubric's data, and what to write there."""
    if not place:
        return message.removeprefix("Value error, ")
    subject, key, inside, value = "the rubric", "", "", data
    for step in place:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
        if isinstance(step, int) and key in _CALLED:
            name = value.get("name") if isinstance(value, dict) else None
            part = f"{_CALLED[key]} " + (f"'{name}'" if isinstance(name, str) else str(step + (key != "anchors")))
            subject, inside = part if inside == "" else f"{part} of {subject}", key
        elif step in _WISHES or kind == "extra_forbidden":
            key = str(step)
    wish = _WISHES.get(key, "")
    if kind == "extra_forbidden":
        return f"{subject} has an unknown key '{key}'; the keys are {', '.join(_KEYS[inside])}"
    if kind == "missing":
        return f"{subject} has no {key}; write {wish}"
    what = "" if isinstance(place[-1], int) else f"{key} of "
    return f"{what}{subject} cannot be {str(value)[:60] or 'empty'}; write {wish}"


@dataclass(frozen=True)
class Scores:
    """Scores of one question by the criteria of a rubric, each in [0, 10]; made by `Rubric.scores`.

    Attributes:
        values: by criterion, in the rubric's order; or the one figure that a judge measures instead, under its own name; none
            where people compared questions instead of scoring them.
        composite: their weighted mean, in [0, 10].
    """

    values: Mapping[str, float]
    composite: float

    @classmethod
    def measured(cls, name: str, value: float) -> Scores:
        """What a judge measures that gives no scores by criteria, from 0 to 10; recorded as what it is."""
        return cls({name: value}, value)

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)


@dataclass(frozen=True)
class Judgement:
    """What a judge or rater said of one question: scored, or unscored with a reason. Never a made-up number.

    Attributes:
        kept: share of the reward that the defects leave which the judge can name, in [0, 1].
        parts: what each of several judges said, by name.
    """

    scores: Scores | None
    reasoning: str = ""
    unscored_reason: str | None = None
    kept: float = 1.0
    parts: Mapping[str, Judgement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.scores is None) == (self.unscored_reason is None):
            raise ValueError("a judgement has either scores or a reason why it has none")

    @classmethod
    def unscored(cls, reason: str) -> Judgement:
        """A judgement without scores: a timeout, a refusal, malformed output, a skipped or expired rating."""
        return cls(scores=None, unscored_reason=reason)

    @classmethod
    def by_order(cls, reward: float) -> Judgement:
        """What an order within a group says of one question: how it did there, and nothing of single criteria."""
        return cls(Scores({}, reward * MAX_SCORE))

    @property
    def reward(self) -> float | None:
        """Composite / 10, in [0, 1]; None if unscored."""
        return None if self.scores is None else self.scores.composite / MAX_SCORE


def rating_to_score(rating: float) -> float:
    """Map a human rating of 1 to 5 linearly to the judge's scale: 1 -> 0, 5 -> 10.

    Raises:
        ValueError: if the rating is outside 1 to 5.
    """
    if not MIN_RATING <= rating <= MAX_RATING:
        raise ValueError(f"a rating must be between {MIN_RATING} and {MAX_RATING}, not {rating!r}")
    return (rating - MIN_RATING) / (MAX_RATING - MIN_RATING) * MAX_SCORE
