from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recruiter.errors import DataError
from recruiter.prompts import generator_messages
from recruiter.roles import LEVELS, Role, dataset, load_roles
from recruiter.roles.dataset import format_prompts, load_split, prompt_row, read_raw, split_roles, write_raw
from recruiter.roles.schedule import epoch_order, validation_slice
from tests import REPOSITORY
from tests.conftest import MakeRole


@pytest.fixture
def folders(tmp_path: Path, role: MakeRole) -> tuple[Path, Path]:
    raw, processed = tmp_path / "raw", tmp_path / "processed"
    write_raw([role(i) for i in range(6)], [role(i) for i in range(6, 8)], raw)
    return raw, processed


def test_real_data_splits_400_to_100_with_20_of_each_level_held_out() -> None:
    roles = load_roles(REPOSITORY / "data/backend_roles.json")
    train, test = split_roles(roles, 100, 42)
    assert (len(train), len(test)) == (400, 100)
    assert Counter(role.level for role in test) == dict.fromkeys(LEVELS, 20)
    assert {role.id for role in train}.isdisjoint(role.id for role in test)
    assert {role.id for role in (*train, *test)} == {role.id for role in roles}


def test_split_depends_on_the_seed_but_not_on_the_order_of_the_file(role: MakeRole) -> None:
    roles = [role(i) for i in range(50)]
    held_out = {r.id for r in split_roles(roles, 10, 1)[1]}
    assert held_out == {r.id for r in split_roles(roles[::-1], 10, 1)[1]}
    assert held_out != {r.id for r in split_roles(roles, 10, 2)[1]}


def test_uneven_levels_are_held_out_by_largest_remainder(role: MakeRole) -> None:
    # 7 junior, 2 mid, 1 senior; 4 of 10 held out: shares 2.8, 0.8, 0.4 -> 2, 0, 0 and two remainders -> 3, 1, 0.
    levels = ["junior"] * 7 + ["mid"] * 2 + ["senior"]
    _, test = split_roles([role(i, level=level) for i, level in enumerate(levels)], 4, 0)
    assert Counter(r.level for r in test) == {"junior": 3, "mid": 1}


@pytest.mark.parametrize("size", [-1, 0, 10, 11])
def test_split_that_leaves_one_side_empty_is_refused_with_the_bounds(role: MakeRole, size: Any) -> None:
    with pytest.raises(DataError, match=f"--test-size {size} must be between 1 and 9: there are 10 roles"):
        split_roles([role(i) for i in range(10)], size, 0)


@pytest.mark.parametrize("size", [1, 9])
def test_smallest_and_largest_split_work(role: MakeRole, size: int) -> None:
    train, test = split_roles([role(i) for i in range(10)], size, 0)
    assert (len(train), len(test)) == (10 - size, size)


def test_raw_data_reads_back_as_the_same_roles(tmp_path: Path, role: MakeRole) -> None:
    train, test = [role(0), role(1, title="Ingénieur")], [role(2)]
    paths = write_raw(train, test, tmp_path)
    assert [path.name for path in paths] == ["train.parquet", "test.parquet"]
    assert (read_raw(paths[0]), read_raw(paths[1])) == (train, test)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test.parquet", "train.parquet"]


def test_raw_files_have_the_same_bytes_each_time(tmp_path: Path, role: MakeRole) -> None:
    for name in ("a", "b"):
        write_raw([role(0), role(1)], [role(2)], tmp_path / name)
    assert (tmp_path / "a/train.parquet").read_bytes() == (tmp_path / "b/train.parquet").read_bytes()


def test_missing_raw_data_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data at .*train.parquet.*scripts/prepare_dataset.py"):
        read_raw(tmp_path / "train.parquet")


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"not parquet", lambda data: data[:-20]])
def test_damaged_raw_data_says_how_to_make_it(folders: tuple[Path, Path], damage: Any) -> None:
    path = folders[0] / "train.parquet"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"is not a Parquet file.*scripts/prepare_dataset.py"):
        read_raw(path)


def test_rows_have_what_trl_and_skyrl_read(role: MakeRole) -> None:
    row = prompt_row(role(3), 7, "train")
    assert row["prompt"] == generator_messages(role(3))
    assert row["env_class"] == "question-gen"
    assert set(row["reward_spec"]) == {"method", "ground_truth"}
    assert (row["extra_info"]["index"], row["extra_info"]["split"]) == (7, "train")
    assert Role.model_validate_json(row["extra_info"]["role"]) == role(3)


def test_stored_prompt_is_a_list_of_role_and_content(folders: tuple[Path, Path]) -> None:
    raw, processed = folders
    format_prompts(raw, processed)
    rows = pq.read_table(processed / "train.parquet").to_pylist()
    assert len(rows) == 6
    for index, row in enumerate(rows):
        assert isinstance(row["prompt"], list)
        assert [list(message) for message in row["prompt"]] == [["role", "content"]] * 2
        assert all(isinstance(text, str) and text for message in row["prompt"] for text in message.values())
        assert row["extra_info"]["index"] == index


