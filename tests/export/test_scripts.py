"""The commands around an exported model, as a person types them, against local servers."""

import json
import os
import pty
import shutil
import subprocess
import sys

import pytest

from recruiter.config import REPOSITORY
from tests.fake_endpoint import QUESTION, FakeEndpoint
from tests.fake_hub import TOKEN, FakeHub


def run(script: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / script), *map(str, arguments)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**kept, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, "COLUMNS": "200", **environment},
    )  # fmt: skip


@pytest.fixture
def hub(tmp_path):
    server = FakeHub()
    yield server
    server.close()


def test_export_publish_and_again(train, hub, tmp_path):
    trained = train()
    out = tmp_path / "out"
    options = ("--checkpoint", trained.run, "--output", out, "--torch_dtype", "float32", "--max_model_len", 2048)
    there = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    done = run(
        "export_merged_model.py", *options, "--verify", "--push_to_hub", "--private", **there, HF_REPO="user/writer"
    )
    assert done.returncode == 0, done.stderr
    for part in ("2048 tokens of context", "100.0% of that is left", "Verified.", f"Published: {hub.url}/user/writer"):
        assert part in done.stdout
    assert hub.repos["user/writer"]["private"]
    assert b"# writer" in hub.repos["user/writer"]["files"]["README.md"]
    again = run("export_merged_model.py", *options)
    assert again.returncode == 0, again.stderr
    assert "already is this export, verified by its hashes" in again.stdout
    shutil.rmtree(trained.run)
    wrong = run(
        "export_merged_model.py",
        "--output",
        out,
        "--push_to_hub",
        "--hub_repo",
        "user/writer",
        **there,
        HF_TOKEN="hf_x",
    )
    assert wrong.returncode == 1
    assert "does not accept HF_TOKEN" in wrong.stderr
    assert "Traceback" not in wrong.stderr


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
def test_options_that_do_not_go_together(options, sentence):
    done = run("export_merged_model.py", *options)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


RUN_WITH_SERVICE = (  # the address of the endpoint service is a constant of huggingface_hub
    "import runpy, sys, huggingface_hub.constants as c, recruiter.endpoint as e; "
    "c.INFERENCE_ENDPOINTS_ENDPOINT = sys.argv.pop(1); e.POLL_SECONDS = 0.05; "
    "sys.argv[0] = 'export_merged_model.py'; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
)


def deploy(hub, tmp_path, *options: str, answer: str | None = None) -> tuple[int, str]:
    """Run the command on a terminal if an `answer` is to be typed, else without one."""
    script = str(REPOSITORY / "scripts/export_merged_model.py")
    command = [sys.executable, "-c", RUN_WITH_SERVICE, hub.url + "/v2", script, "--hub_repo", "user/writer", *options]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN, "COLUMNS": "200"}
    terminal, inside = pty.openpty()
    os.write(terminal, f"{answer}\n".encode())
    stdin = inside if answer is not None else subprocess.DEVNULL
    done = subprocess.run(
        command, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    os.close(terminal)
    os.close(inside)
    return done.returncode, done.stdout


def test_endpoint_is_shown_asked_for_made_and_deleted(hub, tmp_path):
    hub.add("user/writer", {"config.json": b'{"max_position_embeddings": 4096}', "model.safetensors": b"x" * 1000})
    code, text = deploy(hub, tmp_path, "--create_endpoint")
    assert code == 1
    assert "$0.50 an hour" in text
    assert "Nobody is here to be asked; --yes creates it without asking" in text
    code, text = deploy(hub, tmp_path, "--create_endpoint", answer="n")
    assert code == 1
    assert "Nothing was changed" in text
    assert not hub.endpoints
    code, text = deploy(hub, tmp_path, "--create_endpoint", answer="y")
    assert code == 0, text
    assert f"It runs: {hub.url}" in text
    assert "--delete_endpoint" in text
    assert list(hub.endpoints) == ["user/writer"]
    code, text = deploy(hub, tmp_path, "--delete_endpoint", "--yes")
    assert code == 0, text
    assert not hub.endpoints
    code, text = deploy(hub, tmp_path, "--create_endpoint", "--yes", "--instance_type", "nvidia-t5")
    assert code == 1
    assert "--instance_type nvidia-t5 is not known" in text


def test_endpoint_is_asked_for_questions(tmp_path, role):
    server = FakeEndpoint(cold=1)
    try:
        record = tmp_path / "role.json"
        record.write_text(role(1).model_dump_json())
        done = run("test_endpoint.py", "--calls", 2, "--role", record, "--wait", 1, HF_ENDPOINT_URL=server.url)
        assert done.returncode == 0, done.stderr
        for part in ("is well", QUESTION, "2 calls of question-writer: latency p50", "tokens a second"):
            assert part in done.stdout
        done = run("test_endpoint.py", "--calls", 1, "--prompt", "Hello", HF_ENDPOINT_URL=server.url)
        assert server.bodies[-1]["messages"] == [{"role": "user", "content": "Hello"}]
        done = run("test_endpoint.py", HF_ENDPOINT_URL=server.url, HF_TOKEN="hf_wrong")
        assert done.returncode == 1
        assert "does not accept HF_TOKEN" in done.stderr
    finally:
        server.close()


def test_address_of_the_endpoint_is_asked_for():
    done = run("test_endpoint.py", HF_ENDPOINT="https://x.endpoints.huggingface.cloud")
    assert done.returncode == 1
    assert "HF_ENDPOINT_URL is not set" in done.stderr
    assert "HF_ENDPOINT is something else" in done.stderr


def test_model_is_downloaded(hub, tmp_path):
    hub.add("ash256/qwen3-4b-question-gen", {"config.json": b"{}", "model.safetensors": b"x" * 1000})
    target = tmp_path / "model"
    done = run("download_model.py", "--output", target, HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert "is ready, verified" in done.stdout
    assert json.loads((target / "config.json").read_text()) == {}
    done = run("download_model.py", "--repo", "user/none", "--output", tmp_path / "b", HF_ENDPOINT=hub.url)
    assert done.returncode == 1
    assert "The Hub has no user/none" in done.stderr
