"""Judges that talk to the fake server."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import JudgeConfig
from recruiter.judges.llm import LLMJudge
from tests import REPOSITORY
from tests.conftest import known
from tests.fake_judge import FakeJudge

MakeJudge = Callable[..., LLMJudge]
KEY = "xai-0123456789-the-key-of-the-tests"
PROVIDERS = ["xai", "openai", "anthropic", "openai_compatible"]
GOOD = "A provider times out after a charge. How do you retry without charging twice?"
QUESTIONS = [f"Queue {n} grows by {n}00 messages a second at peak. How would you find out why?" for n in range(1, 9)]


def score(judge: Any, role: Any, questions: Any) -> Any:
    """Judge in a loop of its own, as training and evaluation do, and close."""

    async def run() -> Any:
        try:
            return await judge.score(role, questions)
        finally:
            await judge.close()

    return asyncio.run(run())


@contextlib.contextmanager
def by_hand(*arguments: Any) -> Iterator[Any]:
    """The fake judge as a process of its own; gives its address."""
    command = [sys.executable, "-u", "-m", "tests.fake_judge", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield known(re.search(r"http://[\d.:]+/v1", known(process.stdout).readline())).group()
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only keys of the tests, whatever the environment holds."""
    for name in ("XAI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)


@pytest.fixture
def server() -> Iterator[FakeJudge]:
    """A fake judge without faults; tests set its attributes."""
    with FakeJudge() as server:
        yield server


@pytest.fixture
def judge(server: FakeJudge, tmp_path: Path) -> MakeJudge:
    """A factory of judges at the fake server, all with one cache."""

    def make(provider: str = "xai", **changes: Any) -> LLMJudge:
        url = server.anthropic_url if provider == "anthropic" else server.openai_url
        given: dict[str, Any] = {"base_url": url, "cache_path": str(tmp_path / "cache.sqlite"), **changes}
        if provider == "openai_compatible":
            given.setdefault("model", "fake")
        return LLMJudge(JudgeConfig(provider=provider, **given))

    return make


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between attempts."""
    monkeypatch.setattr("recruiter.llm.retry.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("recruiter.llm.retry.LONGEST_PAUSE", 0.05)
