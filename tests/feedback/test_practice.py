"""Practice: a model of this machine writes groups in the background, and no request waits for it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import generator
from app import create_app
from feedback import practice
from feedback.errors import Refusal
from feedback.models.practice import TypedRole
from feedback.settings import Settings
from recruiter.errors import ModelError

from .conftest import LOCAL, Person, group


def finished(person: Any, job_id: Any) -> Any:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        job = person.ok("GET", f"/api/practice/{job_id}")
        if job["state"] in ("done", "failed"):
            return job
        assert 0 <= job["progress"] <= 1
        assert job["message"]
        time.sleep(0.1)
    raise AssertionError("the job never ended")


def test_groups_are_written_for_random_typed_and_pasted_roles(settings: Settings, model_folder: Path) -> None:
    app = create_app(replace(settings, model=str(model_folder)))
    with TestClient(app):
        rater = Person(app, LOCAL).open_page()
        training = Person(app, LOCAL)
        assert rater.ok("GET", "/api/model")["state"] in ("loading", "ready")
        wishes = [
            {"random": True, "count": 3},
            {"role": {"title": "Search Engineer", "stack": ["Rust"]}, "count": 2},
            {"text": "Senior Payments Engineer\n\nYou run Kafka and PostgreSQL for a ledger.", "count": 2},
        ]
        other = Person(app, LOCAL).open_page()
        jobs = [rater.ok("POST", "/api/practice", wish)["job_id"] for wish in wishes[:2]]
        assert rater.refused("POST", "/api/practice", wishes[2]) == (409, "busy")  # one rater does not fill the queue
        jobs.append(other.ok("POST", "/api/practice", wishes[2])["job_id"])
        done = [finished(rater, job) for job in jobs]
        assert [(job["state"], job["progress"]) for job in done] == [("done", 1.0)] * 3, done
        assert rater.ok("GET", "/api/model")["state"] == "ready"
        training.ok("POST", "/api/groups", group("wanted"))
        assert rater.next()["group"]["group_id"] == "wanted"  # training comes before practice
        shown = [rater.next(prefer=job["group_id"])["group"] for job in done]
        assert shown[0]["role"]["id"] in {role.id for role in practice.held_out_roles()}
        assert shown[1]["role"]["title"] == "Search Engineer"
        assert shown[1]["role"]["stack"] == ["Rust"]
        assert shown[2]["role"]["title"] == "Senior Payments Engineer"
        assert shown[2]["role"]["level"] == "senior"
        assert {"Kafka", "PostgreSQL"} <= set(shown[2]["role"]["stack"])
        assert 1 <= len(shown[0]["candidates"]) <= 3
        assert rater.ok("GET", "/api/model")["name"] == model_folder.name  # and not where it lies
        before = rater.ok("GET", "/api/rate/progress")["mine"]["total"]
        rater.rate(rater.next(prefer=done[0]["group_id"]), 3)
        after = rater.ok("GET", "/api/rate/progress")
        assert (after["mine"]["total"], after["team"]["total"]) == (before, before)  # practice does not count
        assert rater.refused("GET", "/api/practice/none") == (404, "not_found")
        for wish in ({}, {"random": True, "text": "x" * 30}, {"random": True, "count": 9}):
            assert rater.refused("POST", "/api/practice", wish)[0] == 422


def test_without_a_model_it_says_how_to_get_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_is_here() -> None:
        raise ModelError("There is no model here yet.")

    monkeypatch.setattr(generator, "default_writer", nothing_is_here)
    app = create_app(settings)
    with TestClient(app):
        rater = Person(app, LOCAL).open_page()
        state = rater.ok("GET", "/api/model")
        assert (state["state"], state["name"]) == ("none", None)
        assert "download_model.py --starter" in state["message"]
        assert rater.refused("POST", "/api/practice", {"random": True}) == (409, "no_model")


def test_model_that_cannot_be_loaded_is_reported(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    app = create_app(replace(settings, model=str(tmp_path)))
    with TestClient(app):
        rater = Person(app, LOCAL).open_page()
        until = time.monotonic() + 30
        while (state := rater.ok("GET", "/api/model"))["state"] == "loading" and time.monotonic() < until:
            time.sleep(0.1)
        assert state["state"] == "failed"
        assert state["message"]
        assert str(tmp_path) not in state["message"] + state["name"]
        assert rater.ok("GET", "/api/health")["status"] == "ok"


def test_roles_are_held_out_and_whole(server: Any) -> None:
    rater = server.rater()
    held_out = {role.id for role in practice.held_out_roles()}
    assert len(held_out) == 100
    assert {rater.ok("GET", "/api/roles/sample")["id"] for _ in range(5)} <= held_out


def test_typed_role_needs_a_title_and_a_technology() -> None:
    role = practice.typed_role(TypedRole(title="Junior Engineer", stack=["Go"])).role
    assert (role.title, role.level, role.stack) == ("Junior Engineer", "junior", ("Go",))
    with pytest.raises(Refusal, match="no stack"):
        practice.typed_role(TypedRole(title="Engineer"))
    with pytest.raises(Refusal, match="no stack"):
        practice.pasted_role("Somebody who is good with people and numbers.")
