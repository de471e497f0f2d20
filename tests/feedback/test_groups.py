"""What training sees: groups handed in, waited for, given up, used."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import pytest

from feedback.views import reward_of
from recruiter.rubric import load_rubric

from .conftest import ROLE, group


def view(server: Any, group_id: Any) -> Any:
    return server.training.ok("GET", f"/api/groups/{group_id}")


def test_same_id_and_content_is_the_same_group(server: Any) -> None:
    first = server.training.call("POST", "/api/groups", group("g"))
    again = server.training.call("POST", "/api/groups", group("g"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert server.training.refused("POST", "/api/groups", group("g", "Other?")) == (409, "different_content")


BAD = [
    {"questions": []},
    {"questions": ["?"] * 65},
    {"questions": ["x" * 8001]},
    {"group_id": "a b"},
    {"group_id": "x" * 129},
    {"group_id": "practice:1"},
    {"group_id": "queue:1"},
    {"overlap": 0},
    {"policy_step": -1},
    {"policy_step": 2**40},
    {"run": "nul\x00"},
    {"role": {"title": "Engineer"}},
    {"role": {**ROLE, "title": "nul\x00"}},
    {"colour": "red"},
]


def test_bad_groups_are_refused_with_a_reason(server: Any) -> None:
    for changes in BAD:
        assert server.training.refused("POST", "/api/groups", {**group("g"), **cast(Any, changes)})[0] == 422, changes


def test_identical_questions_are_shown_once_and_share_their_rating(server: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g", "How?", "Why?", " How? ", "When?"))
    rater = server.rater()
    taken = rater.next()
    texts = [c["text"] for c in taken["group"]["candidates"]]
    assert sorted(texts) == [" How? ", "When?", "Why?"] or sorted(texts) == ["How?", "When?", "Why?"]
    scores = [{"How?": 5, "Why?": 1, "When?": 2}[text.strip()] for text in texts]
    rater.rate(taken, *scores)
    results = view(server, "g")["results"]
    assert [r["scores"]["relevance"] for r in results] == [5, 1, 5, 2]
    assert [r["reward"] for r in results] == [1.0, 0.0, 1.0, 0.25]
    assert [r["question_index"] for r in results] == [0, 1, 2, 3]


def test_candidates_are_shuffled_by_rater_and_stay_so(server: Any) -> None:
    questions = [f"Question {n}?" for n in range(12)]
    server.training.ok("POST", "/api/groups", group("g", *questions, overlap=3))
    orders = []
    for _ in range(3):
        rater = server.rater()
        orders.append([c["text"] for c in rater.next()["group"]["candidates"]])
        assert [c["text"] for c in rater.next()["group"]["candidates"]] == orders[-1]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == sorted(questions) for order in orders)


def test_long_poll_returns_when_a_group_changes(server: Any) -> None:
    for name in ("a", "b"):
        server.training.ok("POST", "/api/groups", group(name))
    known = {"a": 1, "b": 1}
    rater = server.rater()
    start = time.monotonic()
    threading.Timer(0.3, rater.next).start()
    found = server.training.ok("POST", "/api/groups/wait", {"ids": ["a", "b", "none"], "timeout": 20, "known": known})
    assert 0.2 < time.monotonic() - start < 15
    assert [(g["group_id"], g["status"]) for g in found["groups"]] == [("a", "leased"), ("b", "pending")]
    known["a"] = found["groups"][0]["version"]
    start = time.monotonic()
    server.training.ok("POST", "/api/groups/wait", {"ids": ["a", "b"], "timeout": 0.3, "known": known})
    assert 0.25 < time.monotonic() - start < 15


def test_waiting_groups_know_their_place(server: Any) -> None:
    for name, priority in (("a", 0), ("b", 5), ("c", 0)):
        server.training.ok("POST", "/api/groups", group(name, priority=priority))
    assert [view(server, n)["waiting"]["position"] for n in "abc"] == [1, 0, 2]
    rater = server.rater()
    assert rater.next()["group"]["group_id"] == "b"
    assert view(server, "c")["waiting"] == {"position": 1, "raters_online": 1}


def test_cancelled_groups_leave_the_queue_and_rated_ones_stay(server: Any) -> None:
    for name in ("rated", "waiting"):
        server.training.ok("POST", "/api/groups", group(name))
    rater = server.rater()
    rater.rate(rater.next(prefer="rated"), 3)
    body = {"ids": ["rated", "waiting", "unknown"], "reason": "run over"}
    assert server.training.ok("POST", "/api/groups/cancel", body) == {"cancelled": ["waiting"]}
    assert server.training.ok("POST", "/api/groups/cancel", body) == {"cancelled": ["waiting"]}
    assert view(server, "rated")["status"] == "rated"
    assert {r["status"] for r in view(server, "waiting")["results"]} == {"cancelled"}
    assert rater.next() == {
        "lease": None, "group": None, "draft": None, "unused": False, "reason": "empty"
    }  # fmt: skip


def test_expired_group_on_a_screen_may_still_be_rated_and_is_late(server: Any) -> None:
    for name in ("out", "waiting"):
        server.training.ok("POST", "/api/groups", group(name))
    rater = server.rater()
    taken = rater.next(prefer="out")
    found = server.training.ok("POST", "/api/groups/expire", {"ids": ["out", "waiting"]})["groups"]
    assert [g["status"] for g in found] == ["expired", "expired"]
    rater.rate(taken, 4)
    late = view(server, "out")
    assert (late["status"], late["late"], late["results"][0]["reward"]) == ("rated", True, 0.75)
    assert rater.next()["reason"] == "empty"
    assert rater.ok("GET", "/api/rate/progress")["queue"]["late"] == 1


def test_one_late_rating_of_two_is_kept_as_rated(server: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g", overlap=2))
    rater = server.rater()
    taken = rater.next()
    server.training.ok("POST", "/api/groups/expire", {"ids": ["g"]})
    rater.rate(taken, 4)
    late = view(server, "g")
    assert (late["status"], late["late"], late["raters"]) == ("rated", True, 1)


def test_cancelled_group_leaves_the_screen_and_what_is_sent_for_it_is_kept(server: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g"))
    first, second = server.rater(), server.rater()
    taken = first.next()
    server.training.ok("POST", "/api/groups/cancel", {"ids": ["g"]})
    first.rate(taken, 4)
    found = view(server, "g")
    assert (found["status"], found["raters"], found["results"][0]["reward"]) == ("cancelled", 1, None)
    server.training.ok("POST", "/api/groups", group("h"))
    second.next()
    server.training.ok("POST", "/api/groups/cancel", {"ids": ["h"]})
    assert second.next()["reason"] == "empty"


def test_consumed_ratings_are_frozen_and_later_edits_unused(server: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g"))
    rater = server.rater()
    rating = rater.rate(rater.next(), 2)
    used = server.training.ok("POST", "/api/groups/consume", {"ids": ["g"], "step": 7})["groups"][0]
    assert (used["consumed_step"], used["results"][0]["scores"]["relevance"]) == (7, 2)
    again = server.training.ok("POST", "/api/groups/consume", {"ids": ["g"], "step": 8})["groups"][0]
    assert again == used
    reopened = rater.ok("POST", "/api/rate/undo")
    assert (reopened["unused"], reopened["draft"]["ratings"]["1"]["clarity"]) == (True, 2)
    assert rater.rate(reopened, 5)["unused"] is True
    assert view(server, "g")["results"] == used["results"]
    body = {"ratings": reopened["draft"]["ratings"]}
    edited = rater.ok("PUT", f"/api/ratings/{rating['rating_id']}", body)
    assert edited == {"revision": 3, "unused": True}
    (mine,) = rater.ok("GET", "/api/rate/mine")["ratings"]
    assert mine["editable"] is False


def test_unrated_groups_are_not_consumed(server: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g"))
    used = server.training.ok("POST", "/api/groups/consume", {"ids": ["g"], "step": 7})["groups"][0]
    assert used["consumed_step"] is None


def test_overlap_takes_each_raters_own_level_out(server: Any) -> None:
    for name in ("a", "b"):
        server.training.ok("POST", "/api/groups", group(name, "One?", "Two?", overlap=2))
    strict, kind = server.rater(), server.rater()
    given = {"a": {"One?": (1, 3), "Two?": (2, 4)}, "b": {"One?": (2, 4), "Two?": (3, 5)}}
    for index, rater in enumerate((strict, kind)):
        for _ in range(2):
            taken = rater.next()
            texts = [c["text"] for c in taken["group"]["candidates"]]
            rater.rate(taken, *(given[taken["group"]["group_id"]][text][index] for text in texts))
    # The kind rater lies two points above the strict one on every question: one above the mean of both.
    assert [r["scores"]["relevance"] for r in view(server, "a")["results"]] == [2, 3]
    assert [r["scores"]["relevance"] for r in view(server, "b")["results"]] == [3, 4]
    stats = server.rater().ok("GET", "/api/stats")
    assert [one["leniency"]["clarity"] for one in stats["raters"]] in ([-1, 1], [1, -1])


def test_rater_of_one_more_group_keeps_their_level_out_of_shared_ones(server: Any) -> None:
    """Leniency is over all that a rater shares: with different company, a group's mean moves."""
    for name, overlap in (("ab", 2), ("ac", 2), ("alone", 1)):
        server.training.ok("POST", "/api/groups", group(name, "One?", overlap=overlap))
    a, b, c = (server.rater() for _ in range(3))
    a.rate(a.next(prefer="ab"), 4)
    b.rate(b.next(prefer="ab"), 2)
    a.rate(a.next(prefer="ac"), 5)
    c.rate(c.next(prefer="ac"), 5)
    a.rate(a.next(prefer="alone"), 5)
    # a: +1 and 0 on shared questions, so +0.5; b: -1; c: 0.
    assert view(server, "ab")["results"][0]["scores"]["relevance"] == pytest.approx((4 - 0.5 + 2 + 1) / 2)
    assert view(server, "ac")["results"][0]["scores"]["relevance"] == pytest.approx((5 - 0.5 + 5) / 2)
    assert view(server, "alone")["results"][0]["scores"]["relevance"] == 5


