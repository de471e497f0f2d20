"""The package as a wheel, installed elsewhere: every command works in a folder that was empty, without the repository."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.engines.conftest import tiny_model, tiny_tokenizer

BUILT_FROM = (
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
    "src",
    "configs",
    "feedback-ui",
    "data/backend_roles.json",
)
TRAINING = (
    "trainer.device=cpu", "trainer.policy.model.dtype=float32", "trainer.policy.model.path=tiny",
    "trainer.train_batch_size=2", "trainer.max_training_steps=1", "data.val_size=2", "trainer.eval_before_train=false",
    "generator.sampling_params.max_generate_length=24", "trainer.ckpt_path=checkpoints/mine",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources, installed beside the packages that it needs."""
    source, wheels, site = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "site"))
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.db*")
    for name in BUILT_FROM:
        path, target = REPOSITORY / name, source / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(path, target, ignore=ignored) if path.is_dir() else shutil.copy(path, target)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True)
    return site


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: nothing but a tiny model."""
    folder = tmp_path_factory.mktemp("empty")
    tiny_model("llama", max_position_embeddings=8192).save_pretrained(folder / "tiny")
    tiny_tokenizer().save_pretrained(folder / "tiny")
    return folder


def environment(site: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(site), "XAI_API_KEY": "", "COLUMNS": "160"}


def recruiter(site: Path, folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(site / "bin/recruiter"), *arguments], cwd=folder, env=environment(site), capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    assert "scripts/" not in done.stdout + done.stderr
    return done


def test_the_wheel_is_what_runs_and_says_so_to_type_checkers(site: Path, folder: Path) -> None:
    code = "import recruiter; from recruiter.config.paths import IS_INSTALLED; print(recruiter.__file__, IS_INSTALLED)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(site), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(site / "recruiter/__init__.py"), "True"]
    assert (site / "recruiter/py.typed").is_file()


def test_it_lists_its_commands_and_knows_what_was_meant(site: Path, folder: Path) -> None:
    listed = recruiter(site, folder, "--help").stdout
    assert all(f"  {name} " in listed for name in ("train", "eval", "generate", "judge", "export", "serve"))
    assert "did you mean generate?" in recruiter(site, folder, "generat", code=2).stderr
    assert "recruiter judge --role" in recruiter(site, folder, "judge", "--help").stdout


def test_it_prepares_trains_evaluates_and_draws_in_the_current_folder(site: Path, folder: Path) -> None:
    assert "recruiter prepare" in recruiter(site, folder, "train", *TRAINING, "judge.provider=rubric", code=1).stderr
    assert "recruiter train" in recruiter(site, folder, "prepare").stdout
    (folder / "configs").mkdir()
    (folder / "configs/mine.yaml").write_text("defaults: [quickstart_config, _self_]\ntrainer: {seed: 7}\n")
    trained = recruiter(site, folder, "train", "--config-name=mine", *TRAINING)
    assert "Next: recruiter eval" in trained.stdout
    run = json.loads((folder / "checkpoints/mine/run.json").read_text())
    assert (run["judge"], run["config"]["trainer"]["seed"], run["revision"]) == ("local/tiny", 7, None)
    roles = json.loads((REPOSITORY / "data/backend_roles.json").read_text(encoding="utf-8"))[:2]
    (folder / "roles.json").write_text(json.dumps(roles))
    options = (
        "--model",
        "tiny",
        "rl",
        "--checkpoint",
        "checkpoints/mine",
        "--judge",
        "rubric",
        "--roles",
        "roles.json",
    )
    recruiter(site, folder, "eval", *options, "--samples", "1", "--twice", "0")
    assert (folder / "results/eval_results.html").is_file()
    recruiter(site, folder, "analyze", "--run", "checkpoints/mine", "--results", "results/eval_results.json")
    assert (folder / "results/scores.png").is_file()
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "configs",
        "data",
        "results",
        "roles.json",
        "tiny",
    ]


def test_it_generates_and_judges(site: Path, folder: Path) -> None:
    written = recruiter(
        site,
        folder,
        "generate",
        "--model",
        "tiny",
        "--role",
        "ad-serving-01",
        "-n",
        "1",
        "--best_of",  # a random model seldom ends a question by itself
        "8",
        "--judge",
        "rubric",
        "--format",
        "json",
    )
    assert "ad-serving-01" in written.stdout
    assert json.loads(written.stdout)
    judged = recruiter(
        site, folder, "judge", "--judge", "rubric", "--role", "ad-serving-01", "--format", "json", "How?"
    )
    assert json.loads(judged.stdout)[0]["composite"] is not None


def test_it_serves_the_pages_and_makes_links_for_raters(site: Path, folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, str(site / "bin/recruiter"), "serve", "--port", address.rpartition(":")[2]]
    server = subprocess.Popen(
        command, cwd=folder, env=environment(site), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{address}/", timeout=10) as answer:
                    page = answer.read().decode()
                break
            except OSError:
                assert server.poll() is None, server.stderr and server.stderr.read()
                time.sleep(0.1)
        assert "/static/js/rate.js" in page
        with urllib.request.urlopen(f"{address}/static/js/rate.js", timeout=10) as answer:
            assert answer.status == 200
        assert "/join" in recruiter(site, folder, "raters", "create", "--name", "Ada", "--url", address).stdout
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert (folder / "feedback.db").is_file()
