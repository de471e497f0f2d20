"""A run's folder: one owner, what the run is made of, and what is damaged in it."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from recruiter.config import Config
from recruiter.config.loading import load_config
from recruiter.errors import ConfigError, ModelError
from recruiter.files import write_json
from recruiter.main import run as train
from recruiter.roles.dataset import write_raw
from recruiter.train.checkpoints import CheckpointWriter, prune
from recruiter.train.interruption import Interrupted
from recruiter.train.layout import RunFolder
from recruiter.train.lock import sole_owner
from tests.conftest import MakeRole
from tests.engines.conftest import tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("llama").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def settings(tiny: Path, tmp_path: Path, role: MakeRole) -> Callable[..., Config]:
    """A run of two tiny steps on six roles in `tmp_path/run`."""
    write_raw([role(i) for i in range(6)], [role(8)], tmp_path / "raw")

    def make(steps: int = 2, **changes: Any) -> Config:
        given = {
            "trainer.policy.model.path": tiny,
            "trainer.ckpt_path": tmp_path / "run",
            "data.raw_dir": tmp_path / "raw",
            "data.processed_dir": tmp_path / "processed",
            "data.val_size": 0,
            "trainer.device": "cpu",
            "trainer.policy.model.dtype": "float32",
            "trainer.train_batch_size": 2,
            "trainer.max_training_steps": steps,
            "trainer.eval_interval": 0,
            "trainer.ckpt_interval": 1,
            "generator.sampling_params.max_generate_length": 4,
            "trainer.algorithm.zero_variance_filter": "false",
            **changes,
        }
        return load_config("quickstart_config", [f"{key}={value}" for key, value in given.items()])

    return make


@pytest.fixture(autouse=True)
def kept_signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def described(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "run/run.json").read_text())
    return found


def test_run_says_what_it_is_made_of_and_refuses_other_data_or_another_prompt(
    settings: Callable[..., Config], tmp_path: Path, role: MakeRole, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings(1))
    before = described(tmp_path)
    assert before["dtype"] == "float32"
    assert before["data_hash"]
    write_raw([role(i) for i in range(1, 6)], [role(0)], tmp_path / "raw")
    with pytest.raises(ConfigError, match="other training data"):
        train(settings(2))
    write_raw([role(i) for i in range(6)], [role(8)], tmp_path / "raw")
    write_json(tmp_path / "run/run.json", {**before, "prompt_hash": "0"})
    with pytest.raises(ConfigError, match="another prompt"):
        train(settings(2))
    write_json(tmp_path / "run/run.json", {**before, "rubric_hash": "0"})
    with pytest.raises(ConfigError, match="another rubric"):
        train(settings(2))
    write_json(tmp_path / "run/run.json", {**before, "judge_version": "0"})
    train(settings(2))
    assert "The judge has changed since the run began (version 0, now" in capsys.readouterr().out
    assert described(tmp_path)["id"] == before["id"]


def test_a_finished_run_says_how_it_goes_on_and_takes_no_other_settings_for_its_own(
    settings: Callable[..., Config], tmp_path: Path, role: MakeRole, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings(2))
    before = described(tmp_path)
    capsys.readouterr()
    train(settings(2, **{"trainer.epochs": 2}))
    said = capsys.readouterr().out
    assert "already holds all 2 steps of this run. To train it further, add trainer.max_training_steps=4;" in said
    new = f"trainer.ckpt_path={tmp_path}/run-2"
    assert f"{new} starts a new one" in said
    for key, value in {
        "trainer.seed": 7,
        "trainer.policy.optimizer_config.lr": 0.5,
        "trainer.policy.lora.rank": 2,
    }.items():
        with pytest.raises(ConfigError, match=rf"holds a run with {key}=.*, not {value}: set it back .*{new}"):
            train(settings(2, **{key: value}))
    write_raw([role(i) for i in range(1, 7)], [role(8)], tmp_path / "raw")
    with pytest.raises(ConfigError, match=rf"other training data.*{new}"):
        train(settings(2))
    assert described(tmp_path) == before
    write_raw([role(i) for i in range(6)], [role(8)], tmp_path / "raw")
    train(settings(4))
    assert RunFolder(tmp_path / "run").steps[-1] == 4


def test_the_header_says_what_is_trained_on(
    settings: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings(1, **{"data.val_size": 16, "trainer.train_batch_size": 8}))
    said = capsys.readouterr().out
    assert "1 steps of 4 roles × 4 questions" in said
    assert "4 roles train, 2 others validate (at most a third of the training split)" in said


def test_dtype_is_decided_once(
    settings: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    auto = {"trainer.policy.model.dtype": "auto"}
    train(settings(1, **auto))
    decided = described(tmp_path)["dtype"]
    assert f"dtype=auto: {decided}" in capsys.readouterr().out
    other = "bfloat16" if decided == "float32" else "float32"
    write_json(tmp_path / "run/run.json", {**described(tmp_path), "dtype": other})  # as if begun on another machine
    train(settings(2, **auto))
    assert described(tmp_path)["dtype"] == other
    assert f"dtype=auto: {other}, as the run began" in capsys.readouterr().out


def test_a_folder_has_one_owner_that_is_named(settings: Callable[..., Config], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    with sole_owner(run), pytest.raises(ConfigError, match=rf"in use by another run \(process {os.getpid()} on "):
        train(settings())
    train(settings(1))


def test_the_lock_of_a_killed_process_locks_nothing(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from recruiter.train.layout import RunFolder\n"
        "from recruiter.train.lock import sole_owner\n"
        "with sole_owner(RunFolder(Path(sys.argv[1]))): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    assert "process" in RunFolder(tmp_path).lock.read_text()
    with sole_owner(RunFolder(tmp_path)):
        assert str(os.getpid()) in RunFolder(tmp_path).lock.read_text()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def poison(path: Path) -> None:
    tensors = load_file(str(path))
    next(iter(tensors.values()))[0, 0] = math.nan
    save_file(tensors, str(path))


@pytest.mark.parametrize(
    ("file", "harm", "says"),
    [
        ("policy/optimizer.pt", cut, "optimizer.pt is cut off"),
        ("policy/optimizer.pt", Path.unlink, "optimizer.pt: No such file"),
        ("policy/lora_adapter/adapter_model.safetensors", cut, "adapter_model.safetensors is cut off"),
        ("policy/lora_adapter/adapter_model.safetensors", poison, "NaN or infinite"),
        ("trainer_state.json", cut, "trainer_state.json is missing or damaged"),
        (
            "trainer_state.json",
            lambda path: path.write_bytes(b"\xff\xfe\x00"),
            "trainer_state.json is missing or damaged",
        ),
    ],
)
def test_damaged_checkpoint_is_named_with_the_whole_one_before_it(
    settings: Callable[..., Config], tmp_path: Path, file: str, harm: Callable[[Path], Any], says: str
) -> None:
    train(settings(2))
    harm(tmp_path / "run/global_step_2" / file)
    with pytest.raises(ModelError) as caught:
        train(settings(3))
    assert says in str(caught.value)
    assert "delete global_step_2 there, and the same command continues from global_step_1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_starts_from_another_ones_checkpoint_says_in_what_it_differs(
    settings: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings(1))
    named = {"trainer.resume_mode": "from_path", "trainer.resume_path": tmp_path / "run/global_step_1"}
    elsewhere = {**named, "trainer.ckpt_path": tmp_path / "other"}
    train(settings(2, **elsewhere))
    assert "is of a run" not in capsys.readouterr().out
    train(settings(2, **{**elsewhere, "trainer.ckpt_path": tmp_path / "third", "reward.overlap_free": 0.7}))
    said = " ".join(capsys.readouterr().out.split())
    assert "starts from is of a run with reward.overlap_free=0.3, not 0.7 (" in said


def test_the_offer_is_whole_and_works(settings: Callable[..., Config], tmp_path: Path) -> None:
    train(settings(3))
    cut(tmp_path / "run/global_step_3/trainer_state.json")
    cut(tmp_path / "run/global_step_2/policy/optimizer.pt")
    with pytest.raises(ModelError, match="delete global_step_2, global_step_3 there"):
        train(settings(4))
    named = {"trainer.resume_mode": "from_path", "trainer.resume_path": tmp_path / "run/global_step_3"}
    with pytest.raises(ModelError, match=r"trainer\.resume_path=\S+global_step_1\."):
        train(settings(4, **named))
    for step in (2, 3):
        RunFolder(tmp_path / "run").checkpoint(step).path.rename(tmp_path / f"{step}")
    train(settings(3))
    assert RunFolder(tmp_path / "run").steps == [1, 2, 3]
    cut(tmp_path / "run/global_step_1/trainer_state.json")
    for step in (2, 3):
        cut(tmp_path / f"run/global_step_{step}/trainer_state.json")
    with pytest.raises(ModelError, match="no checkpoint before it is whole"):
        train(settings(4))


@pytest.mark.parametrize("content", [b"", b'{"id": ', b"\xff\xfe\x00"])
def test_other_damaged_files_of_a_run_are_named(
    settings: Callable[..., Config], tmp_path: Path, content: bytes
) -> None:
    train(settings(1))
    kept = (tmp_path / "run/run.json").read_bytes()
    (tmp_path / "run/run.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"run\.json cannot be read .*delete it"):
        train(settings(2))
    (tmp_path / "run/run.json").write_bytes(kept)
    (tmp_path / "run/best.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"best\.json, .* delete it"):
        train(settings(2))
    (tmp_path / "run/best.json").unlink()
    with (tmp_path / "run/metrics.jsonl").open("ab") as file:
        file.write(content)
    train(settings(2))
    assert [row["step"] for row in RunFolder(tmp_path / "run").read_metrics()] == [1, 2]


def test_an_old_checkpoint_that_cannot_be_deleted_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    for step in (1, 2, 3):
        with CheckpointWriter(run, step):
            pass
    (tmp_path / ".global_step_1.old").write_text("in the way")
    (tmp_path / "best.json").write_text("")
    prune(run, 1)
    assert run.steps == [1, 2, 3]  # which one is the best is not known
    (tmp_path / "best.json").unlink()

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        prune(run, 1)
    assert run.steps == [1, 2, 3]
    (tmp_path / ".global_step_1.old").unlink()
    prune(run, 1)
    assert run.steps == [3]
    assert not list(tmp_path.glob(".global*"))


def test_others_can_read_a_checkpoint(settings: Callable[..., Config], tmp_path: Path) -> None:
    train(settings(1))
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    here = tmp_path / "file"
    here.touch()
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {stat.S_IMODE(here.stat().st_mode)}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_hang_up_saves_as_ctrl_c_does(
    settings: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from recruiter.train import grpo

    original = grpo.Trainer.step

    def hang_up(self: Any, step: int) -> Any:
        if step == 2:
            for _ in range(2 if number == signal.SIGHUP else 1):
                os.kill(os.getpid(), number)
        return original(self, step)

    monkeypatch.setattr(grpo.Trainer, "step", hang_up)
    signal.signal(number, signal.SIG_DFL)  # under nohup the tests themselves would have it ignored
    with pytest.raises(Interrupted):
        train(settings(3, **{"trainer.ckpt_interval": 9}))
    assert RunFolder(tmp_path / "run").steps == [1]


def test_nohup_goes_on(settings: Callable[..., Config], tmp_path: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    train(settings(1))
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
