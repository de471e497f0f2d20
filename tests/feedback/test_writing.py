"""Questions for recruiters: the best different ones are kept; jobs can be followed and stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from feedback.settings import Settings
from feedback.writing import Writing
from generator import QuestionGenerator
from recruiter.errors import RecruiterError
from recruiter.roles import Role
from recruiter.roles.completing import CompletedRole
from tests.feedback.conftest import Person
from tests.kits import sample_kit


@pytest.fixture
def person(model_folder: Path, tmp_path: Path) -> Iterator[Person]:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'feedback.db'}", model=str(model_folder), judge="rubric")
    someone = Person(create_app(settings))
    with someone.http:
        yield someone.open_page()


def finished(person: Person, job: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while (view := person.ok("GET", f"/api/write/{job}"))["state"] not in ("done", "failed"):
        assert time.monotonic() < until
        time.sleep(0.05)
    return view


def test_questions_are_written_judged_and_sorted(person: Person) -> None:
    wish = {"role": {"title": "Backend Engineer", "stack": ["Go", "Kafka"]}, "count": 2, "best_of": 2}
    view = finished(person, person.ok("POST", "/api/write", wish)["job_id"])
    assert view["state"] == "done", view["message"]
    assert "the rubric judge scores these 2 highest" in view["message"]
    assert "Assumed: " in view["message"]
    assert len(view["questions"]) == 2
    composites = [question["composite"] for question in view["questions"]]
    assert composites == sorted(composites, reverse=True)
    assert all(question["reasoning"] and set(question["scores"]) == {"relevance", "clarity", "discriminative"}
               for question in view["questions"])  # fmt: skip


def test_an_advertisement_is_read_for_its_role(person: Person) -> None:
    duties = "<ul><li>You know Kafka and Spark, Airflow</li><li>30 days of vacation</li></ul>"
    text = f"<h1>Senior Data Engineer (m/w/d)</h1>{duties}"
    job = person.ok("POST", "/api/advertisement", {"text": text})["job_id"]
    until = time.monotonic() + 60
    while (view := person.ok("GET", f"/api/advertisement/{job}"))["state"] not in ("done", "failed"):
        assert time.monotonic() < until
        time.sleep(0.05)
    role = view["role"]
    assert (role["title"], role["level"]) == ("Senior Data Engineer", "senior")
    assert role["stack"] == ["Kafka", "Apache Spark", "Apache Airflow"]
    assert "vacation" not in role["description"]
    assert any("left out a line" in assumed for assumed in view["assumed"])
    assert person.refused("POST", "/api/advertisement", {"text": "word " * 4001}) == (422, "invalid")
    assert person.refused("GET", f"/api/kit/{job}") == (404, "not_found")


def test_a_kit_says_what_its_model_could_not_write(person: Person) -> None:
    wish = {"role": {"title": "Backend Engineer", "stack": ["Go", "Kafka"]}, "count": 1, "best_of": 1}
    job = person.ok("POST", "/api/kit", wish)["job_id"]
    until = time.monotonic() + 120
    while (view := person.ok("GET", f"/api/kit/{job}"))["state"] not in ("done", "failed"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert view["state"] == "failed" or view["kit"]["questions"][0]["guide"] is None
    assert view["state"] == "done" or "has nothing for this role" in view["message"]
    assert person.refused("POST", "/api/kit", {**wish, "cover": ["a", "b"]}) == (422, "invalid")


def test_a_kit_that_was_edited_becomes_a_sheet(person: Person, role: Callable[..., Role]) -> None:
    kit = sample_kit(role(1)).model_dump(mode="json")
    kit["questions"][0]["guide"]["good"] = ["Only this."]
    for form, part in (
        ("html", "<li>Only this.</li>"),
        ("markdown", "- Only this."),
        ("csv", "• Only this."),
        ("json", '"Only this."'),
    ):
        assert part in person.ok("POST", "/api/sheet", {"kit": kit, "form": form})["text"]
        assert (
            "Only this."
            not in person.ok("POST", "/api/sheet", {"kit": kit, "form": form, "for_candidate": True})["text"]
        )
    assert person.refused("POST", "/api/sheet", {"kit": {**kit, "language": "xx"}}) == (422, "invalid")


def test_a_stopped_job_ends(role: Callable[..., Role], model_folder: Path) -> None:
    generator = QuestionGenerator(str(model_folder))
    work = Writing(CompletedRole(role(1), ()), 2, 1, "rubric")
    work.cancel()
    with pytest.raises(RecruiterError, match="Stopped"):
        work(generator, lambda *_: None)
    generator.close()


def test_a_judge_that_cannot_be_had_fails_the_job_with_its_reason(
    role: Callable[..., Role], model_folder: Path
) -> None:
    generator = QuestionGenerator(str(model_folder))
    with pytest.raises(RecruiterError, match=r"FEEDBACK_JUDGE=nowhere cannot work"):
        Writing(CompletedRole(role(1), ()), 1, 1, "nowhere/model")(generator, lambda *_: None)
    generator.close()


def test_other_jobs_and_unknown_roles_are_not_found(person: Person) -> None:
    assert person.refused("GET", "/api/write/no-such-job") == (404, "not_found")
    assert person.refused("POST", "/api/write/no-such-job/cancel") == (404, "not_found")
    practice = person.ok("POST", "/api/practice", {"random": True, "count": 2})["job_id"]
    assert person.refused("GET", f"/api/write/{practice}") == (404, "not_found")
    assert person.refused("GET", "/api/roles/no-such-role") == (404, "not_found")
    assert person.ok("GET", "/api/roles/ad-serving-03")["title"] == "Backend Engineer, Frequency Capping"
    assert person.refused("POST", "/api/write", {"role": {"title": " "}}) == (422, "invalid")
    assert person.refused("POST", "/api/write", {"role": {"title": "Engineer"}}) == (422, "incomplete_role")
