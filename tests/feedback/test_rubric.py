"""A rubric of the user's own: four criteria with other weights, from the group that training hands in to the export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import create_app
from feedback.settings import Settings
from recruiter.human_feedback import GroupView
from recruiter.rubric import load_rubric

from .conftest import LOCAL, Person, group

MY_RUBRIC = """
criteria:
  - {name: relevance, question: "Does it fit the role?", weight: 3.0}
  - {name: depth, question: "Does it need experience?", weight: 2.0, anchors: {1: none, 3: some, 5: years of it}}
  - {name: tone, question: "Is it friendly?", red_flags: [{name: rude, text: an insult, penalty: 5.0}]}
  - {name: answer_length, question: "Can it be answered in five minutes?", weight: 0.5}
"""
RATED = {"relevance": 5, "depth": 1, "tone": 3, "answer_length": 5}
REWARD = (3 * 1 + 2 * 0 + 1 * 0.5 + 0.5 * 1) / 6.5


@pytest.fixture
def rubric_file(tmp_path: Path) -> Path:
    path = tmp_path / "my_rubric.yaml"
    path.write_text(MY_RUBRIC)
    return path


@pytest.fixture
def people(settings: Settings, rubric_file: Path) -> Iterator[tuple[Any, ...]]:
    app = create_app(replace(settings, rubric=str(rubric_file)))
    with TestClient(app):
        yield Person(app, LOCAL), Person(app, LOCAL).open_page()


def test_ratings_by_the_users_criteria_are_weighed_as_they_say(people: tuple[Any, ...], rubric_file: Path) -> None:
    training, rater = people
    rubric = load_rubric(rubric_file)
    told = rater.ok("GET", "/api/rubric")
    assert (told["hash"], [one["name"] for one in told["criteria"]]) == (rubric.hash, list(RATED))
    assert told["criteria"][1]["anchors"] == {"1": "none", "3": "some", "5": "years of it"}
    training.ok("POST", "/api/groups", group("g", "How?", rubric_hash=rubric.hash))
    taken = rater.next()
    path = rater.lease("submit", taken)
    for wrong in ({"relevance": 5}, {**RATED, "clarity": 3}, {**RATED, "tone": 6}):
        assert rater.refused("POST", path, {"ratings": {"1": wrong}})[0] == 422
    rater.ok("POST", path, {"ratings": {"1": RATED}})
    view = training.ok("GET", "/api/groups/g")
    assert view["results"][0]["scores"] == RATED
    assert view["results"][0]["reward"] == pytest.approx(REWARD)
    assert GroupView.read(view, rubric).judgements[0].reward == pytest.approx(REWARD)
    judged = {"judge": "j", "scores": [dict.fromkeys(RATED, 7.0)]}
    training.ok("POST", "/api/groups/g/judge", judged)
    assert training.refused("POST", "/api/groups/g/judge", {"judge": "j", "scores": [{"clarity": 1}]})[0] == 422
    stats = rater.ok("GET", "/api/stats")
    assert {name: one["mean"] for name, one in stats["criteria"].items()} == RATED
    assert stats["position"][0]["mean"] == pytest.approx(1 + 4 * REWARD)
    (row,) = [json.loads(line) for line in rater.http.get("/api/export").text.splitlines()]
    assert {name: row[name] for name in RATED} == RATED
    assert row["reward"] == pytest.approx(REWARD)


def test_group_of_another_rubric_is_refused_in_one_sentence(people: tuple[Any, ...]) -> None:
    training, rater = people
    answer = training.call("POST", "/api/groups", group("g", rubric_hash=load_rubric().hash))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "other_rubric")
    message = answer.json()["error"]["message"]
    assert "relevance, depth, tone, answer_length" in message
    assert "FEEDBACK_RUBRIC" in message
    assert training.refused("POST", "/api/groups/wait", {"ids": ["g"], "rubric_hash": "0" * 16}) == (
        409,
        "other_rubric",
    )
    training.ok("POST", "/api/groups", group("h", "How?"))  # says nothing of a rubric: by the server's
    assert rater.next()["group"]["group_id"] == "h"


def test_groups_wait_while_the_server_rates_by_another_rubric_and_old_ratings_stay(
    settings: Settings, rubric_file: Path
) -> None:
    app = create_app(settings)
    with TestClient(app):
        training, rater = Person(app, LOCAL), Person(app, LOCAL).open_page()
        for name in ("rated", "waiting"):
            training.ok("POST", "/api/groups", group(name, "How?", rubric_hash=load_rubric().hash))
        rater.rate(rater.next(prefer="rated"), 4)
    app = create_app(replace(settings, rubric=str(rubric_file)))
    with TestClient(app):
        rater = Person(app, LOCAL).open_page()
        assert rater.next()["reason"] == "empty"
        assert rater.ok("GET", "/api/rate/progress")["queue"]["pending"] == 0
        (row,) = [json.loads(line) for line in rater.http.get("/api/export").text.splitlines()]
        assert (row["clarity"], row["tone"], row["reward"]) == (4, None, None)
    app = create_app(settings)
    with TestClient(app):
        assert Person(app, LOCAL).open_page().next()["group"]["group_id"] == "waiting"
