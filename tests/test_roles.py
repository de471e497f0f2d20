from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from recruiter.errors import DataError
from recruiter.roles import LEVELS, Role, load_roles, parse_roles
from recruiter.roles.completing import read_roles
from recruiter.roles.rows import read_rows


def record(**changes: Any) -> dict[str, Any]:
    return {
        "id": "search-01",
        "title": "Backend Engineer, Search",
        "level": "mid",
        "focus": "search",
        "stack": ["Java", "Elasticsearch"],
        "description": "Own the indexing pipeline.",
        "key_skills": ["inverted indexes"],
        **changes,
    }


def test_levels_are_the_five_of_the_design_in_order_of_seniority() -> None:
    assert LEVELS == ("junior", "mid", "senior", "staff", "principal")


def test_valid_record_keeps_every_field_and_strips_spaces() -> None:
    role = parse_roles([record(title="  Backend Engineer ", stack=[" Java", "Kafka "])], "roles.json")[0]
    assert role.model_dump(mode="json") == record(title="Backend Engineer", stack=["Java", "Kafka"])


def test_role_is_immutable_and_hashable() -> None:
    role = Role.model_validate(record())
    with pytest.raises(ValidationError):
        role.title = "Other"
    assert {role: 1}[Role.model_validate(record())] == 1


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"level": "lead"}, "level"),
        ({"title": "   "}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"stack": []}, "stack"),
        ({"stack": ["Java", ""]}, "stack.1"),
        ({"stack": "Java"}, "stack"),
        ({"key_skills": []}, "key_skills"),
        ({"description": None}, "description"),
        ({"salary": 1}, "salary"),
    ],
)
def test_bad_record_is_named_by_index_and_field(bad: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_roles([record(), record(id="search-02", **bad)], "roles.json")
    message = str(caught.value)
    assert message.startswith(f"roles.json: record 1, field '{field}': ")
    assert "\n" not in message


@pytest.mark.parametrize("field", list(record()))
def test_missing_field_is_named(field: Any) -> None:
    incomplete = {key: value for key, value in record().items() if key != field}
    with pytest.raises(DataError, match=f"record 0, field '{field}'"):
        parse_roles([incomplete], "roles.json")


def test_record_that_is_no_object_is_named_by_index() -> None:
    with pytest.raises(DataError, match="record 1, field 'record'"):
        parse_roles([record(), "a role"], "roles.json")


def test_repeated_id_names_both_records() -> None:
    with pytest.raises(DataError, match="record 2, field 'id': 'search-01' is already record 0"):
        parse_roles([record(), record(id="search-02"), record()], "roles.json")


@pytest.mark.parametrize("records", [[], {}, None, "text"])
def test_anything_but_a_non_empty_list_is_refused(records: Any) -> None:
    with pytest.raises(DataError, match=r"roles.json must hold a non-empty JSON list"):
        parse_roles(records, "roles.json")


def test_load_roles_reads_utf8(tmp_path: Path) -> None:
    path = tmp_path / "roles.json"
    path.write_text(json.dumps([record(title="Ingénieur Données")], ensure_ascii=False), encoding="utf-8")
    assert load_roles(path)[0].title == "Ingénieur Données"


def test_a_row_with_more_cells_than_columns_loses_nothing_in_silence(tmp_path: Path) -> None:
    table = tmp_path / "roles.csv"
    table.write_text("title,stack,description\nEngineer,Go,Owns queues,,\nEngineer,Go,Owns queues, caches and locks\n")
    with pytest.raises(
        DataError, match=r"roles\.csv, line 3: it has more cells than there are columns, ' caches and locks'"
    ):
        read_rows(table)


def test_own_roles_are_read_from_a_table_and_checked_where_they_are_whole(tmp_path: Path) -> None:
    table = tmp_path / "roles.csv"
    table.write_text("Job title,Tech stack\nSenior Engineer,Go; Kafka\n")
    (found,) = read_roles(table)
    assert (found.role.level, found.role.stack) == ("senior", ("Go", "Kafka"))
    assert "no description" in found.assumed
    whole = tmp_path / "roles.json"
    whole.write_text(json.dumps([{**found.role.model_dump(mode="json"), "level": "guru"}]))
    with pytest.raises(DataError, match=r"record 0, field 'level'"):
        read_roles(whole)


def test_missing_role_file_is_named_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no role file at .*nowhere.json.*--roles"):
        load_roles(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[{", "is not a JSON file"),
        (b"\xff\xfe\x00", "line 1: it is no text in UTF-8; save"),
        (b'[{"title":\n"Caf\xe9"}]', "line 2: it is no text in UTF-8; save"),
        ('[{"title": "A"}]'.encode("utf-16-le"), "line 1: it is no text in UTF-8; save"),
    ],
)
def test_file_that_is_no_json_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "roles.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"roles\.json.*{reason}"):
        load_roles(path)


def test_folder_instead_of_a_file_is_refused_as_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load_roles(tmp_path)
