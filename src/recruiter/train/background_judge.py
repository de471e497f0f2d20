"""A judge that works in a thread of its own, so that judging overlaps with sampling and training."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from recruiter.files import write_json
from recruiter.judges import Judge
from recruiter.llm.loop_thread import LoopThread
from recruiter.roles import Role
from recruiter.rubric import Judgement

T = TypeVar("T")


class BackgroundJudge:
    """Runs a judge's coroutines in a thread of their own, so that judging overlaps with sampling and training."""

    def __init__(self, judge: Judge) -> None:
        self.judge, self.name, self.rubric = judge, judge.name, judge.rubric
        self._thread = LoopThread("judge")

    def submit(self, role: Role, questions: Sequence[str], step: int = 0) -> Future[list[Judgement]]:
        """Start judging one role's questions; the future holds one judgement each, in order.

        Args:
            step: the training step that sampled them; 0: a validation.
        """
        return self.start(self._judge(step).score(role, list(questions)))

    def read(self, groups: Sequence[tuple[Role, Sequence[str]]], step: int = 0) -> None:
        """All questions of a step or a validation are submitted: compute here what a judge computes with the policy."""
        self._judge(step).read(groups)

    def _judge(self, step: int) -> Judge:
        return self.judge.in_step(step) if step else self.judge

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine where the judge runs."""
        return self._thread.submit(work)

    def take_metrics(self) -> dict[str, Any]:
        """What judging took since the last time this was asked, if it takes anything."""
        return {f"judge_{name}": value for name, value in self.judge.usage.take_step().items()}

    def store_usage(self, path: Path) -> None:
        """Write down what judging has taken in all."""
        if state := self.judge.usage.state():
            write_json(path, state)

    def restore_usage(self, path: Path) -> None:
        """Go on counting from what was written down."""
        if path.is_file():
            self.judge.usage.load_state(json.loads(path.read_text(encoding="utf-8")))

    def close(self) -> None:
        """Cancel what is still running and end the thread."""
        self._thread.close(self.judge.close)
