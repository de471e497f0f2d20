"""Roles as people type them: what is understood, what is assumed, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recruiter.errors import DataError
from recruiter.roles.completing import complete_role, complete_roles, unread_columns

AD = """Senior Platform Engineer
You will own our payment platform: Go, Kafka and PostgreSQL on Kubernetes.
Charges must be idempotent under retries, webhooks arrive out of order, and every night the ledger is reconciled with the
acquirer's settlement files, chargebacks and refunds."""


def test_a_title_and_a_stack_are_enough() -> None:
    draft = complete_role({"title": "Senior Backend Engineer, Payments", "stack": "Go, Kafka,PostgreSQL"})
    role = draft.role
    assert (role.level, role.focus, role.stack) == ("senior", "payments", ("Go", "Kafka", "PostgreSQL"))
    assert role.key_skills == role.stack
    assert draft.assumed == ("skills Go, Kafka, PostgreSQL", "no description")
    assert role.id.startswith("senior-backend-engineer-payments-")
    again = complete_role({"title": "Senior Backend Engineer, Payments", "stack": ["Go", "Kafka", "PostgreSQL"]}).role
    assert again == role
    assert complete_role({"title": "Senior Backend Engineer, Payments", "stack": "Go"}).role.id != role.id


def test_a_pasted_advertisement_is_enough() -> None:
    role = complete_role({"description": AD}).role
    assert (role.title, role.level, role.description) == ("Senior Platform Engineer", "senior", AD)
    assert role.stack[:4] == ("Go", "Kafka", "PostgreSQL", "Kubernetes")
    assert {"reconciliation", "webhooks"} <= set(role.key_skills)
    assert role.focus == "payments"


def test_names_of_fields_and_lists_are_those_people_use() -> None:
    row = {"Job Title": "Engineer", "Seniority": "Sr.", "Tech stack": "Go; NATS", "Must-haves": "- sharding\n- leases",
           "Team": "Search", "Responsibilities": "Keep it fast.", "Salary": "secret", "Level": ""}  # fmt: skip
    draft = complete_role(row)
    assert draft.assumed == ()
    assert draft.role.model_dump(exclude={"id"}) == {
        "title": "Engineer", "level": "senior", "focus": "Search", "stack": ("Go", "NATS"),
        "description": "Keep it fast.", "key_skills": ("sharding", "leases"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("title", "level"),
    [
        ("Principal Engineer", "principal"), ("Staff Engineer, Cache", "staff"), ("Tech Lead", "staff"),
        ("Sr. Backend Developer", "senior"), ("Software Engineer III", "senior"), ("Software Engineer II", "mid"),
        ("Graduate Engineer", "junior"), ("Backend Engineer", "mid"),
    ],
)  # fmt: skip
def test_level_is_read_from_the_title(title: str, level: str) -> None:
    draft = complete_role({"title": title, "stack": "Go"})
    assert draft.role.level == level
    assert ("level mid" in draft.assumed) == (title == "Backend Engineer")


def test_a_long_description_is_shortened_and_that_is_said() -> None:
    draft = complete_role({"title": "Engineer", "stack": "Go", "description": "word " * 2000})
    assert len(draft.role.description) < 4000
    assert any("first 4,000 letters" in item for item in draft.assumed)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"stack": "Go"}, ["no title"]),
        ({"title": "Engineer"}, ["no stack", "Go, Kafka, PostgreSQL"]),
        ({"title": "Engineer", "stack": "Go", "level": "guru"}, ["'level'", "guru", "junior, mid, senior"]),
        ({"title": "x" * 200, "stack": "Go"}, ["title", "120"]),
        ({"description": "y" * 300}, ["no title"]),
    ],
)
def test_what_cannot_be_completed_is_refused_in_one_sentence(fields: dict[str, Any], parts: list[Any]) -> None:
    with pytest.raises(DataError) as caught:
        complete_role(fields, "roles.csv, line 2")
    message = str(caught.value)
    assert message.startswith("roles.csv, line 2")
    assert "\n" not in message
    assert all(part in message for part in parts)


