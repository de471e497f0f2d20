"""Scripts as a person runs them, in a copy of the repository, so that nothing of the real one is read or changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recruiter.roles.dataset import read_raw
from tests import REPOSITORY

MAIN = ["-m", "src.recruiter.main"]


@dataclass
class Finished:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code, the configurations, some role files, and one checkpoint that is only a folder."""
    root = tmp_path_factory.mktemp("repository")
    for name in ("configs", "scripts", "src"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("*.egg-info"))
    records = json.loads((REPOSITORY / "data/backend_roles.json").read_text(encoding="utf-8"))[:40]
    (root / "good.json").write_text(json.dumps(records))
    (root / "bad.json").write_text(json.dumps([*records[:5], {**records[5], "level": "guru"}]))
    (root / "checkpoints/mine/global_step_7/policy/lora_adapter").mkdir(parents=True)
    return root


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "XAI_API_KEY": ""}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Finished:
    out, err = process.communicate(timeout=60)
    return Finished(process.returncode, out, err)


# What is refused: the command, and what its one sentence must say.
REFUSED = {
    "missing role file": (
        ["scripts/prepare_dataset.py", "--roles", "nowhere.json"],
        ["--roles: there is no file nowhere.json"],
    ),
    "bad record": (["scripts/prepare_dataset.py", "--roles", "bad.json"], ["bad.json: record 5, field 'level'"]),
    "too large a test split": (
        ["scripts/prepare_dataset.py", "--roles", "good.json", "--test-size", "40"],
        ["--test-size 40", "between 1 and 39", "40 roles"],
    ),
    "prompts without raw data": (
        ["scripts/format_prompts.py", "--raw", "nowhere"],
        ["nowhere/train.parquet", "scripts/prepare_dataset.py"],
    ),
    "no judge and no key": (
        ["scripts/eval.py", "--model", "baseline", "--roles", "good.json"],
        ["default judge is Grok", "XAI_API_KEY", "--judge rubric"],
    ),
    "model without its key": (
        ["scripts/eval.py", "--model", "baseline", "grok-4-1", "--judge", "rubric", "--roles", "good.json"],
        ["xai needs a key", "XAI_API_KEY"],
    ),
    "judge named twice": (
        ["scripts/eval.py", "--model", "baseline", "--judge", "rubric", "rubric", "--roles", "good.json"],
        ["--judge names rubric twice"],
    ),
    "unknown checkpoint": (
        ["scripts/eval.py", "--model", "rl", "--checkpoint", "nowhere", "--roles", "good.json"],
        ["no checkpoint at nowhere", "checkpoints/mine/global_step_7"],
    ),
    "no model folder": ([*MAIN], ["trainer.policy.model.path=exports/qwen3-4b-question-gen", "make quickstart"]),
    "group of one": (
        [*MAIN, "--config-name=quickstart_config", "generator.n_samples_per_prompt=1"],
        ["generator.n_samples_per_prompt=1", "2 or more"],
    ),
}


@pytest.fixture(scope="module")
def refused(copy: Path) -> dict[str, Finished]:
    """All refused commands, two at a time: most of their time is spent importing."""
    running: list[tuple[str, subprocess.Popen[str]]] = []
    finished = {}
    slowest_first = sorted(REFUSED, key=lambda name: name not in ("no model folder", "unknown checkpoint"))
    for name in slowest_first:
        if len(running) == 2:
            done = next((item for item in running if item[1].poll() is not None), running[-1])
            running.remove(done)
            finished[done[0]] = finish(done[1])
        running.append((name, start(copy, *REFUSED[name][0])))
    return {**finished, **{name: finish(process) for name, process in running}}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_in_one_sentence_with_exit_status_1(refused: dict[str, Finished], name: Any) -> None:
    result = refused[name]
    assert "Traceback" not in result.err
    assert result.code == 1
    lines = result.err.strip().splitlines()
    assert len(lines) == 1, result.err
    assert result.out == ""
    for part in REFUSED[name][1]:
        assert part in lines[0]


def test_refused_commands_wrote_nothing(refused: dict[str, Finished], copy: Path) -> None:
    assert refused
    assert sorted(path.name for path in copy.iterdir()) == sorted(
        ["bad.json", "checkpoints", "configs", "good.json", "scripts", "src"]
    )
    assert [str(path.relative_to(copy)) for path in (copy / "checkpoints").rglob("global_step_*")] == [
        "checkpoints/mine/global_step_7"
    ]


def test_roles_of_ones_own_leave_those_of_the_project_alone(tmp_path: Path, copy: Path) -> None:
    root = tmp_path / "repository"
    shutil.copytree(copy, root)
    (root / "data").mkdir()
    shutil.copy(root / "good.json", root / "data/backend_roles.json")
    prepare = ["scripts/prepare_dataset.py"]
    assert "data.raw_dir" not in finish(start(root, *prepare)).out
    shipped = {path: path.read_bytes() for path in (root / "data/raw").iterdir()}
    assert len(shipped) == 2
    for name, folder in (("mine.csv", "mine"), ("raw.csv", "raw-roles")):
        (root / name).write_text("title,stack\n" + "\n".join(f"Nurse {n},Epic" for n in range(6)))
        made = finish(start(root, *prepare, "--roles", name))
        assert f" data.raw_dir=data/{folder} " in made.out
        assert "took the place" not in made.out
        assert "6 of them were completed:\n  level: 6 roles (mid 6)\n  focus: 6 roles (" in made.out
        assert read_raw(root / f"data/{folder}/test.parquet")
    assert {path: path.read_bytes() for path in (root / "data/raw").iterdir()} == shipped
    asked = finish(start(root, *prepare, "--roles", "mine.csv", "--output", "data/raw"))
    assert "took the place of 40 other roles" in asked.out
    assert {path: path.read_bytes() for path in (root / "data/raw").iterdir()} != shipped


def test_preparing_and_formatting_writes_both_splits_and_a_bad_file_leaves_them_alone(
    tmp_path: Path, copy: Path
) -> None:
    raw, processed = tmp_path / "raw", tmp_path / "processed"
    prepare = ["scripts/prepare_dataset.py", "--output", str(raw), "--test-size", "10", "--roles"]
    made = finish(start(copy, *prepare, "good.json"))
    assert (made.code, made.err) == (0, "")
    assert "40 roles" in made.out
    assert "python -m src.recruiter.main" in made.out
    assert [len(read_raw(raw / f"{split}.parquet")) for split in ("train", "test")] == [30, 10]
    before = {path.name: path.read_bytes() for path in raw.iterdir()}
    assert finish(start(copy, *prepare, "bad.json")).code == 1
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == before
    formatted = finish(start(copy, "scripts/format_prompts.py", "--raw", str(raw), "--output", str(processed)))
    assert (formatted.code, formatted.out.count("written")) == (0, 2)
    assert sorted(path.name for path in processed.iterdir()) == ["test.parquet", "train.parquet"]
