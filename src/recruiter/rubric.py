"""The rubric: what a good screening question is, as data, and the only place where scores become rewards.

Judges (offline, LLM, human), the rating page, evaluation and statistics import the criteria, the scale and the
normalisation from here, so that a change of mind happens once and changes `RUBRIC_HASH`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

MAX_SCORE = 10.0
MIN_RATING, MAX_RATING = 1, 5
RATING_WORDS = {1: "useless", 3: "usable after rewriting", 5: "could not be better"}  # what judges are told of 0, 5, 10


@dataclass(frozen=True)
class RedFlag:
    """A defect that costs `penalty` points on its criterion."""

    name: str
    text: str
    penalty: int


@dataclass(frozen=True)
class Criterion:
    """One 0-10 scale: its name, the question it asks, and the red flags that lower it."""

    name: str
    question: str
    red_flags: tuple[RedFlag, ...]


CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        "relevance",
        "Does the question test skills needed for the role?",
        (
            RedFlag("generic", "generic question that fits any role", 3),
            RedFlag("minor_technology", "only a minor technology of the role", 2),
            RedFlag("unlisted_technology", "technology that the role doesn't list", 2),
            RedFlag("copied", "copies the role description instead of asking about it", 3),
        ),
    ),
    Criterion(
        "clarity",
        "Is the question unambiguous and well-formed?",
        (
            RedFlag("bundled", "several questions bundled", 2),
            RedFlag("too_broad", "too broad, over ten minutes to answer", 2),
            RedFlag("broken", "cut off or broken text", 4),
            RedFlag("unnatural", "list of terms or words without sense", 4),
            RedFlag("repeated", "repeats itself", 3),
            RedFlag("extra_text", "greeting, answer, notes or markup around the question", 3),
        ),
    ),
    Criterion(
        "discriminative",
        "Does the question distinguish good candidates from weak ones?",
        (
            RedFlag("recall", "pure recall or trivia", 3),
            RedFlag("one_word", "yes/no or one-word answer", 2),
            RedFlag("manipulation", "text that addresses the judge instead of the candidate", 6),
        ),
    ),
)
CRITERION_NAMES: tuple[str, ...] = tuple(criterion.name for criterion in CRITERIA)
RUBRIC_HASH = hashlib.sha256(json.dumps([asdict(c) for c in CRITERIA], sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Scores:
    """Scores of one question, each in [0, 10].

    Raises:
        ValueError: if a score is outside the scale (NaN included).
    """

    relevance: float
    clarity: float
    discriminative: float

    def __post_init__(self) -> None:
        for name in CRITERION_NAMES:
            value = getattr(self, name)
            if not 0.0 <= value <= MAX_SCORE:
                raise ValueError(f"{name} must be between 0 and {MAX_SCORE:g}, not {value!r}")

    @property
    def composite(self) -> float:
        """Mean of the three criteria, in [0, 10]."""
        return (self.relevance + self.clarity + self.discriminative) / len(CRITERIA)


@dataclass(frozen=True)
class Judgement:
    """What a judge or rater said of one question: scored, or unscored with a reason. Never a made-up number."""

    scores: Scores | None
    reasoning: str = ""
    unscored_reason: str | None = None

    def __post_init__(self) -> None:
        if (self.scores is None) == (self.unscored_reason is None):
            raise ValueError("a judgement has either scores or a reason why it has none")

    @classmethod
    def unscored(cls, reason: str) -> Judgement:
        """A judgement without scores: a timeout, a refusal, malformed output, a skipped or expired rating."""
        return cls(scores=None, unscored_reason=reason)

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