def test_differences_within_a_group_survive_the_raters_levels(server: Any) -> None:
    """Raters who are lenient where they share groups: the group's means move, and no further than 1 to 5."""
    for name in ("strict", "kind", "best"):
        server.training.ok("POST", "/api/groups", group(name, "One?", "Two?", "Three?", overlap=2))
    people = {name: server.rater() for name in ("a", "b", "c")}
    given = {"strict": {"a": (1, 1, 1), "c": (5, 5, 5)}, "kind": {"b": (1, 1, 1), "c": (5, 5, 5)},
             "best": {"a": (5, 4, 4), "b": (5, 5, 4)}}  # fmt: skip
    for name, by_rater in given.items():
        for who, scores in by_rater.items():
            taken = people[who].next(prefer=name)
            order = [("One?", "Two?", "Three?").index(c["text"]) for c in taken["group"]["candidates"]]
            people[who].rate(taken, *(scores[index] for index in order))
    # a and b lie two points below others: 5, 4.5 and 4 would go up to 7, 6.5 and 6.
    assert [r["scores"]["clarity"] for r in view(server, "best")["results"]] == [5, 4.5, 4]


def test_reward_follows_the_rubric() -> None:
    assert reward_of(load_rubric(), {"relevance": 1, "clarity": 3, "discriminative": 5}) == 0.5