def test_processed_roles_keep_the_order_of_the_raw_file(folders: tuple[Path, Path]) -> None:
    raw, processed = folders
    format_prompts(raw, processed)
    assert load_split(processed, "train") == read_raw(raw / "train.parquet")
    assert load_split(processed, "test") == read_raw(raw / "test.parquet")


def test_formatting_is_a_no_op_when_nothing_changed_even_if_files_were_touched(folders: tuple[Path, Path]) -> None:
    raw, processed = folders
    assert format_prompts(raw, processed) == {"train": True, "test": True}
    os.utime(raw / "train.parquet", (2e9, 2e9))
    os.utime(processed / "test.parquet", (0, 0))
    assert format_prompts(raw, processed) == {"train": False, "test": False}


def test_formatting_follows_a_raw_change_even_if_the_file_looks_old(folders: tuple[Path, Path], role: MakeRole) -> None:
    raw, processed = folders
    format_prompts(raw, processed)
    write_raw([role(i) for i in range(20, 25)], [role(6), role(7)], raw)
    os.utime(raw / "train.parquet", (0, 0))
    assert format_prompts(raw, processed) == {"train": True, "test": False}
    assert [r.id for r in load_split(processed, "train")] == [f"role-{i:03d}" for i in range(20, 25)]


def test_formatting_follows_a_prompt_change(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    raw, processed = folders
    format_prompts(raw, processed)
    monkeypatch.setattr(dataset, "PROMPT_HASH", "another prompt")
    assert format_prompts(raw, processed) == {"train": True, "test": True}
    assert format_prompts(raw, processed) == {"train": False, "test": False}


@pytest.mark.parametrize("content", [b"", b"not parquet"])
def test_damaged_processed_data_is_written_again(folders: tuple[Path, Path], content: bytes) -> None:
    raw, processed = folders
    format_prompts(raw, processed)
    (processed / "train.parquet").write_bytes(content)
    assert format_prompts(raw, processed) == {"train": True, "test": False}
    assert len(load_split(processed, "train")) == 6


def test_formatting_leaves_no_temporary_files(folders: tuple[Path, Path]) -> None:
    raw, processed = folders
    format_prompts(raw, processed)
    assert sorted(path.name for path in processed.iterdir()) == ["test.parquet", "train.parquet"]


def test_bad_record_in_raw_data_writes_nothing(folders: tuple[Path, Path], role: MakeRole) -> None:
    raw, processed = folders
    bad = [{**role(0).model_dump(mode="json")}, {**role(1).model_dump(mode="json"), "level": "guru"}]
    dataset._write(pa.Table.from_pylist(bad), raw / "train.parquet")
    with pytest.raises(DataError, match=r"train.parquet: record 1, field 'level'"):
        format_prompts(raw, processed)
    assert not processed.exists()


def test_role_survives_as_json_with_all_its_fields(folders: tuple[Path, Path]) -> None:
    raw, processed = folders
    format_prompts(raw, processed)
    row = pq.read_table(processed / "test.parquet").to_pylist()[0]
    assert set(json.loads(row["extra_info"]["role"])) == set(Role.model_fields)


def test_validation_slice_is_disjoint_complete_and_in_file_order(role: MakeRole) -> None:
    roles = [role(i) for i in range(30)]
    rest, held_back = validation_slice(roles, 8, 42)
    assert (len(rest), len(held_back)) == (22, 8)
    assert sorted(r.id for r in (*rest, *held_back)) == [r.id for r in roles]
    for part in (rest, held_back):
        assert [r.id for r in part] == sorted(r.id for r in part)
    assert validation_slice(roles, 8, 42)[1] == held_back != validation_slice(roles, 8, 43)[1]


def test_validation_slice_of_nothing_keeps_all_roles(role: MakeRole) -> None:
    roles = [role(i) for i in range(3)]
    assert validation_slice(roles, 0, 1) == (roles, [])


def test_validation_slice_that_takes_everything_is_refused_by_its_key(role: MakeRole) -> None:
    with pytest.raises(DataError, match=r"data.val_size=3 leaves nothing.*1 role"):
        validation_slice([role(0)], 3, 1)


@pytest.mark.parametrize(("roles", "validated"), [(2, 1), (5, 1), (18, 6), (48, 16), (400, 16)])
def test_validation_takes_a_third_of_the_training_split_at_most(role: MakeRole, roles: int, validated: int) -> None:
    rest, held_back = validation_slice([role(i) for i in range(roles)], 16, 1)
    assert (len(rest), len(held_back)) == (roles - validated, validated)


def test_epoch_order_is_a_permutation_fixed_by_seed_and_epoch() -> None:
    order = epoch_order(20, 42, 0)
    assert sorted(order) == list(range(20)) != order
    assert order == epoch_order(20, 42, 0)
    assert order != epoch_order(20, 42, 1)
    assert order != epoch_order(20, 43, 0)
    assert epoch_order(20, 1, 23) != epoch_order(20, 12, 3)
