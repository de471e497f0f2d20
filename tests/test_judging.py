"""Judging lists of questions: files, formats, and the script as a person runs it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recruiter.errors import DataError
from recruiter.judges.lists import find_role, judge_all, read_questions
from recruiter.judges.making import named_judge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.rubric import Judgement
from recruiter.writers.formats import format_list
from tests import REPOSITORY
from tests.conftest import MakeRole, known
from tests.fake_judge import FakeJudge, Faults
from tests.scoring import RUBRIC

ROLES = REPOSITORY / "data/backend_roles.json"
FIELDS = "title,level,focus,stack,description,key_skills"
VALUES = "Engineer,mid,search,Go; NATS,Keep it fast.,index design; sharding"


@pytest.fixture
def roles(role: MakeRole) -> dict[str, Any]:
    return {f"role-{n:03d}": role(n) for n in range(3)}


def written(tmp_path: Path, name: Any, text: Any) -> Any:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


# ---- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["role_id", "id"])
def test_csv_names_roles_by_id(tmp_path: Path, roles: dict[str, Any], column: str) -> None:
    path = written(tmp_path, "q.csv", f'\ufeff{column},question\nrole-001,"How, and\nwhy?"\nrole-002,When?\n')
    assert read_questions(path, roles) == [(roles["role-001"], "How, and\nwhy?"), (roles["role-002"], "When?")]


def test_rows_may_bring_their_role_along(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", f"question,{FIELDS}\nHow?,{VALUES}\n")
    ((role, question),) = read_questions(path, {})
    assert (role.stack, role.key_skills, question) == (("Go", "NATS"), ("index design", "sharding"), "How?")
    record = {**role.model_dump(mode="json"), "id": "mine"}
    for row in ({"question": "How?", **record}, {"question": "How?", "role": record}):
        ((again, _),) = read_questions(written(tmp_path, "q.jsonl", json.dumps(row) + "\n\n"), {})
        assert again == role.model_copy(update={"id": "mine"})


def test_rows_without_a_role_take_the_one_given(tmp_path: Path, roles: dict[str, Any]) -> None:
    path = written(tmp_path, "q.jsonl", '{"question": ""}\n{"question": "Why?"}')
    role = roles["role-000"]
    assert read_questions(path, roles, role) == [(role, ""), (role, "Why?")]


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("q.csv", "role_id,text\nrole-000,How?\n", ["q.csv, line 2", "question"]),
        ("q.csv", "role_id,question\nrole-000\n", ["q.csv, line 2", "question"]),
        ("q.csv", "role_id,question\nnobody,How?\n", ["q.csv, line 2", "'nobody'", "--roles"]),
        ("q.csv", "question\nHow?\n", ["q.csv, line 2", "role_id", "--role"]),
        ("q.csv", "question\n", ["no questions"]),
        ("q.csv", f"question,{FIELDS}\nHow?,{VALUES.replace('mid', 'guru')}\n", ["q.csv, line 2", "level"]),
        ("q.jsonl", '{"question": "How?"', ["q.jsonl, line 1", "JSON"]),
        ("q.jsonl", '["How?"]', ["q.jsonl, line 1", "object"]),
        ("q.jsonl", '{"question": 3, "role_id": "role-000"}', ["q.jsonl, line 1", "question"]),
    ],
)
def test_bad_rows_are_refused_with_file_line_and_what_they_lack(
    tmp_path: Path, roles: dict[str, Any], name: str, text: str, parts: list[Any]
) -> None:
    with pytest.raises(DataError) as caught:
        read_questions(written(tmp_path, name, text), roles)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_role_is_found_by_id_or_in_a_file(tmp_path: Path, roles: dict[str, Any]) -> None:
    assert find_role("role-001", roles) == roles["role-001"]
    record = roles["role-002"].model_dump(mode="json", exclude={"id"})
    assert find_role(str(written(tmp_path, "r.json", json.dumps(record))), {}).title == record["title"]
    for text in ("{", "[]", json.dumps([r.model_dump(mode="json") for r in roles.values()])):
        with pytest.raises(DataError, match=r"bad\.json"):
            find_role(str(written(tmp_path, "bad.json", text)), roles)
    with pytest.raises(DataError, match="nobody"):
        find_role("nobody", roles)


def test_judge_is_named_by_provider_and_model() -> None:
    settings = named_judge("openai_compatible/org/model:8b", "http://localhost:1/v1")
    assert (settings.provider, settings.model, settings.base_url) == (
        "openai_compatible", "org/model:8b", "http://localhost:1/v1"
    )  # fmt: skip
    assert named_judge("rubric").model is None


# ---- showing ---------------------------------------------------------------------------------------------------------


def test_every_format_has_scores_reasons_and_what_is_unscored(roles: dict[str, Any]) -> None:
    entries = [(roles["role-000"], "How would [you] do it?"), (roles["role-001"], "=1+1")]
    judged = judge_all(RubricJudge(), entries[:1])
    judgements = [*judged, Judgement.unscored("timeout: nothing")]
    rows = json.loads(format_list(entries, judgements, "json", RUBRIC.names))
    assert rows[0]["relevance"] == known(judged[0].scores)["relevance"]
    assert rows[0]["reasoning"] == judged[0].reasoning
    assert (rows[1]["composite"], rows[1]["unscored_reason"]) == (None, "timeout: nothing")
    table = list(csv.DictReader(io.StringIO(format_list(entries, judgements, "csv", RUBRIC.names))))
    assert [row["question"] for row in table] == ["How would [you] do it?", "'=1+1"]  # no formula
    assert (table[1]["relevance"], table[1]["unscored_reason"]) == ("", "timeout: nothing")
    shown = format_list(entries, judgements, "table", RUBRIC.names)
    assert "[you]" in shown
    assert "timeout: nothing" in shown


# ---- the script ------------------------------------------------------------------------------------------------------


def run(*arguments: Any, **environment: Any) -> Any:
    command = [sys.executable, "scripts/judge.py", *map(str, arguments)]
    environment = {**os.environ, "XAI_API_KEY": "", **environment}
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment, timeout=60)


def test_script_judges_offline_without_a_key() -> None:
    done = run("--judge", "rubric", "--role", "ad-serving-01", "--format", "json", "How would you do it?")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["composite"] is not None
    assert row["reasoning"]


def test_script_without_a_key_names_the_variable() -> None:
    done = run("--role", "ad-serving-01", "How?")
    assert (done.returncode, done.stdout) == (1, "")
    assert "XAI_API_KEY" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_script_goes_on_where_it_failed_and_says_so_by_its_exit_status(tmp_path: Path) -> None:
    rows = "".join(f"ad-serving-{n:02d},How would you find fault {n}?\n" for n in range(1, 7))
    path = written(tmp_path, "q.csv", "role_id,question\n" + rows)
    with FakeJudge(Faults(["refusal"], share=0.5, times=None)) as server:
        command = (
            "--file", path, "--judge", "openai_compatible/fake", "--base-url", server.openai_url, "--format", "csv",
            "--cache", tmp_path / "cache.sqlite", "--output", tmp_path / "out.csv",
        )  # fmt: skip
        done = run(*command)
        refused = sum(request.fault == "refusal" for request in server.requests)
        assert (done.returncode, len(server.requests)) == (2, 6)
        assert 0 < refused < 6
        assert f"{refused} of 6 questions have no score" in done.stderr
        server.faults = Faults()
        done = run(*command)
        assert (done.returncode, len(server.requests)) == (0, 6 + refused)
    assert all(row["composite"] for row in csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))


def test_key_is_read_from_the_env_file_and_the_environment_wins(tmp_path: Path) -> None:
    for name in ("src", "scripts", "configs"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    roles = written(tmp_path, "roles.json", json.dumps(json.loads(ROLES.read_text(encoding="utf-8"))[:1]))
    written(tmp_path, ".env", "XAI_API_KEY=from-the-file\n")
    with FakeJudge() as server:
        command = [sys.executable, "scripts/judge.py", "--roles", roles, "--role", "ad-serving-01", "--base-url",
                   server.openai_url, "--judge", "xai", "--cache", "c.sqlite", "How?"]  # fmt: skip
        environment = {name: value for name, value in os.environ.items() if name != "XAI_API_KEY"}
        environment["PYTHONPATH"] = str(tmp_path / "src")
        for given in ({}, {"XAI_API_KEY": "given"}):
            (tmp_path / "c.sqlite").unlink(missing_ok=True)
            done = subprocess.run(command, cwd=tmp_path, env={**environment, **given}, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer from-the-file", "Bearer given"]
