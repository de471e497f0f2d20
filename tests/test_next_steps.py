"""What a command says comes next is a command: it is run as it stands, in a copy of the repository, without a key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recruiter.config.paths import command_line
from tests.checkout import make_checkout
from tests.engines.conftest import tiny_model, tiny_tokenizer

QUICK = ("trainer.policy.model.path=models/tiny", "trainer.policy.model.dtype=float32", "trainer.device=cpu",
         "trainer.max_training_steps=1", "trainer.eval_before_train=false", "generator.sampling_params.max_generate_length=8",
         "trainer.algorithm.zero_variance_filter=false")  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code, a tiny model that is not the starter, and own roles as a table."""
    root = make_checkout(tmp_path_factory.mktemp("repository"))
    tiny_model("llama", max_position_embeddings=8192).save_pretrained(root / "models/tiny")
    tiny_tokenizer().save_pretrained(root / "models/tiny")
    rows = [
        f'"Nurse, ward {n}",senior,"triage; wound care; charting","Looks after ward {n} at night."' for n in range(10)
    ]
    (root / "my roles.csv").write_text("\n".join(["Job title,Level,Skills,Description", *rows]) + "\n")
    return root


def shell(root: Path, command: str, is_activated: bool = False) -> str:
    """Run a line as a person pastes it; only an activated environment is found by the name python."""
    path = os.environ["PATH"] if is_activated else "/usr/local/bin:/usr/bin:/bin"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(root / "src"), "XAI_API_KEY": ""}
    done = subprocess.run(command, shell=True, cwd=root, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode in (0, 2), done.stderr  # 2: a tiny model's questions lack something
    return done.stdout


def next_line(out: str) -> str:
    (line,) = (line for line in out.splitlines() if line.startswith("Next: "))
    return line.removeprefix("Next: ")


def test_from_own_roles_to_a_picture_by_what_comes_next(copy: Path) -> None:
    """Every line is the one before it named; training gets a tiny model and one step, and each is run without activation."""
    training = next_line(shell(copy, f"{sys.executable} scripts/prepare_dataset.py --roles 'my roles.csv'"))
    assert "scripts/download_model.py --starter && " in training  # there is no starter model in the copy
    training = training.partition(" && ")[2]
    assert training.endswith(
        "src.recruiter.main --config-name=quickstart_config data.raw_dir=data/my-roles trainer.ckpt_path=checkpoints/my-roles"
    )
    trained = shell(copy, f"{training} {' '.join(QUICK)}")
    assert "6 roles train, 2 others validate" in trained
    evaluation = next_line(trained)
    assert (
        "--model models/tiny rl --checkpoint checkpoints/my-roles --roles data/my-roles/test.parquet --judge rubric"
        in evaluation
    )
    assert next_line(shell(copy, f"{training} {' '.join(QUICK)}")) == evaluation  # nothing is left to train
    sheet = next_line(shell(copy, f"{evaluation} --twice 0 --samples 1"))
    results = json.loads((copy / "results/eval_results.json").read_text())
    assert [role["title"][:5] for role in results["roles"]] == ["Nurse"] * 2
    assert sheet.endswith("--blind-sheet sheets/eval_results")
    assert "Have the sheet read" in shell(copy, sheet)
    assert "Drew" in shell(copy, f"{sys.executable} scripts/analyze_results.py --results results/eval_results.json")

    exported = shell(
        copy, f"{sys.executable} scripts/export_merged_model.py --checkpoint checkpoints/my-roles --output exports/mine"
    )
    evaluation = next_line(exported)
    assert evaluation.endswith("--model exports/mine --roles data/my-roles/test.parquet --judge rubric")
    assert "exports/mine" in shell(copy, f"{evaluation} --twice 0 --samples 1")


def test_a_command_is_told_with_the_environment_that_runs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir("/")  # the environment may lie in the folder that the tests run in
    program = Path(sys.executable).with_name("python").relative_to("/")
    assert command_line("eval") == f"{program} scripts/eval.py"
    environment = tmp_path / ".venv/bin"
    environment.mkdir(parents=True)
    (environment / "python").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(environment / "python3"))
    monkeypatch.chdir(tmp_path)
    assert command_line("eval") == ".venv/bin/python scripts/eval.py"
    monkeypatch.setenv("PATH", f"{environment}:/usr/bin")
    assert command_line("eval") == "python scripts/eval.py"
