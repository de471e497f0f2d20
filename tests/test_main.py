"""The whole command, as a person runs it, on a tiny model and on the starter model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recruiter.files import read_jsonl
from recruiter.writers.starter import ensure_starter
from tests import REPOSITORY
from tests.checkout import make_checkout
from tests.engines.conftest import tiny_model, tiny_tokenizer

TIMES = ("seconds", "seconds_sampling")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    command = [sys.executable, "scripts/prepare_dataset.py", "--output", str(folder / "raw")]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("llama", max_position_embeddings=8192).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def command_for(model: Path, data: Path, run: Path, *overrides: str) -> list[str]:
    return [
        sys.executable, "-m", "src.recruiter.main", "--config-name=quickstart_config",
        f"trainer.policy.model.path={model}", f"data.raw_dir={data / 'raw'}", f"data.processed_dir={data / 'processed'}",
        f"trainer.ckpt_path={run}", "trainer.device=cpu", "trainer.policy.model.dtype=float32",
        "generator.sampling_params.max_generate_length=24", "trainer.train_batch_size=4", "data.val_size=4", *overrides,
    ]  # fmt: skip


def metrics_without_times(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_jsonl(run / "metrics.jsonl")]


STEPS = ("trainer.max_training_steps=6", "trainer.ckpt_interval=2", "trainer.eval_interval=3")


def test_a_run_killed_with_sigkill_and_resumed_equals_one_that_was_not(tiny: Path, data: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command_for(tiny, data, whole, *STEPS), cwd=REPOSITORY, check=True, capture_output=True)

    process = subprocess.Popen(command_for(tiny, data, killed, *STEPS), cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / "global_step_2").is_dir() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = subprocess.run(
        command_for(tiny, data, killed, *STEPS), cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert "continuing after step" in done.stdout
    assert metrics_without_times(whole) == metrics_without_times(killed)
    assert read_jsonl(whole / "rollouts.jsonl") == read_jsonl(killed / "rollouts.jsonl")
    weights = "global_step_6/policy/lora_adapter/adapter_model.safetensors"
    assert (whole / weights).read_bytes() == (killed / weights).read_bytes()


def test_ctrl_c_saves_the_last_finished_step_and_the_same_command_continues(
    tiny: Path, data: Path, tmp_path: Path
) -> None:
    command = command_for(tiny, data, tmp_path, "trainer.max_training_steps=2000", "trainer.ckpt_interval=1000")
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (tmp_path / "metrics.jsonl").is_file() and len(read_jsonl(tmp_path / "metrics.jsonl")) >= 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    steps = [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")]
    assert process.returncode == 130, err
    assert f"Stopped after step {steps[-1]}" in out
    assert (tmp_path / f"global_step_{steps[-1]}" / "trainer_state.json").is_file()
    again = command_for(
        tiny, data, tmp_path, f"trainer.max_training_steps={steps[-1] + 1}", "trainer.ckpt_interval=1000"
    )
    done = subprocess.run(again, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert f"continuing after step {steps[-1]}" in done.stdout
    assert [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [*steps, steps[-1] + 1]


def test_a_folder_that_cannot_be_written_is_one_sentence(tiny: Path, data: Path) -> None:
    command = command_for(tiny, data, Path("/dev/full/run"), *STEPS)
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert "trainer.ckpt_path=/dev/full/run cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_run_in_the_same_folder_is_refused_by_the_key_that_differs(
    tiny: Path, data: Path, tmp_path: Path
) -> None:
    first = command_for(tiny, data, tmp_path, "trainer.max_training_steps=1")
    subprocess.run(first, cwd=REPOSITORY, check=True, capture_output=True)
    other = command_for(tiny, data, tmp_path, "trainer.max_training_steps=2", "trainer.policy.optimizer_config.lr=0.5")
    done = subprocess.run(other, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert "trainer.policy.optimizer_config.lr=" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_steps_of_the_starter_model_and_its_evaluation(data: Path, tmp_path: Path) -> None:
    """Real weights, real judge, both commands: what `make quickstart` does, in small."""
    starter, root = REPOSITORY / "exports/starter", make_checkout(tmp_path / "checkout", anchors=None)
    ensure_starter(starter)
    run, environment = tmp_path / "run", {**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "160"}
    training = command_for(starter, data, run, "trainer.max_training_steps=2", "trainer.eval_interval=2")
    done = subprocess.run(training, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (root / "data/local_judge").exists()  # the starter's head is shipped
    first, second = read_jsonl(run / "metrics.jsonl")
    assert first["groups"] == 4
    assert first["samples"] == 16
    assert first["unscored"] == 0
    assert first["rollout_ratio_mean"] == pytest.approx(1.0, abs=1e-3)
    assert second["grad_norm"] > 0
    assert "validation_reward" in second
    assert (run / "best.json").is_file()
    described = json.loads((run / "run.json").read_text())
    assert described["judge"] == f"local/{starter}"

    roles = json.loads((REPOSITORY / "data/backend_roles.json").read_text())[:3]
    (tmp_path / "roles.json").write_text(json.dumps(roles))
    evaluation = [
        sys.executable, "scripts/eval.py", "--model", "starter", "rl", "--checkpoint", str(run), "--judge", "rubric",
        "--roles", str(tmp_path / "roles.json"), "--output", str(tmp_path / "results.json"), "--show", "1",
    ]  # fmt: skip
    done = subprocess.run(evaluation, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "starter" in done.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["figures"]["rubric"]["rl"]["difference"]["roles"] == 3
    shutil.rmtree(run)
