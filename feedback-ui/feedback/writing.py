"""Questions for a recruiter: more are written than wanted, the judge scores them, and the best different ones are kept."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

from generator import QuestionGenerator
from recruiter.config import NamedJudgeConfig
from recruiter.errors import RecruiterError
from recruiter.judges import Judge
from recruiter.judges.making import make_judge, named_judge
from recruiter.roles.completing import CompletedRole
from recruiter.rubric import load_rubric
from recruiter.writers.generate import Question, Report


@dataclass
class Written:
    """What is shown: the questions, best first, and a few sentences on how they came about."""

    questions: list[Question]
    message: str


@dataclass
class Writing:
    """A job for the generator. It ends early, at the model's next token, when `cancel` is called."""

    draft: CompletedRole
    count: int
    best_of: int
    judge: str
    rubric: str | None = None  # file of the server's criteria
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled.set()

    def __call__(self, generator: QuestionGenerator, report: Report) -> Written:
        """Write and judge.

        Raises:
            RecruiterError: model or judge cannot be used, or it was cancelled.
        """

        def go_on(what: str, share: float) -> None:
            if self._cancelled.is_set():
                raise RecruiterError("Stopped.")
            report(what, share)

        judge = judge_named(self.judge, self.rubric)
        found = generator.write(self.draft.role, self.count, go_on, best_of=self.best_of, judge=judge)
        these = "this one" if len(found.questions) == 1 else f"these {len(found.questions)}"
        name = generator.state()["name"]
        parts = [f"{found.drawn} written by {name}; the {judge.name} judge scores {these} highest."]
        if found.shortfall:
            parts.append(f"Fewer than wanted: {found.shortfall}.")
        if self.draft.assumed:
            parts.append(f"Assumed: {'; '.join(self.draft.assumed)}.")
        return Written(found.questions, " ".join(parts))


class ServerJudgeConfig(NamedJudgeConfig):
    """A judge that is named as FEEDBACK_JUDGE."""

    OPTIONS: ClassVar[Mapping[str, str]] = {
        **NamedJudgeConfig.OPTIONS,
        "provider": "FEEDBACK_JUDGE={}",
        "model": "FEEDBACK_JUDGE={provider}/{}",
    }


@cache
def judge_named(name: str, rubric: str | None) -> Judge:
    """The judge, made once. The rules of `rubric` know the built-in criteria only, so these are what it scores by.

    Raises:
        ConfigError: there is no such judge, or its key is missing.
    """
    return make_judge(
        named_judge(name, kind=ServerJudgeConfig), rubric=load_rubric(None if name == "rubric" else rubric)
    )
