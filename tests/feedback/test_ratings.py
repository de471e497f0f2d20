"""What raters do: ratings, skips, undo, edits. Nothing that got an answer is lost or doubled."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

import database as db
from feedback import runs

from .conftest import answer, hand_in, status, stored


def test_submitting_twice_changes_nothing(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken = rater.next()
    first = rater.rate(taken, 5, 4, 3)
    again = rater.rate(taken, 5, 4, 3)
    assert again["rating_id"] == first["rating_id"]
    assert (stored(server, db.ratings), stored(server, db.revisions), stored(server, db.scores)) == (1, 1, 9)
    assert first["progress"]["mine"] == {"today": 1, "total": 1}


def test_another_answer_under_the_same_lease_is_refused_not_dropped(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken = rater.next()
    first = rater.rate(taken, 5, 4, 3)
    path = rater.lease("submit", taken)
    assert rater.refused("POST", path, answer(taken, 1)) == (409, "already_submitted")
    assert rater.refused("POST", path, answer(taken, 5, 4, 3, note="and more")) == (409, "already_submitted")
    rater.ok("PUT", f"/api/ratings/{first['rating_id']}", answer(taken, 1))
    assert rater.rate(taken, 5, 4, 3)["rating_id"] == first["rating_id"]  # what was said under the lease
    assert rater.refused("POST", path, answer(taken, 1)) == (409, "already_submitted")


def test_closing_one_of_two_tabs_keeps_the_group_for_the_other(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken = rater.next()
    assert rater.next()["lease"]["id"] == taken["lease"]["id"]  # the second tab
    rater.ok("POST", rater.lease("release", taken))
    assert server.rater().next()["reason"] == "busy"
    rater.ok("POST", rater.lease("release", taken))
    assert server.rater().next()["group"]["group_id"] == "g"


def test_a_tab_that_is_reloaded_keeps_the_group_whichever_call_comes_first(server: Any, rater: Any) -> None:
    hand_in(server, "a", "b")
    taken = rater.next()
    for _ in range(3):
        rater.next()
        rater.ok("POST", rater.lease("release", taken))
    assert status(server, "a") == "leased"


def test_group_that_was_deleted_under_a_rater_is_gone(server: Any, rater: Any) -> None:
    hand_in(server, "g", "h")
    taken = rater.next(prefer="g")
    rater.ok("DELETE", "/api/owner/groups/g")
    for action, body in (("heartbeat", None), ("submit", answer(taken, 3)), ("skip", {"reason": "other"})):
        assert rater.refused("POST", rater.lease(action, taken), body) == (404, "gone")
    assert rater.next()["group"]["group_id"] == "h"


def test_incomplete_ratings_are_refused_and_the_lease_stays(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken = rater.next()
    three = {"relevance": 3, "clarity": 3, "discriminative": 3}
    too_few, too_many = {"1": three}, {str(n): three for n in range(1, 5)}
    too_high = {str(n): {**three, "clarity": 6} for n in range(1, 4)}
    without = {str(n): {"relevance": 3, "clarity": 3} for n in range(1, 4)}
    for ratings in ({}, too_few, too_many, too_high, without):
        assert rater.refused("POST", rater.lease("submit", taken), {"ratings": ratings})[0] == 422, ratings
    assert rater.next()["lease"]["id"] == taken["lease"]["id"]
    assert stored(server, db.ratings) == 0


def test_all_equal_is_an_answer_of_its_own(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken = rater.next()
    one = {"1": {"relevance": 4, "clarity": 2, "discriminative": 3}}
    unequal = {**one, "2": {"relevance": 1, "clarity": 2, "discriminative": 3}}
    path = rater.lease("submit", taken)
    assert rater.refused("POST", path, {"ratings": unequal, "all_equal": True})[0] == 422
    rater.ok("POST", path, {"ratings": one, "all_equal": True})
    found = server.training.ok("GET", "/api/groups/g")
    assert found["all_equal"] is True
    assert [tuple(r["scores"].values()) for r in found["results"]] == [(4, 2, 3)] * 3


def test_edits_count_until_training_has_consumed_the_group(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    rating = rater.rate(rater.next(), 2)["rating_id"]
    (mine,) = rater.ok("GET", "/api/rate/mine")["ratings"]
    assert mine["editable"] is True
    changed = {"ratings": {key: {**value, "clarity": 5} for key, value in mine["answer"]["ratings"].items()}}
    assert rater.ok("PUT", f"/api/ratings/{rating}", changed) == {"revision": 2, "unused": False}
    assert rater.ok("PUT", f"/api/ratings/{rating}", changed) == {"revision": 2, "unused": False}
    assert server.training.ok("GET", "/api/groups/g")["results"][0]["scores"]["clarity"] == 5
    assert server.rater().refused("PUT", f"/api/ratings/{rating}", changed) == (404, "not_found")


def test_undo_opens_the_latest_rating_and_the_old_one_stands_meanwhile(server: Any, rater: Any) -> None:
    hand_in(server, "a", "b")
    rater.rate(rater.next(), 2)
    rater.next()
    reopened = rater.ok("POST", "/api/rate/undo")
    assert (reopened["group"]["group_id"], reopened["draft"]["ratings"]["1"]["relevance"]) == ("a", 2)
    assert status(server, "b") == "pending"
    assert rater.ok("POST", "/api/rate/undo")["lease"]["id"] == reopened["lease"]["id"]
    assert rater.next()["draft"] == reopened["draft"]
    assert server.training.ok("GET", "/api/groups/a")["results"][0]["scores"]["relevance"] == 2
    rater.rate(reopened, 4)
    assert server.training.ok("GET", "/api/groups/a")["results"][0]["scores"]["relevance"] == 4
    assert (stored(server, db.ratings), stored(server, db.revisions)) == (1, 2)


def test_undo_of_nothing_says_so(server: Any, rater: Any) -> None:
    assert rater.refused("POST", "/api/rate/undo") == (404, "not_found")


def test_comments_and_better_wordings_are_kept_with_their_revision(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken = rater.next()
    texts = {c["candidate_id"]: c["text"] for c in taken["group"]["candidates"]}
    remarks = {"1": {"comment": " too short ", "improved": ""}, "3": {"comment": "", "improved": "How, and why?"}}
    stored_ = {
        "1": {"comment": "too short", "improved": "", "no_sense": False}, "3": {**remarks["3"], "no_sense": False},
    }  # fmt: skip
    rating = rater.rate(taken, 3, remarks={**remarks, "2": {"comment": " ", "improved": ""}})["rating_id"]
    assert rater.rate(taken, 3, remarks=remarks)["rating_id"] == rating
    assert rater.refused("POST", rater.lease("submit", taken), answer(taken, 3)) == (409, "already_submitted")
    (mine,) = rater.ok("GET", "/api/rate/mine")["ratings"]
    assert mine["answer"]["remarks"] == stored_
    assert rater.refused("PUT", f"/api/ratings/{rating}", answer(taken, 3, remarks={"9": remarks["1"]}))[0] == 422
    again = {"3": {"comment": "", "improved": "Why, and how?"}}
    assert rater.ok("PUT", f"/api/ratings/{rating}", answer(taken, 3, remarks=again))["revision"] == 2
    rows = [json.loads(line) for line in rater.http.get("/api/export").text.splitlines()]
    found = {(row["revision"], row["question"]): (row["comment"], row["improved"]) for row in rows}
    assert found[1, texts["1"]] == ("too short", "")
    assert found[2, texts["1"]] == (None, None)
    assert found[2, texts["3"]] == ("", "Why, and how?")
    (pair,) = [json.loads(line) for line in rater.http.get("/api/export?what=pairs").text.splitlines()]
    assert (pair["chosen"], pair["rejected"], pair["role_id"]) == ("Why, and how?", texts["3"], "r1")


def test_time_a_group_takes_is_the_median_of_the_latest(server: Any, rater: Any, later: Any) -> None:
    hand_in(server, *(f"g{n}" for n in range(6)))
    assert rater.ok("GET", "/api/rate/progress")["minutes_a_group"] is None
    for seconds in (30, 60, 120, 120, 240, 240):
        taken = rater.next()
        later(seconds)
        rater.rate(taken, 3)
    with server.context.database.read() as c:
        assert runs.minutes_a_group(c) == pytest.approx(2, abs=0.05)


# ---- skips -----------------------------------------------------------------------------------------------------------


def test_group_skipped_by_everybody_there_is_unscored(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    other = server.rater()
    for one, expected in ((rater, "pending"), (other, "skipped")):
        path = one.lease("skip", one.next())
        one.ok("POST", path, {"reason": "not_my_field"})
        one.ok("POST", path, {"reason": "not_my_field"})
        assert status(server, "g") == expected
    found = server.training.ok("GET", "/api/groups/g")
    assert found["skip_reason"] == "not_my_field"
    assert {(r["status"], r["reward"]) for r in found["results"]} == {("skipped", None)}


def test_raters_who_left_are_not_waited_for(server: Any, rater: Any, later: Callable[..., Any]) -> None:
    hand_in(server, "g")
    server.rater()
    later(3600)
    rater.ok("POST", rater.lease("skip", rater.next()), {"reason": "unclear_role"})
    assert status(server, "g") == "skipped"


def test_broken_text_needs_no_second_opinion(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    server.rater()
    rater.ok("POST", rater.lease("skip", rater.next()), {"reason": "broken_text", "note": "cut off"})
    assert status(server, "g") == "skipped"


def test_skip_can_be_undone_unless_another_rater_has_the_group(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    other = server.rater()
    rater.ok("POST", rater.lease("skip", rater.next()), {"reason": "other"})
    assert rater.next()["lease"] is None
    reopened = rater.ok("POST", "/api/rate/undo")
    assert reopened["group"]["group_id"] == "g"
    rater.ok("POST", rater.lease("skip", reopened), {"reason": "other"})
    other.next()
    assert rater.refused("POST", "/api/rate/undo") == (409, "taken")


def test_rating_that_is_undone_and_skipped_is_withdrawn_and_the_reason_kept(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    other = server.rater()
    rater.rate(rater.next(), 2)
    reopened = rater.ok("POST", "/api/rate/undo")
    rater.ok("POST", rater.lease("skip", reopened), {"reason": "not_my_field", "note": "too deep"})
    assert status(server, "g") == "pending"
    assert stored(server, db.ratings) == 0
    with server.context.database.read() as c:
        (skip,) = c.execute(sa.select(db.skips.c.reason, db.skips.c.note)).all()
    assert tuple(skip) == ("not_my_field", "too deep")
    other.rate(other.next(), 4)
    assert server.training.ok("GET", "/api/groups/g")["results"][0]["reward"] == 0.75


def test_rating_that_training_used_cannot_be_withdrawn(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    rater.rate(rater.next(), 2)
    server.training.ok("POST", "/api/groups/consume", {"ids": ["g"], "step": 1})
    reopened = rater.ok("POST", "/api/rate/undo")
    assert rater.refused("POST", rater.lease("skip", reopened), {"reason": "other"}) == (409, "used")
    assert status(server, "g") == "rated"


def test_skipped_group_is_open_again_after_undo(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    rater.ok("POST", rater.lease("skip", rater.next()), {"reason": "broken_text"})
    rater.rate(rater.ok("POST", "/api/rate/undo"), 3)
    assert status(server, "g") == "rated"


def test_rating_of_one_stands_when_the_others_skip(server: Any, rater: Any) -> None:
    hand_in(server, "g", overlap=2)
    rater.rate(rater.next(), 3)
    other = server.rater()
    other.ok("POST", other.lease("skip", other.next()), {"reason": "not_my_field"})
    found = server.training.ok("GET", "/api/groups/g")
    assert (found["status"], found["raters"], found["results"][0]["scores"]["relevance"]) == ("rated", 1, 3)
