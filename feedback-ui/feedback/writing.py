"""Questions for a recruiter: more are written than wanted, the judge scores them, and the best different ones are kept."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache

from generator import QuestionGenerator
from recruiter.errors import RecruiterError
from recruiter.judges import Judge, make_judge, named_judge
from recruiter.judging import judge_all
from recruiter.reward import masked_trigrams
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.writers import Progress

TOO_ALIKE = 0.5  # share of a question's wording that it may have in common with a better one
WRITING_SHARE = 0.9  # of the progress; judging is the rest

Judged = tuple[str, Judgement]


@dataclass
class Written:
    """What is shown: the questions, best first, and a sentence on how they came about."""

    questions: list[Judged]
    message: str


@dataclass
class Writing:
    """A job for the generator. It ends early, at the model's next token, when `cancel` is called."""

    role: Role
    count: int
    best_of: int
    judge: str
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled.set()

    def __call__(self, generator: QuestionGenerator, progress: Progress) -> Written:
        """Write and judge.

        Raises:
            RecruiterError: the model or the judge cannot be used, or it was cancelled.
        """

        def go_on(share: float) -> None:
            if self._cancelled.is_set():
                raise RecruiterError("Stopped.")
            progress(share)

        judge = judge_named(self.judge)
        drafts = generator.write(self.role, self.count * self.best_of, lambda share: go_on(WRITING_SHARE * share))
        go_on(WRITING_SHARE)
        judged = list(zip(drafts, judge_all(judge, [(self.role, draft) for draft in drafts]), strict=True))
        kept = best_different(self.role, judged, self.count)
        return Written(
            kept, f"{generator.name} wrote {_drafts(len(drafts))}; these {len(kept)} are the best by {judge.name}."
        )


def best_different(role: Role, judged: list[Judged], count: int) -> list[Judged]:
    """The `count` best by composite, unscored ones last, leaving out what mostly repeats a better one.

    Where too few are left, the best of those left out come back: a repeated question is better than none.
    """
    ranked = sorted(judged, key=lambda one: -1.0 if one[1].reward is None else one[1].reward, reverse=True)
    kept: list[Judged] = []
    repeats: list[Judged] = []
    for text, judgement in ranked:
        own = masked_trigrams(role, text)
        alike = (len(own & masked_trigrams(role, other)) / len(own) for other, _ in kept if own)
        (repeats if max(alike, default=0.0) > TOO_ALIKE else kept).append((text, judgement))
    return (kept + repeats)[:count]


@cache
def judge_named(name: str) -> Judge:
    """The judge, made once.

    Raises:
        ConfigError: there is no such judge, or its key is missing.
    """
    return make_judge(named_judge(name))


def _drafts(number: int) -> str:
    return "1 draft" if number == 1 else f"{number} drafts"