def test_files_of_every_kind_hold_the_same_roles(tmp_path: Path) -> None:
    rows = [{"title": "Engineer A", "stack": "Go; NATS"}, {"title": "Engineer B", "stack": "Java"}]
    texts = {
        "a.csv": "title,stack\nEngineer A,Go; NATS\nEngineer B,Java\n",
        "b.csv": '\ufeffTitle;Tech stack\nEngineer A;"Go; NATS"\nEngineer B;Java\n',
        "c.json": json.dumps(rows),
        "d.jsonl": "\n".join(map(json.dumps, rows)),
        "e.json": "\ufeff" + json.dumps(rows),
        "f.csv": "sep=;\r\nTitle;Stack\r\nEngineer A;Go, NATS\r\nEngineer B;Java\r\n",
        "g.csv": 'Job title;Tech stack (e.g. Go, Kafka, SQL, Redis)\nEngineer A;"Go; NATS"\nEngineer B;Java\n',
        "h.csv": "title|stack|level|focus\nEngineer A|Go, NATS|null|NaN\nEngineer B|Java|None|\n",
        "i.json": json.dumps(
            [{**row, "stack": [*row["stack"].split("; "), None], "focus": float("nan")} for row in rows]
        ),
    }
    found = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        found.append([draft.role for draft in complete_roles(tmp_path / name)])
    assert found == [found[0]] * len(texts)
    assert [role.stack for role in found[0]] == [("Go", "NATS"), ("Java",)]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "title,stack\nEngineer,\n", "a.csv, line 2 has no stack"),
        ("a.csv", "title,stack\n", "holds no roles"),
        (
            "a.csv",
            "id,title,stack\n7,E,Go\n7,F,Go\n",
            "a.csv, line 3: its id '7' is that of another role, .*a.csv, line 2",
        ),
        (
            "a.csv",
            "Name,Salary\nE,3\n",
            "Columns with something in them: Name, Salary; taken as title: title, job title, ",
        ),
        ("a.csv", "title,stack,Grade\nEngineer,Go,P2\n", "'p2' is no level; .* leave it out: then the title says it"),
        ("ad.html", "<html><h1>Engineer, Go</h1></html>", "ad.html is HTML and no table; .* --description .*ad.html"),
        ("ad.txt", "<!DOCTYPE html><p>Engineer, Go</p>", "ad.txt is HTML and no table"),
        ("ad.txt", "Engineer\nYou write Go, Kafka.\n", "if it is an advertisement, name it with --description"),
        ("a.json", "{", "a.json is not a JSON file"),
        ("a.json", "[3]", "record 0: it is no JSON object"),
        (
            "a.json",
            '[{"title": "E", "stack": {"lang": "Go"}}]',
            "record 0, field 'stack': it is neither text nor a list",
        ),
        ("a.json", '[{"title": ["E", {}], "stack": "Go"}]', "record 0, field 'title': it is neither text nor a list"),
        ("a.json", '[{"title": "E", "stack": NaN}]', "record 0 has no stack"),
        ("a.csv", "sep=;\ntitle;stack\nEngineer;\n", "a.csv, line 3 has no stack"),
    ],
)
def test_bad_files_are_refused_with_the_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        complete_roles(tmp_path / name)
    with pytest.raises(DataError, match="There is no file"):
        complete_roles(tmp_path / "nowhere.csv")


def test_rows_that_say_the_same_are_one_role(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,stack,level\nE,Go,mid\nF,Go,mid\nE,Go,mid\n")
    one, other = complete_roles(tmp_path / "a.csv")
    assert (one.role.title, other.role.title) == ("E", "F")
    assert "2 equal rows taken as one" in one.assumed
    assert not any("equal rows" in text for text in other.assumed)


def test_columns_are_known_within_longer_names_and_the_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Position Title;Tools & Technologies;Manager;Job Level;Required Skills;Title of the team\n"
                    "Data Engineer;Go, Kafka;Ada;senior;leases;Search\n")  # fmt: skip
    (found,) = complete_roles(path)
    assert found.role.title == "Data Engineer"
    assert (found.role.stack, found.role.level, found.role.key_skills) == (("Go", "Kafka"), "senior", ("leases",))
    assert unread_columns(path) == ["Manager", "Title of the team"]


@pytest.mark.parametrize(
    ("title", "bare", "focus"),
    [
        ("Backend Developer (m/w/d)", "Backend Developer", "backend"),
        ("Database Administrator", "Database Administrator", "database"),
        ("Data Engineer II (f/m/x) - Billing", "Data Engineer II - Billing", "billing"),
        ("Senior Softwareentwicklerin (all genders)", "Senior Softwareentwicklerin", "software engineering"),
        ("Desarrollador Backend Sénior", "Desarrollador Backend Sénior", "backend"),
        ("Ingénieure Data (H/F)", "Ingénieure Data", "data"),
        ("高级后端工程师", "高级后端工程师", "后端"),
    ],
)
def test_the_focus_is_what_the_title_adds_to_the_job(title: str, bare: str, focus: str) -> None:
    role = complete_role({"title": title, "stack": "Go"}).role
    assert (role.title, role.focus) == (bare, focus)


def test_encodings_of_spreadsheets_are_found(tmp_path: Path) -> None:
    text = "Job title\tTech stack\nIngénieur Backend Senior\tGo, Kafka\n"
    for name, encoding in (("a.csv", "utf-16"), ("b.csv", "cp1252"), ("c.csv", "utf-8"), ("d.csv", "utf-8-sig")):
        (tmp_path / name).write_bytes(text.encode(encoding))
        (completed,) = complete_roles(tmp_path / name)
        assert (completed.role.title, completed.role.stack) == ("Ingénieur Backend Senior", ("Go", "Kafka"))
