from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError
from typing import Any

import pytest

from recruiter.errors import JudgeError
from recruiter.judges import Judge
from recruiter.rubric import Judgement
from recruiter.train.background_judge import BackgroundJudge
from tests.conftest import MakeRole, known
from tests.scoring import RUBRIC, scored


class SlowJudge(Judge):
    """Scores 5 after `seconds`; counts how many roles it works on at once."""

    name = "slow"
    version = "1"
    rubric = RUBRIC

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.most, self.cancelled = seconds, 0, 0, 0
        self.threads: set[Any] = set()

    async def score(self, role: Any, questions: Any) -> list[Any]:
        self.threads.add(threading.current_thread())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.now -= 1
        return [Judgement(scored(5, 5, len(question))) for question in questions]


def test_background_judge_works_on_roles_concurrently_and_keeps_the_order_of_questions(role: MakeRole) -> None:
    judge = SlowJudge(1.0)
    background = BackgroundJudge(judge)
    start = time.perf_counter()
    futures = [background.submit(role(i), ["a", "bb", "ccc"]) for i in range(10)]
    assert time.perf_counter() - start < 0.9  # submitting does not wait
    for future in futures:
        assert [known(judgement.scores)["discriminative"] for judgement in future.result(timeout=30)] == [1, 2, 3]
    background.close()
    assert judge.most == 10
    assert time.perf_counter() - start < 6
    assert threading.current_thread() not in judge.threads


def test_background_judge_passes_an_error_on_to_whoever_waits(role: MakeRole) -> None:
    class Broken(Judge):
        name = "broken"
        version = "1"
        rubric = RUBRIC

        async def score(self, role: Any, questions: Any) -> list[Judgement]:
            raise JudgeError("the key was refused")

    background = BackgroundJudge(Broken())
    with pytest.raises(JudgeError, match="the key was refused"):
        background.submit(role(), ["a"]).result(timeout=30)
    background.close()


def test_closing_cancels_what_is_still_running_and_ends_the_thread(role: MakeRole) -> None:
    judge = SlowJudge(60)
    background = BackgroundJudge(judge)
    futures = [background.submit(role(i), ["a"]) for i in range(3)]
    while judge.now < 3:
        time.sleep(0.001)
    start = time.perf_counter()
    background.close()
    assert time.perf_counter() - start < 30
    assert judge.cancelled == 3
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(timeout=30)
    assert all(not thread.is_alive() for thread in judge.threads)


def test_closing_twice_is_harmless() -> None:
    background = BackgroundJudge(SlowJudge(0))
    background.close()
    background.close()