def test_runs_report_and_are_shown(server: Any) -> None:
    report = {"step": 4, "total_steps": 9, "state": "waiting", "waiting_groups": ["g"], "reward_mean": 0.5}
    server.training.ok("PUT", "/api/runs/mine", report)
    server.training.ok("PUT", "/api/runs/mine", report)
    rater = server.rater()
    waiting = rater.ok("GET", "/api/rate/progress")["waiting"]
    assert (waiting["run"], waiting["step"], waiting["groups_waited_for"]) == ("mine", 4, 1)
    (run,) = rater.ok("GET", "/api/runs")["runs"]
    assert run["reward_mean"] == 0.5
    assert run["since_seconds"] >= 0
    server.training.ok("PUT", "/api/runs/mine", {**report, "state": "training"})
    assert rater.ok("GET", "/api/runs/mine")["since_seconds"] is None
    assert rater.refused("GET", "/api/runs/other") == (404, "not_found")
    nan = '{"step": 1, "total_steps": 2, "state": "training", "reward_mean": NaN}'
    headers = {"Content-Type": "application/json"}
    assert server.training.http.put("/api/runs/mine", content=nan, headers=headers).status_code == 422


def test_single_questions_go_through_the_same_queue(server: Any) -> None:
    body = {"request_id": "q/1".replace("/", "-"), "question": "How?", "role_id": "caching-and-performance-08"}
    first = server.training.ok("POST", "/api/queue/submit", body)
    assert server.training.ok("POST", "/api/queue/submit", body) == first
    assert first["status"] == "pending"
    body2 = {"request_id": "q 2", "question": "Why?", "role_context": {"title": "Engineer", "stack": ["Go"]}}
    server.training.ok("POST", "/api/queue/submit", body2)
    pending = server.training.ok("GET", "/api/queue/pending?limit=1&offset=1")
    assert (pending["count"], [i["request_id"] for i in pending["items"]]) == (2, ["q 2"])
    rater = server.rater()
    taken = rater.next()
    assert taken["group"]["role"]["title"] == "Staff Engineer, Cache Platform"
    rater.rate(taken, 4)
    result = server.training.ok("GET", "/api/queue/result/q-1")
    assert result == {
        "request_id": "q-1", "status": "rated", "relevance": 4, "clarity": 4, "discriminative": 4, "reward": 0.75
    }  # fmt: skip
    taken = rater.next()
    assert taken["group"]["role"] == {"title": "Engineer", "stack": ["Go"]}
    rater.ok("POST", rater.lease("skip", taken), {"reason": "unclear_role"})
    assert server.training.ok("GET", "/api/queue/result/q 2")["status"] == "skipped"
    assert server.training.refused("GET", "/api/queue/result/none") == (404, "not_found")
