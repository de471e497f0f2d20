"""What raters are asked: an order, the best and the worst, or pairs, instead of scores; how that becomes rewards."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedback import tasks
from recruiter.reward import order_rewards

from .conftest import group

QUESTIONS = ("How?", "Why?", "When?", "Where?")


def texts(taken: Any) -> dict[str, str]:
    return {one["candidate_id"]: one["text"] for one in taken["group"]["candidates"]}


def say(person: Any, taken: Any, ratings: dict[str, dict[str, int]], **more: Any) -> Any:
    return person.ok("POST", person.lease("submit", taken), {"ratings": ratings, **more})


def places(taken: Any, **by_text: int) -> dict[str, dict[str, int]]:
    return {name: {"place": by_text[text.rstrip("?")]} for name, text in texts(taken).items()}


def rewards(server: Any, group_id: str = "g") -> dict[str, float]:
    view = server.training.ok("GET", f"/api/groups/{group_id}")
    assert view["status"] == "rated"
    assert all(result["scores"] is None for result in view["results"])
    return {QUESTIONS[one["question_index"]].rstrip("?"): one["reward"] for one in view["results"]}


def hand_in(server: Any, task: str, *questions: str, **fields: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g", *(questions or QUESTIONS), task=task, **fields))


def test_rewards_of_an_order_by_hand() -> None:
    """Alone in front 1, alone behind 0; what is not compared is found from the rest."""
    assert order_rewards(3, [(0, 1, 1), (0, 2, 1), (1, 2, 1)]) == [1.0, 0.5, 0.0]
    assert order_rewards(3, [(0, 1, 0), (0, 2, 1), (1, 2, 1)]) == [0.75, 0.75, 0.0]
    assert order_rewards(2, [(0, 1, 0)]) == [0.5, 0.5]
    best_and_worst = [(0, 1, 1), (0, 2, 1), (0, 3, 1), (1, 3, 1), (2, 3, 1)]
    assert order_rewards(4, best_and_worst) == [1.0, 0.5, 0.5, 0.0]
    assert order_rewards(2, [(0, 1, 1), (0, 1, -1), (0, 1, 1), (0, 1, 1)]) == [0.75, 0.25]  # of four people
    assert order_rewards(3, []) == [0.5] * 3


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 20])
def test_pairs_compare_every_question_as_often_first_as_second(count: int) -> None:
    pairs = tasks.pairs_of(count)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) == min(count * (count - 1) // 2, 2 * count)
    for place in range(1, count + 1):
        first, second = (sum(pair[side] == place for pair in pairs) for side in (0, 1))
        assert abs(first - second) <= 1


def test_an_order_with_ties_becomes_rewards_within_the_group(server: Any) -> None:
    hand_in(server, "rank")
    rater = server.rater()
    taken = rater.next()
    assert (taken["group"]["task"], taken["group"]["pairs"]) == ("rank", [])
    said = places(taken, How=1, Why=2, When=2, Where=4)
    stored = say(rater, taken, said)
    assert say(rater, taken, said) == stored  # sent again
    assert rewards(server) == pytest.approx({"How": 1.0, "Why": 0.5, "When": 0.5, "Where": 0.0})
    again = rater.ok("POST", "/api/rate/undo")
    assert again["draft"]["ratings"] == places(again, How=1, Why=2, When=2, Where=3)  # places are counted without gaps


def test_the_best_and_the_worst(server: Any) -> None:
    hand_in(server, "best_worst")
    rater = server.rater()
    taken = rater.next()
    refused = rater.refused(
        "POST", rater.lease("submit", taken), {"ratings": places(taken, How=1, Why=2, When=2, Where=2)}
    )
    assert refused == (422, "incomplete")
    said = places(taken, How=2, Why=1, When=3, Where=2)
    say(rater, taken, said)
    assert rewards(server) == pytest.approx({"How": 0.5, "Why": 1.0, "When": 0.0, "Where": 0.5})
    assert rater.ok("POST", "/api/rate/undo")["draft"]["ratings"] == said


def test_pairs_with_ties(server: Any) -> None:
    hand_in(server, "pairs")
    rater = server.rater()
    taken = rater.next()
    order, text = ["When?", "Where?", "How?", "Why?"], texts(taken)

    def better(one: str, other: str) -> int:
        one_at, other_at = order.index(text[one]), order.index(text[other])
        return 2 if {one_at, other_at} == {1, 2} else 1 if one_at < other_at else 3

    pairs = taken["group"]["pairs"]
    assert len(pairs) == 6
    said = {f"{one}-{other}": {"better": better(one, other)} for one, other in pairs}
    assert rater.refused("POST", rater.lease("submit", taken), {"ratings": dict(list(said.items())[1:])}) == (
        422,
        "incomplete",
    )
    say(rater, taken, said)
    assert rewards(server) == pytest.approx({"When": 1.0, "Where": 0.5, "How": 0.5, "Why": 0.0})
    assert rater.ok("POST", "/api/rate/undo")["draft"]["ratings"] == said


def test_two_people_are_taken_together(server: Any) -> None:
    hand_in(server, "rank", "How?", "Why?", "When?", overlap=2)
    for order in ({"How": 1, "Why": 2, "When": 3}, {"How": 2, "Why": 1, "When": 3}):
        rater = server.rater()
        taken = rater.next()
        say(rater, taken, places(taken, **order))
    assert rewards(server) == pytest.approx({"How": 0.75, "Why": 0.75, "When": 0.0})
    agreement = server.rater().ok("GET", "/api/stats")["agreement"]
    assert (agreement["groups"], agreement["rank"]) == (1, pytest.approx(1 / 3))


@pytest.mark.parametrize("task", ["rank", "best_worst"])
def test_no_difference_is_an_answer_and_teaches_nothing(server: Any, task: str) -> None:
    hand_in(server, task)
    rater = server.rater()
    taken = rater.next()
    alike = 1 if task == "rank" else 2
    say(rater, taken, places(taken, How=alike, Why=alike, When=alike, Where=alike))
    assert set(rewards(server).values()) == {0.5}
    assert server.training.ok("GET", "/api/groups/g")["all_equal"]
    assert rater.ok("POST", "/api/rate/undo")["draft"]["ratings"] == places(
        taken, How=alike, Why=alike, When=alike, Where=alike
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"1": {"place": 1}},  # others are missing
        {str(i): {"place": 5} for i in range(1, 5)},  # there are four places
        {str(i): {"clarity": 1} for i in range(1, 5)},
        {str(i): {"place": 1, "clarity": 1} for i in range(1, 5)},
        {str(i): {"place": 1} for i in range(1, 6)},
    ],
)
def test_what_is_no_order_is_refused_in_a_sentence(server: Any, wrong: Any) -> None:
    hand_in(server, "rank")
    rater = server.rater()
    taken = rater.next()
    assert rater.refused("POST", rater.lease("submit", taken), {"ratings": wrong})[0] == 422
    assert rater.refused("POST", rater.lease("submit", taken), {"ratings": {"1": {"place": 1}}, "all_equal": True}) == (
        422,
        "invalid",
    )
    assert server.training.ok("GET", "/api/groups/g")["status"] == "leased"


def test_an_order_is_changed_until_training_uses_it(server: Any) -> None:
    hand_in(server, "rank")
    rater = server.rater()
    taken = rater.next()
    rating = say(rater, taken, places(taken, How=1, Why=2, When=3, Where=4))["rating_id"]
    edited = {"ratings": places(taken, How=4, Why=3, When=2, Where=1)}
    assert rater.ok("PUT", f"/api/ratings/{rating}", edited) == {"revision": 2, "unused": False}
    assert rewards(server)["Where"] == 1.0
    server.training.ok("POST", "/api/groups/consume", {"ids": ["g"], "step": 3})
    assert rater.ok(
        "PUT", f"/api/ratings/{rating}", {"ratings": taken and places(taken, How=1, Why=2, When=3, Where=4)}
    )["unused"]
    assert rewards(server)["Where"] == 1.0


def test_one_question_alone_is_scored(server: Any) -> None:
    hand_in(server, "rank", "How?", "How? ")
    rater = server.rater()
    taken = rater.next()
    assert taken["group"]["task"] == "score"
    rater.rate(taken, 4)
    assert server.training.ok("GET", "/api/groups/g")["results"][0]["scores"]["clarity"] == 4


def test_comparisons_are_exported_and_are_pairs_for_preference_training(server: Any) -> None:
    hand_in(server, "rank", "How?", "Why?", "When?")
    rater = server.rater()
    taken = rater.next()
    better = next(name for name, text in texts(taken).items() if text == "When?")
    remarks = {better: {"comment": "long", "improved": "When exactly?"}}
    say(rater, taken, places(taken, How=1, Why=2, When=2), remarks=remarks)

    def rows(what: str) -> list[dict[str, Any]]:
        answer = rater.call("GET", f"/api/export?what={what}&format=jsonl")
        return [json.loads(line) for line in answer.text.splitlines()]

    said = {(row["first"], row["second"]): row["preferred"] for row in rows("comparisons")}
    assert said == {("How?", "Why?"): "first", ("How?", "When?"): "first", ("Why?", "When?"): "neither"}
    assert [(row["chosen"], row["rejected"]) for row in rows("pairs")] == [
        ("When exactly?", "When?"), ("How?", "Why?"), ("How?", "When?"),
    ]  # fmt: skip
    assert [(row["question"], row["comment"]) for row in rows("remarks")] == [("When?", "long")]
    (listed,) = rater.ok("GET", "/api/ratings")["ratings"]
    assert {one["text"]: one["scores"] for one in listed["candidates"]} == {
        "How?": {"place": 1}, "Why?": {"place": 2}, "When?": {"place": 2},
    }  # fmt: skip
