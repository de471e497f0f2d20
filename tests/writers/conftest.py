"""Writers at the fake server, and tiny models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from recruiter.config import ApiConfig
from recruiter.writers.api import ApiWriter
from tests.engines.conftest import tiny_model, tiny_tokenizer
from tests.fake_judge import FakeJudge

KEY = "xai-0123456789-the-key-of-the-tests"

MakeWriter = Callable[..., ApiWriter]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only keys of the tests, and short pauses between attempts."""
    for name in ("XAI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, KEY)
    for name in ("OPENAI_COMPATIBLE_API_KEY", "HF_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("recruiter.llm.retry.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("recruiter.llm.retry.LONGEST_PAUSE", 0.05)


@pytest.fixture
def server() -> Iterator[FakeJudge]:
    with FakeJudge() as server:
        yield server


@pytest.fixture
def api_writer(server: FakeJudge, tmp_path: Path) -> MakeWriter:
    """A factory of writers at the fake server, all with one cache."""

    def make(provider: str = "xai", **changes: Any) -> ApiWriter:
        url = server.anthropic_url if provider == "anthropic" else server.openai_url
        return ApiWriter(
            ApiConfig(provider=provider, **cast(Any, {"base_url": url, **changes})), cache=tmp_path / "cache.sqlite"
        )

    return make


@pytest.fixture(scope="session")
def tiny_writer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that writes bytes."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("llama").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
