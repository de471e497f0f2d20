"""Judges that talk to the fake server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recruiter.config import JudgeConfig
from recruiter.judges.llm import LLMJudge
from tests.fake_judge import FakeJudge

KEY = "xai-0123456789-the-key-of-the-tests"


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
def judge(server: FakeJudge, tmp_path: Path) -> Callable[..., LLMJudge]:
    """A factory of judges at the fake server, all with one cache."""

    def make(provider: str = "xai", **changes: object) -> LLMJudge:
        url = server.anthropic_url if provider == "anthropic" else server.openai_url
        given = {"base_url": url, "cache_path": str(tmp_path / "cache.sqlite"), **changes}
        if provider == "openai_compatible":
            given.setdefault("model", "fake")
        return LLMJudge(JudgeConfig(provider=provider, **given))

    return make
