from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from recruiter.errors import ConfigError, ModelError
from recruiter.files import write_json
from recruiter.train.checkpoints import CheckpointWriter, check_free_space, prune
from recruiter.train.find_checkpoint import find_checkpoint
from recruiter.train.layout import Checkpoint, RunFolder


def make(run: Path, step: int, when: float | None = None) -> Path:
    with CheckpointWriter(RunFolder(run), step) as checkpoint:
        checkpoint.adapter.mkdir()
        (checkpoint.adapter / "adapter_config.json").write_text(str(step))
    target = run / f"global_step_{step}"
    if when is not None:
        os.utime(target, (when, when))
    return target


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_checkpoint_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    with CheckpointWriter(RunFolder(tmp_path), 5) as checkpoint:
        assert checkpoint.policy.is_dir()
        assert RunFolder(tmp_path).steps == []
    assert names(tmp_path) == ["global_step_5"]


def test_failing_write_leaves_no_folder_and_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    make(tmp_path, 4)
    with pytest.raises(IsADirectoryError), CheckpointWriter(RunFolder(tmp_path), 5) as checkpoint:
        checkpoint.policy.write_text("cannot be written: a folder is there")
    assert names(tmp_path) == ["global_step_4"]
    assert (tmp_path / "global_step_4/policy/lora_adapter/adapter_config.json").read_text() == "4"


def test_failing_rewrite_keeps_the_checkpoint_that_was_there(tmp_path: Path) -> None:
    make(tmp_path, 4)
    with pytest.raises(RuntimeError), CheckpointWriter(RunFolder(tmp_path), 4):
        raise RuntimeError
    assert (tmp_path / "global_step_4/policy/lora_adapter/adapter_config.json").read_text() == "4"


def test_half_written_checkpoint_of_a_killed_run_is_neither_listed_nor_kept(tmp_path: Path) -> None:
    CheckpointWriter(RunFolder(tmp_path), 5).__enter__().policy.joinpath("half").write_text("half")
    assert RunFolder(tmp_path).steps == []
    with pytest.raises(ModelError):
        find_checkpoint("latest", tmp_path)
    make(tmp_path, 5)
    assert names(tmp_path) == ["global_step_5"]
    assert not (tmp_path / "global_step_5/policy/half").exists()


def test_steps_are_sorted_as_numbers_and_other_names_ignored(tmp_path: Path) -> None:
    for step in (100, 9, 20):
        make(tmp_path, step)
    (tmp_path / "global_step_7_old").mkdir()
    (tmp_path / "results").mkdir()
    assert RunFolder(tmp_path).steps == [9, 20, 100]
    assert RunFolder(tmp_path / "nowhere").steps == []


def test_json_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, {"step": 1})
    with pytest.raises(TypeError):
        write_json(path, {"step": object()})
    assert json.loads(path.read_text()) == {"step": 1}
    write_json(path, {"step": 2})
    assert json.loads(path.read_text()) == {"step": 2}


@pytest.mark.parametrize(("keep", "left"), [(1, [2, 5]), (2, [2, 4, 5]), (9, [1, 2, 3, 4, 5]), (-1, [1, 2, 3, 4, 5])])
def test_pruning_keeps_the_latest_and_the_best(tmp_path: Path, keep: Any, left: list[Any]) -> None:
    for step in range(1, 6):
        make(tmp_path, step)
    write_json(tmp_path / "best.json", {"global_step": 2, "validation_reward": 0.5})
    prune(RunFolder(tmp_path), keep)
    assert RunFolder(tmp_path).steps == left


def test_pruning_without_a_best_keeps_the_latest_only(tmp_path: Path) -> None:
    for step in range(1, 4):
        make(tmp_path, step)
    prune(RunFolder(tmp_path), 1)
    assert RunFolder(tmp_path).steps == [3]
    assert RunFolder(tmp_path).best_step is None


def test_latest_is_the_last_step_of_the_run_written_last(tmp_path: Path) -> None:
    make(tmp_path / "old", 90, when=1000)
    make(tmp_path / "new", 3, when=2000)
    newest = make(tmp_path / "new", 12, when=3000)
    assert find_checkpoint("latest", tmp_path).path == newest


def test_best_is_the_marked_step_of_the_run_written_last(tmp_path: Path) -> None:
    make(tmp_path / "old", 90, when=1000)
    best = make(tmp_path / "new", 3, when=2000)
    make(tmp_path / "new", 12, when=3000)
    for run, step in (("old", 90), ("new", 3)):
        write_json(tmp_path / run / "best.json", {"global_step": step, "validation_reward": 0.5})
    assert find_checkpoint("best", tmp_path).path == best


def test_run_folder_means_its_best_else_its_latest_checkpoint(tmp_path: Path) -> None:
    first, last = make(tmp_path / "run", 3), make(tmp_path / "run", 12)
    assert find_checkpoint(str(tmp_path / "run"), tmp_path).path == last
    write_json(tmp_path / "run/best.json", {"global_step": 3, "validation_reward": 0.5})
    assert find_checkpoint(str(tmp_path / "run"), tmp_path).path == first


def test_checkpoint_folder_and_its_adapter_mean_the_checkpoint_wherever_they_are(tmp_path: Path) -> None:
    target = make(tmp_path / "elsewhere", 3)
    for name in (target, Checkpoint(target).adapter):
        assert find_checkpoint(str(name), tmp_path / "checkpoints").path == target
    assert Checkpoint(target).adapter == target / "policy/lora_adapter"


def test_unknown_checkpoint_lists_those_that_exist(tmp_path: Path) -> None:
    there = [make(tmp_path / "a", 3), make(tmp_path / "b", 7)]
    with pytest.raises(ModelError) as caught:
        find_checkpoint("nowhere", tmp_path)
    message = str(caught.value)
    assert message.startswith("There is no checkpoint at nowhere; existing ones: ")
    assert all(str(path) in message for path in there)


@pytest.mark.parametrize("name", ["latest", "best"])
def test_latest_and_best_of_nothing_say_how_to_train(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"no checkpoint under .*make quickstart"):
        find_checkpoint(name, tmp_path / "checkpoints")


def test_unknown_checkpoint_where_none_exists_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no checkpoint at nowhere; existing ones: none under "):
        find_checkpoint("nowhere", tmp_path)


def test_copy_under_another_name_does_not_confuse_the_search(tmp_path: Path) -> None:
    target = make(tmp_path / "run", 3)
    (tmp_path / "backup/global_step_3_copy/policy/lora_adapter").mkdir(parents=True)
    assert find_checkpoint("latest", tmp_path).path == target


def test_nearly_full_disk_is_refused_with_the_folder_and_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 3 * 10**6))
    with pytest.raises(ConfigError, match=r"Only 3 MB are free at trainer.ckpt_path=.*run needs 524 MB"):
        check_free_space(tmp_path / "run")


def test_disk_with_room_is_accepted_and_the_folder_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, 10**12))
    check_free_space(tmp_path / "a/run")
    assert (tmp_path / "a/run").is_dir()
