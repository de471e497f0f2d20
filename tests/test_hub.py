from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from recruiter.deploy import hub
from recruiter.deploy.hub import download, fetch_snapshot, model_size, publish, user_name
from recruiter.engines.loading import check_model, load_model
from recruiter.errors import HubError, ModelError
from recruiter.writers.generate import sampling_of
from recruiter.writers.local import LocalWriter
from tests.engines.conftest import tiny_model, tiny_tokenizer
from tests.fake_hub import FakeHub

REPO = "user/writer"
FILES = {
    "config.json": b'{"max_position_embeddings": 4096}',
    "model.safetensors": os.urandom(300_000),
    "README.md": b"# hi\n",
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A Hub of its own for each test, Xet off, no waiting between attempts."""
    server = FakeHub()
    server.connect(monkeypatch, tmp_path / "cache")
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    for name, content in {**FILES, "export.json": b"{}"}.items():
        (made / name).write_bytes(content)
    return made


def wait_until(condition: Any, seconds: int = 10) -> bool:
    pause, rounds = threading.Event(), int(seconds / 0.02)
    return any(condition() or pause.wait(0.02) for _ in range(rounds))


def say(_: str) -> None:
    pass


def test_publishing_makes_the_repository_and_leaves_local_notes_out(fake: Any, folder: Path) -> None:
    assert publish(folder, REPO, False, say) == f"{fake.url}/{REPO}"
    assert not fake.repos[REPO]["private"]
    assert {name: fake.repos[REPO]["files"][name] for name in FILES} == FILES
    assert "export.json" not in fake.repos[REPO]["files"]


def test_private_flag(fake: Any, folder: Path) -> None:
    publish(folder, REPO, True, say)
    assert fake.repos[REPO]["private"]
    fake.add("user/open", {})
    with pytest.raises(HubError, match=r"user/open exists and is public: make it private"):
        publish(folder, "user/open", True, say)
    assert "model.safetensors" not in fake.repos["user/open"]["files"]


def test_publishing_again_sends_nothing_twice_and_removes_stale_weights(fake: Any, folder: Path) -> None:
    fake.add(REPO, {"model-00001-of-00002.safetensors": b"old", "notes.txt": b"mine"})
    publish(folder, REPO, False, say)
    publish(folder, REPO, False, say)
    assert fake.count("PUT", "/lfs/") == 1
    assert sorted(fake.repos[REPO]["files"]) == ["README.md", "config.json", "model.safetensors", "notes.txt"]


@pytest.mark.parametrize("status", [409, 412, 500, 503])
def test_known_races_are_tried_again(fake: Any, folder: Path, status: int) -> None:
    fake.fail("POST", "/commit/main", status, times=2)
    said: list[str] = []
    publish(folder, REPO, False, said.append)
    assert fake.repos[REPO]["files"]["model.safetensors"] == FILES["model.safetensors"]


def test_a_repository_that_is_not_everywhere_yet_is_waited_for(fake: Any, folder: Path) -> None:
    fake.fail("POST", "/preupload/main", 404)
    said: list[str] = []
    publish(folder, REPO, False, said.append)
    assert "trying again" in said[0]


def test_an_upload_that_failed_goes_on_where_it_stopped(fake: Any, folder: Path) -> None:
    fake.fail("POST", "/commit/main", 403, message="over quota")
    with pytest.raises(HubError, match="may not write"):
        publish(folder, REPO, False, say)
    assert fake.count("PUT", "/lfs/") == 1
    publish(folder, REPO, False, say)
    assert fake.count("PUT", "/lfs/") == 1


def test_a_transfer_that_keeps_failing_is_one_sentence(fake: Any, folder: Path) -> None:
    fake.fail("PUT", "/lfs/", 500, times=1000)
    with pytest.raises(HubError, match=r"The Hub refused user/writer \(500\).*Run again"):
        publish(folder, REPO, False, say)


def test_whoami_and_tokens(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_name() == "user"
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match=r"does not accept HF_TOKEN: make a new one"):
        user_name()
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(HubError, match="There is no Hub token: write HF_TOKEN="):
        user_name()


def test_other_refusals_are_one_sentence(fake: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        HubError, match=r"may not write to other/writer: it needs write access, and other must be yours"
    ):
        publish(folder, "other/writer", False, say)
    with pytest.raises(HubError, match="write user/name"):
        publish(folder, "a/b/c", False, say)
    with pytest.raises(HubError, match="The Hub has no user/none"):
        fetch_snapshot("user/none", ["*"])
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"The Hub cannot be reached for user/writer \(ConnectError\)"):
        publish(folder, REPO, False, say)
    with pytest.raises(HubError, match=r"The Hub cannot be reached for the name of your account \(ConnectError\)"):
        user_name()


def test_size_and_length_of_a_published_model(fake: Any) -> None:
    fake.add(REPO, FILES)
    assert model_size(REPO) == (300_000, 4096)


def test_download_is_whole_verified_and_not_repeated(fake: Any, tmp_path: Path) -> None:
    fake.add(REPO, FILES)
    target = tmp_path / "exports/writer"
    assert download(REPO, None, target, say)
    assert {name: (target / name).read_bytes() for name in FILES} == FILES
    sent = fake.bytes_sent
    assert not download(REPO, None, target, say)
    assert fake.bytes_sent == sent


def test_a_lost_connection_is_resumed_in_the_middle_of_the_file(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    fake.add(REPO, FILES)
    fake.cut = 200_000
    assert download(REPO, None, tmp_path / "writer", say)
    assert (tmp_path / "writer/model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert fake.bytes_sent == sum(map(len, FILES.values()))


def test_a_killed_download_leaves_nothing_under_its_name_and_goes_on(fake: Any, tmp_path: Path) -> None:
    fake.add(REPO, FILES)
    target = tmp_path / "writer"
    fake.stall_after = 200_000
    code = f"from recruiter.deploy.hub import *; download({REPO!r}, None, Path({str(target)!r}), print)"
    environment = {**os.environ, "HF_ENDPOINT": fake.url, "HF_HUB_DISABLE_XET": "1"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) as process:
        assert fake.stalled.wait(30)
        notes = tmp_path / ".writer.part/.cache/huggingface/download"
        assert wait_until(lambda: all((notes / f"{name}.metadata").is_file() for name in ("config.json", "README.md")))
        process.send_signal(signal.SIGKILL)
    assert not target.exists()
    fake.stall_after = None
    fake.go_on.set()
    before = fake.bytes_sent
    assert download(REPO, None, target, say)
    assert {name: (target / name).read_bytes() for name in FILES} == FILES
    assert fake.bytes_sent - before == len(FILES["model.safetensors"])
    assert not list(target.rglob("*.incomplete"))


def test_a_damaged_file_is_noticed_and_fetched_again(fake: Any, tmp_path: Path) -> None:
    fake.add(REPO, FILES)
    target = tmp_path / "writer"
    download(REPO, None, target, say)
    state = (target / "model.safetensors").stat()
    (target / "model.safetensors").write_bytes(b"x" * 300_000)
    os.utime(target / "model.safetensors", (state.st_atime, state.st_mtime))
    said: list[str] = []
    assert download(REPO, None, target, said.append)
    assert (target / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_revision_is_fetched_and_a_wrong_one_named(fake: Any, tmp_path: Path) -> None:
    commit = fake.add(REPO, FILES)
    assert download(REPO, commit, tmp_path / "a", say)
    with pytest.raises(HubError, match=f"no such revision: {REPO} at v9"):
        download(REPO, "v9", tmp_path / "b", say)
    assert not (tmp_path / "b").exists()


def test_a_folder_with_something_else_and_a_small_disk_are_refused(
    fake: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(REPO, FILES)
    with pytest.raises(HubError, match="holds something else"):
        download(REPO, None, folder, say)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(HubError, match=r"needs 0\.2 GB and 0\.0 GB are free"):
        download(REPO, None, tmp_path / "x", say)
    assert fake.count("GET", "/resolve/") == 0


def test_default_model_is_the_published_one() -> None:
    assert hub.MODEL == "ash256/qwen3-4b-question-gen"


@pytest.mark.parametrize("is_off", [False, True])
def test_a_model_that_is_nowhere_is_one_sentence_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_off: bool
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", is_off)
    start = time.monotonic()
    with pytest.raises(ModelError) as caught:
        check_model("org/none")
    assert time.monotonic() - start < 20
    why = "HF_HUB_OFFLINE is set" if is_off else "http://127.0.0.1:9 cannot be reached"
    assert str(caught.value).startswith(
        f"trainer.policy.model.path=org/none is not on this machine, and {why}: connect"
    )
    with pytest.raises(ModelError, match="org/none is not on this machine"):
        sampling_of(LocalWriter("org/none"))


def test_a_model_that_was_fetched_before_is_used_without_the_hub(fake: Any, tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path / "tiny")
    tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    fake.add("org/tiny", {file.name: file.read_bytes() for file in (tmp_path / "tiny").iterdir()})
    device = torch.device("cpu")
    check_model("org/tiny")
    _, fetched = load_model("org/tiny", torch.float32, device)
    fake.close()
    check_model("org/tiny")
    _, kept = load_model("org/tiny", torch.float32, device)
    assert all(torch.equal(one, other) for one, other in zip(fetched.parameters(), kept.parameters(), strict=True))
