"""The commands around an exported model, as a person types them, against local servers."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recruiter.deploy import endpoint
from tests import REPOSITORY
from tests.conftest import MakeRole
from tests.export.conftest import Train
from tests.fake_endpoint import QUESTION, FakeEndpoint
from tests.fake_hub import FakeHub

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a script with arguments; returns its exit status and all that it printed. `answer` is typed when it asks."""

    def call(script: str, *arguments: object, answer: str | None = None, **environment: str) -> tuple[int, str]:
        for key, value in {"COLUMNS": "200", **environment}.items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        monkeypatch.setattr(sys.stdin, "isatty", lambda: answer is not None, raising=False)
        monkeypatch.setattr("builtins.input", lambda _: answer)
        code = 0
        try:
            runpy.run_path(str(REPOSITORY / "scripts" / script), run_name="__main__")
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    server = FakeHub()
    server.connect(monkeypatch, tmp_path / "cache")
    monkeypatch.delenv("HF_REPO", raising=False)
    yield server
    server.close()


def test_export_publish_and_again(train: Train, hub: Any, run: Run, tmp_path: Path) -> None:
    trained = train()
    out = tmp_path / "out"
    export = ("--checkpoint", trained.run, "--output", out, "--torch_dtype", "float32", "--max_model_len", 2048)
    code, text = run("export_merged_model.py", *export, "--verify", "--push_to_hub", "--private", HF_REPO="user/writer")
    assert code == 0, text
    for part in ("2048 tokens of context", "100.0% of that is left", "Verified.", f"Published: {hub.url}/user/writer"):
        assert part in text
    assert hub.repos["user/writer"]["private"]
    assert b"# writer" in hub.repos["user/writer"]["files"]["README.md"]
    code, text = run("export_merged_model.py", *export)
    assert code == 0, text
    assert "already is this export, verified by its hashes" in text
    shutil.rmtree(trained.run)
    publish = ("--output", out, "--push_to_hub", "--hub_repo", "user/second")
    code, text = run("export_merged_model.py", *publish)
    assert code == 0, text
    assert "base states no licence in its files" in text
    assert run("export_merged_model.py", *publish, HF_TOKEN="hf_wrong") == (
        1,
        "The Hub does not accept HF_TOKEN: make a new one at https://huggingface.co/settings/tokens.\n",
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "give --checkpoint to export"),
        (("--checkpoint", "nowhere"), "There is no checkpoint at nowhere; existing ones: "),
        (("--push_to_hub",), "Give --hub_repo USER/NAME, or set HF_REPO"),
        (("--verify", "--push_to_hub"), "give --checkpoint too"),
        (("--create_endpoint", "--delete_endpoint"), "exclude each other"),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: Any, sentence: str
) -> None:
    monkeypatch.delenv("HF_REPO", raising=False)
    code, text = run("export_merged_model.py", *options)
    assert code in (1, 2)
    assert sentence in text


def test_endpoint_is_shown_asked_for_made_and_deleted(hub: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "POLL_SECONDS", 0.01)
    hub.add("user/writer", {"config.json": b'{"max_position_embeddings": 4096}', "model.safetensors": b"x" * 1000})
    create = ("export_merged_model.py", "--hub_repo", "user/writer", "--create_endpoint")
    code, text = run(*create)
    assert code == 1
    assert "$0.50 an hour" in text
    assert "There is no terminal to ask at; --yes creates it without asking" in text
    code, text = run(*create, answer="n")
    assert code == 1
    assert "Nothing was changed" in text
    assert not hub.endpoints
    code, text = run(*create, answer="y")
    assert code == 0, text
    assert f"It runs: {hub.url}" in text
    assert "--delete_endpoint" in text
    assert list(hub.endpoints) == ["user/writer"]
    code, text = run("export_merged_model.py", "--hub_repo", "user/writer", "--delete_endpoint", "--yes")
    assert code == 0, text
    assert not hub.endpoints
    code, text = run(*create, "--yes", "--instance_type", "nvidia-t5")
    assert code == 1
    assert text.startswith("--instance_type nvidia-t5 is not known")


def test_endpoint_is_asked_for_questions(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: MakeRole
) -> None:
    monkeypatch.setattr("recruiter.llm.retry.FIRST_PAUSE", 0.01)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    server = FakeEndpoint(cold=1)
    try:
        record = tmp_path / "role.json"
        record.write_text(role(1).model_dump_json())
        code, text = run("test_endpoint.py", "--calls", 2, "--role", record, HF_ENDPOINT_URL=server.url)
        assert code == 0, text
        for part in ("is well", QUESTION, "2 calls of question-writer: latency p50", "tokens a second"):
            assert part in text
        run("test_endpoint.py", "--calls", 1, "--prompt", "Hello")
        assert server.bodies[-1]["messages"] == [{"role": "user", "content": "Hello"}]
        code, text = run("test_endpoint.py", HF_TOKEN="hf_wrong")
        assert code == 1
        assert "does not accept HF_TOKEN" in text
    finally:
        server.close()


def test_address_of_the_endpoint_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT_URL", raising=False)
    code, text = run("test_endpoint.py", HF_ENDPOINT="https://x.endpoints.huggingface.cloud")
    assert code == 1
    assert "HF_ENDPOINT_URL is not set" in text
    assert "HF_ENDPOINT is something else" in text


def test_model_is_downloaded(hub: Any, run: Run, tmp_path: Path) -> None:
    hub.add("ash256/qwen3-4b-question-gen", {"config.json": b"{}", "model.safetensors": b"x" * 1000})
    target = tmp_path / "model"
    code, text = run("download_model.py", "--output", target)
    assert code == 0, text
    assert "is ready, verified" in text
    assert json.loads((target / "config.json").read_text()) == {}
    code, text = run("download_model.py", "--repo", "user/none", "--output", tmp_path / "b")
    assert code == 1
    assert "The Hub has no user/none" in text
