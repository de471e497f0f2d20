from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recruiter.engines import Sample
from recruiter.errors import DataError
from recruiter.train.asked_groups import AskedGroups
from recruiter.train.layout import RunFolder
from tests.conftest import MakeRole


@pytest.fixture
def sampled(role: MakeRole) -> list[Any]:
    sample = Sample("Wie läuft's?\u2028", [1, 2, 3], [-0.1, -1.5e-7, -2.0], True)
    return [(role(0), [sample, sample]), (role(1), [sample])]


def test_what_was_stored_comes_back_exactly_in_any_process(tmp_path: Path, sampled: list[Any]) -> None:
    stored = AskedGroups(RunFolder(tmp_path)).store(3, iter(sampled))
    assert AskedGroups(RunFolder(tmp_path)).load(3) == stored
    assert [(group.role, group.samples) for group in stored] == sampled
    assert AskedGroups(RunFolder(tmp_path)).load(4) == []


def test_ids_are_never_used_again(tmp_path: Path, sampled: list[Any]) -> None:
    pending = AskedGroups(RunFolder(tmp_path))
    ids = [group.id for step in (1, 1, 2) for group in pending.store(step, sampled)]
    assert len(set(ids)) == 6


def test_steps_that_are_saved_are_forgotten(tmp_path: Path, sampled: list[Any]) -> None:
    pending = AskedGroups(RunFolder(tmp_path))
    assert pending.steps == []
    for step in (9, 10, 11):
        pending.store(step, sampled)
    pending.forget_until(10)
    assert pending.steps == [11]


def test_step_that_broke_off_while_sampling_leaves_nothing(tmp_path: Path, sampled: list[Any]) -> None:
    def breaks() -> Iterator[Any]:
        yield sampled[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        AskedGroups(RunFolder(tmp_path)).store(1, breaks())
    assert AskedGroups(RunFolder(tmp_path)).steps == []


@pytest.mark.parametrize("content", ["[", '{"a": 1}', '[{"id": "x", "role": {}, "samples": []}]', "[1]"])
def test_damaged_file_is_named(tmp_path: Path, sampled: list[Any], content: str) -> None:
    pending = AskedGroups(RunFolder(tmp_path))
    pending.store(1, sampled)
    (tmp_path / "pending/step_1.json").write_text(content)
    with pytest.raises(DataError, match=r"step_1\.json is damaged"):
        pending.load(1)
