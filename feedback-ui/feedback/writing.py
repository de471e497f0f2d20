"""What the writing page asks for: the role of an advertisement, questions of which the judge keeps the best, and kits."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from generator import QuestionGenerator
from recruiter.config import NamedJudgeConfig
from recruiter.errors import RecruiterError
from recruiter.judges import Judge
from recruiter.judges.making import named_judge
from recruiter.roles.completing import CompletedRole
from recruiter.rubric import load_rubric
from recruiter.writers.finding import find_checker
from recruiter.writers.generate import Question, Report
from recruiter.writers.kit import Kit


@dataclass
class Written:
    """What is shown: the questions, best first, and a few sentences on how they came about."""

    questions: list[Question]
    message: str


class Cancellable:
    """A job for the generator. It ends early, at the model's next token, when `cancel` is called."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled.set()

    def until_cancelled(self, report: Report) -> Report:
        """A report that ends the work once it is cancelled."""

        def go_on(what: str, share: float) -> None:
            if self._cancelled.is_set():
                raise RecruiterError("Stopped.")
            report(what, share)

        return go_on


class Writing(Cancellable):
    """Questions, the best of more that were drawn."""

    def __init__(
        self, draft: CompletedRole, count: int, best_of: int, judge: str | None, rubric: str | None = None
    ) -> None:
        super().__init__()
        self.draft, self.count, self.best_of, self.judge, self.rubric = draft, count, best_of, judge, rubric

    def __call__(self, generator: QuestionGenerator, report: Report) -> Written:
        """Write and judge.

        Raises:
            RecruiterError: model or judge cannot be used, or it was cancelled.
        """
        judge, go_on = judge_for(generator, self.judge, self.rubric), self.until_cancelled(report)
        found = generator.write(self.draft.role, self.count, go_on, best_of=self.best_of, judge=judge)
        these = "this one" if len(found.questions) == 1 else f"these {len(found.questions)}"
        name = generator.state()["name"]
        parts = [f"{found.drawn} written by {name}; the {judge.name} judge scores {these} highest."]
        if found.shortfall:
            parts.append(f"Fewer than wanted: {found.shortfall}.")
        if self.draft.assumed:
            parts.append(f"Assumed: {'; '.join(self.draft.assumed)}.")
        return Written(found.questions, " ".join(parts))


class KitWriting(Cancellable):
    """A kit: questions with guides. A judge that is a language model checks it, else the model that writes."""

    def __init__(
        self, draft: CompletedRole, count: int, best_of: int, judge: str | None, rubric: str | None, **wishes: Any
    ) -> None:
        super().__init__()
        self.draft, self.count, self.best_of, self.judge, self.rubric = draft, count, best_of, judge, rubric
        self.wishes = wishes

    def __call__(self, generator: QuestionGenerator, report: Report) -> Kit:
        """Write, judge and check.

        Raises:
            RecruiterError: a model or judge cannot be used, nothing was written, or it was cancelled.
        """
        judge, go_on = judge_for(generator, self.judge, self.rubric), self.until_cancelled(report)
        checker = find_checker(self.judge)
        kit = generator.kit(
            self.draft.role, self.count, go_on, best_of=self.best_of, judge=judge, checker=checker, **self.wishes
        )
        kit.model, kit.guide_model = generator.without_paths(kit.model), generator.without_paths(kit.guide_model)
        kit.checked_by = kit.checked_by and generator.without_paths(kit.checked_by)
        for made in kit.questions:
            made.missing = [generator.without_paths(text) for text in made.missing]
        return kit


class Reading(Cancellable):
    """An advertisement that is read for its role."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __call__(self, generator: QuestionGenerator, report: Report) -> CompletedRole:
        """Read it.

        Raises:
            RecruiterError: it says too little, or it was cancelled.
        """
        return generator.read(self.text, self.until_cancelled(report))


class ServerJudgeConfig(NamedJudgeConfig):
    """A judge that is named as FEEDBACK_JUDGE."""

    OPTIONS: ClassVar[Mapping[str, str]] = {
        **NamedJudgeConfig.OPTIONS,
        "provider": "FEEDBACK_JUDGE={}",
        "model": "FEEDBACK_JUDGE={provider}/{}",
    }


@cache
def judge_for(generator: QuestionGenerator, name: str | None, rubric: str | None) -> Judge:
    """The judge, made once. The rules of `rubric` know the built-in criteria only, so these are what it scores by.

    Args:
        name: None: the best one that costs nothing, see `who_picks`.

    Raises:
        ConfigError: there is no such judge, or its key is missing.
    """
    named = named_judge(name, kind=ServerJudgeConfig) if name else None
    return generator.judge(named, load_rubric(rubric if name not in (None, "rubric") else None))
