"""Leases: a group is with one rater at a time, for as long as somebody is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .conftest import answer, hand_in, status


def test_group_is_with_one_rater_at_a_time(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    assert rater.next()["group"]["group_id"] == "g"
    assert server.rater().next()["reason"] == "busy"
    assert status(server, "g") == "leased"


def test_reloaded_page_goes_on_with_the_same_lease(server: Any, rater: Any) -> None:
    hand_in(server, "a", "b")
    assert rater.next()["lease"]["id"] == rater.next()["lease"]["id"]
    assert rater.next(prefer="b")["group"]["group_id"] == "b"
    assert status(server, "a") == "pending"


def test_lease_lasts_as_long_as_there_are_heartbeats(server: Any, rater: Any, later: Callable[..., Any]) -> None:
    hand_in(server, "g")
    taken = rater.next()
    for _ in range(4):
        later(server.settings.lease_seconds * 0.9)
        assert rater.ok("POST", rater.lease("heartbeat", taken))["seconds_left"] == server.settings.lease_seconds
    other = server.rater()
    assert other.next()["reason"] == "busy"
    later(server.settings.lease_seconds + 1)
    assert other.next()["group"]["group_id"] == "g"
    assert rater.refused("POST", rater.lease("heartbeat", taken)) == (409, "lease_lost")
    assert rater.refused("POST", rater.lease("submit", taken), answer(taken, 3)) == (409, "lease_lost")


def test_rating_after_the_time_counts_while_nobody_else_has_the_group(
    server: Any, rater: Any, later: Callable[..., Any]
) -> None:
    hand_in(server, "a", "b")
    taken = rater.next(prefer="a")
    later(server.settings.lease_seconds + 1)
    other = server.rater()
    assert other.next(prefer="b")["group"]["group_id"] == "b"  # takes the lease on a back, too
    rater.rate(taken, 3)
    assert status(server, "a") == "rated"


def test_released_group_is_free_at_once(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken = rater.next()
    token = rater.headers.pop("X-CSRF-Token")
    assert rater.refused("POST", rater.lease("release", taken)) == (403, "csrf")
    done = rater.http.post(
        rater.lease("release", taken), data={"csrf_token": token}
    )  # as navigator.sendBeacon sends it
    assert done.status_code == 200
    assert server.rater().next()["group"]["group_id"] == "g"


def test_nobody_else_may_touch_a_lease(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken, other = rater.next(), server.rater()
    for action, body in (
        ("heartbeat", None),
        ("submit", answer(taken, 3)),
        ("skip", {"reason": "other"}),
        ("release", None),
    ):
        assert other.refused("POST", other.lease(action, taken), body)[0] == 404


def test_overlap_asks_different_people(server: Any, rater: Any) -> None:
    hand_in(server, "g", overlap=2)
    rater.rate(rater.next(), 3)
    assert status(server, "g") == "pending"
    assert rater.next()["reason"] == "empty"
    other = server.rater()
    other.rate(other.next(), 4)
    assert server.training.ok("GET", "/api/groups/g")["raters"] == 2
    assert status(server, "g") == "rated"
    assert server.rater().next()["reason"] == "empty"


def test_many_raters_at_once_never_share_a_group(server: Any) -> None:
    names = [f"g{n}" for n in range(12)]
    hand_in(server, *names)
    raters = [server.rater() for _ in range(8)]
    taken = [None] * len(raters)

    def take(index: Any) -> None:
        taken[index] = raters[index].next()["group"]["group_id"]

    threads = [threading.Thread(target=take, args=(index,)) for index in range(len(raters))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == len(raters)
