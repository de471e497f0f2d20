"""Known answers, one's own again, and others: how steadily people rate, for owners to see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from feedback.access import TimedCache

from .conftest import group
from .test_erasing import invited

EVERY = 2
TASTE = {"How?": 5, "Why?": 3, "When?": 1}


@pytest.fixture
def often(server: Any) -> Iterator[Any]:
    """The server with a check after every second group."""
    context = server.context
    before, context.settings = context.settings, replace(context.settings, check_every=EVERY)
    context.team = TimedCache(0.0)
    yield server
    context.settings = before


def by_taste(taken: Any, taste: dict[str, int]) -> list[int]:
    return [taste[one["text"]] for one in taken["group"]["candidates"]]


def steadiness(owner: Any) -> dict[str, Any]:
    return {one["rater"]: one for one in owner.ok("GET", "/api/owner/steadiness")["raters"]}


def test_every_so_many_groups_one_is_known_then_one_is_ones_own(often: Any) -> None:
    for name in ("gold", *(f"g{n}" for n in range(8))):
        often.training.ok("POST", "/api/groups", group(name))
    owner = often.rater()
    assert owner.refused("PUT", "/api/owner/groups/gold/gold", {"is_gold": True}) == (409, "unrated")
    taken = owner.next(prefer="gold")
    owner.rate(taken, *by_taste(taken, TASTE))
    owner.ok("PUT", "/api/owner/groups/gold/gold", {"is_gold": True})

    ada, number = invited(often, owner)
    seen = []
    for _ in range(7):
        taken = ada.next()
        seen.append(taken["group"]["group_id"])
        assert taken["group"]["run"] in ("run", "")
        ada.rate(taken, *by_taste(taken, TASTE))
    kinds = ["check" if name.startswith("check-") else "new" for name in seen]
    assert kinds == ["new", "new", "check", "new", "new", "check", "new"]
    mine = steadiness(owner)[f"rater-{number}"]
    assert mine["known"] == {"mean": 1.0, "low": None, "high": None, "groups": 1}
    assert mine["again"]["groups"] == 1
    assert mine["again"]["mean"] == 1.0
    assert len(mine["months"]) == 1

    ben, other = invited(often, owner, "Ben")
    for _ in range(3):
        taken = ben.next()
        ben.rate(taken, *by_taste(taken, {"How?": 1, "Why?": 3, "When?": 5}))
    assert steadiness(owner)[f"rater-{other}"]["known"]["mean"] == -1.0  # the other way round


def test_a_check_is_for_one_rater_and_no_work_for_others(often: Any) -> None:
    for name in ("gold", "g1", "g2"):
        often.training.ok("POST", "/api/groups", group(name))
    owner = often.rater()
    owner.rate(owner.next(prefer="gold"), 5, 3, 1)
    owner.ok("PUT", "/api/owner/groups/gold/gold", {"is_gold": True})
    ada, _ = invited(often, owner)
    for _ in range(EVERY):
        ada.rate(ada.next(), 4)
    check = ada.next()
    assert check["group"]["group_id"].startswith("check-")
    ada.ok("POST", ada.lease("release", check))
    ben, _ = invited(often, owner, "Ben")
    assert ben.next()["reason"] == "empty"
    assert ben.ok("GET", "/api/rate/progress")["queue"]["pending"] == 0
    again = ada.next()
    assert again["group"]["group_id"] == check["group"]["group_id"]
    ada.ok("POST", ada.lease("skip", again), {"reason": "other"})
    assert ada.next()["reason"] == "empty"
    assert often.training.ok("GET", f"/api/groups/{check['group']['group_id']}")["status"] == "skipped"


def test_only_owners_see_it(often: Any) -> None:
    ada, _ = invited(often, often.rater())
    assert ada.refused("GET", "/api/owner/steadiness") == (403, "owner_only")
    assert ada.refused("PUT", "/api/owner/groups/g/gold", {"is_gold": True}) == (403, "owner_only")


def test_others_are_compared_on_shared_groups_with_an_interval(server: Any) -> None:
    for name in ("a", "b", "c"):
        server.training.ok("POST", "/api/groups", group(name, overlap=2))
    owner = server.rater()
    (ada, one), (ben, _) = invited(server, owner), invited(server, owner, "Ben")
    turned = {"How?": 1, "Why?": 3, "When?": 5}
    for name, taste in (("a", TASTE), ("b", TASTE), ("c", turned)):
        for person, opinion in ((ada, TASTE), (ben, taste)):
            taken = person.next(prefer=name)
            person.rate(taken, *by_taste(taken, opinion))
    found = steadiness(owner)[f"rater-{one}"]
    assert found["known"] is None
    assert found["others"]["mean"] == pytest.approx(1 / 3)
    assert (found["others"]["low"], found["others"]["high"]) == (pytest.approx(1 / 3 - 1.96 * 2 / 3), 1.0)
