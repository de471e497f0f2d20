"""Two calls that store the same thing at the same moment: one answer is right, and the other one says so or is the same."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import bank
from feedback.accounts import load_keys
from feedback.models.bank import EditIn
from recruiter.roles import Role

from .conftest import ROLE, answer, group, hand_in, stored
from .test_bank import OTHER, TEXT, keep, question

CALLS = 4


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls return that start at the same moment."""
    found: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(place: int) -> None:
        start.wait()
        found[place] = calls[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def while_open(server: Any, hold: Callable[[sa.Connection], Any], call: Callable[[], Any]) -> Any:
    """What a call returns that begins after `hold` has run in a transaction and before that is committed."""
    found: list[Any] = []
    other = threading.Thread(target=lambda: found.append(call()))
    with server.context.database.write() as c:
        hold(c)
        other.start()
        time.sleep(0.5)  # it waits for the transaction, in the database or in the queue of writers
        assert not found
    other.join()
    return found[0]


def test_the_same_question_is_kept_by_one_of_two(server: Any) -> None:
    people = [server.rater() for _ in range(CALLS)]
    for number in range(10):
        same = question(f"{TEXT} {number}")
        kept = at_once(*(partial(p.call, "POST", "/api/bank", same) for p in people))
        assert [one.status_code for one in kept] == [201] * CALLS  # a call that came again
        assert len({one.json()["question"]["id"] for one in kept}) == 1
        asked = [question(f"{OTHER} {number}", request_id=f"q{number}-{place}") for place in range(CALLS)]
        kept = at_once(*(partial(p.call, "POST", "/api/bank", b) for p, b in zip(people, asked, strict=True)))
        assert sorted(one.status_code for one in kept) == [201, *[409] * (CALLS - 1)]
    assert stored(server, db.bank) == 20


def test_a_question_that_another_call_is_keeping_is_known(server: Any, rater: Any) -> None:
    kept = bank.Kept(Role.model_validate(ROLE), TEXT)
    mine = lambda c: bank.keep(c, kept, None, 1.0, "first")  # noqa: E731
    assert while_open(server, mine, lambda: rater.refused("POST", "/api/bank", question(TEXT))) == (409, "known")


def test_a_text_that_is_edited_away_while_it_is_kept_can_be_kept(server: Any, rater: Any) -> None:
    key = keep(rater, OTHER)["id"]

    def free(c: sa.Connection) -> None:
        bank.edit(c, key, EditIn(version=1, text=f"{OTHER} Name one."), None, 2.0)

    assert while_open(server, free, lambda: keep(rater, OTHER, request_id="second"))["text"] == OTHER


def test_two_edits_to_one_text_leave_it_once(server: Any) -> None:
    people = [server.rater() for _ in range(CALLS)]
    for number in range(10):
        keys = [keep(people[0], f"{OTHER} {number} {place}")["id"] for place in range(CALLS)]
        body = {"version": 1, "text": f"{TEXT} {number}"}
        edits = at_once(*(partial(p.call, "PATCH", f"/api/bank/{k}", body) for p, k in zip(people, keys, strict=True)))
        assert sorted(one.status_code for one in edits) == [200, *[409] * (CALLS - 1)]
        assert {one.json()["error"]["code"] for one in edits if one.status_code == 409} == {"known"}


def test_a_set_is_noted_once(server: Any) -> None:
    people = [server.rater() for _ in range(CALLS)]
    key = keep(people[0])["id"]
    body = {"request_id": "u1", "name": "Monday", "role_title": "SRE", "questions": [key]}
    noted = at_once(*(partial(p.call, "POST", "/api/bank/uses", body) for p in people))
    assert [one.status_code for one in noted] == [201] * CALLS
    assert people[0].ok("GET", f"/api/bank/{key}")["question"]["uses"] == 1


def test_a_rating_or_a_skip_that_comes_twice_at_once_is_stored_once(server: Any, rater: Any) -> None:
    """Each call has a connection of its own, as two of a browser have."""
    twins = [server.person() for _ in range(CALLS)]
    for twin in twins:
        twin.headers, twin.http.cookies = rater.headers, rater.http.cookies
    for name, action in (("a", "submit"), ("b", "skip")):
        hand_in(server, name)
        taken = rater.next()
        body = answer(taken, 4) if action == "submit" else {"reason": "unclear_role"}
        path = rater.lease(action, taken)
        done = at_once(*(partial(p.call, "POST", path, body) for p in twins))
        assert [one.status_code for one in done] == [200] * CALLS, done[-1].text
    assert (stored(server, db.ratings), stored(server, db.skips)) == (1, 1)


def test_a_group_that_is_handed_in_twice_at_once_is_there_once(server: Any) -> None:
    people = [server.person() for _ in range(CALLS)]
    got = at_once(*(partial(p.call, "POST", "/api/groups", group("g")) for p in people))
    assert sorted(one.status_code for one in got) == [200] * (CALLS - 1) + [201]
    bodies = [{"judge": "xai", "scores": [dict.fromkeys(("relevance", "clarity", "discriminative"), 5.0)] * 3}] * CALLS
    got = at_once(*(partial(p.call, "POST", "/api/groups/g/judge", b) for p, b in zip(people, bodies, strict=True)))
    assert [one.status_code for one in got] == [200] * CALLS
    reports = at_once(
        *(partial(p.call, "PUT", "/api/runs/r", {"step": 1, "total_steps": 2, "state": "sampling"}) for p in people)
    )
    assert [one.status_code for one in reports] == [200] * CALLS, reports[0].text


def test_a_group_that_is_deleted_while_it_is_rated_is_gone(server: Any, rater: Any) -> None:
    hand_in(server, "g")
    taken = rater.next()

    def delete(c: sa.Connection) -> None:
        c.execute(sa.delete(db.groups).where(db.groups.c.group_id == "g"))

    submit = rater.lease("submit", taken)
    assert while_open(server, delete, lambda: rater.refused("POST", submit, answer(taken, 3))) == (404, "gone")


def test_who_is_erased_while_they_keep_something_is_told_to_load_again(server: Any, rater: Any) -> None:
    def erase(c: sa.Connection) -> None:
        c.execute(sa.delete(db.raters))

    assert while_open(server, erase, lambda: rater.refused("POST", "/api/bank", question())) == (409, "changed")
    assert stored(server, db.bank) == 0


def test_files_that_come_in_at_once_make_one_rater_of_a_person_and_wait_for_each_other(server: Any) -> None:
    owners = [server.rater() for _ in range(2)]
    stars = dict.fromkeys(("relevance", "clarity", "discriminative"), 3)
    for number in range(5):
        rows = [{"group_id": f"g{number}-{n}", "question": "How?", "rater": f"ada-{number}", **stars} for n in range(6)]
        texts = ["".join(json.dumps(row) + "\n" for row in part) for part in (rows[:4], rows[:1:-1])]
        made = at_once(
            *(
                partial(p.call, "POST", "/api/owner/import", {"format": "jsonl", "text": text})
                for p, text in zip(owners, texts, strict=True)
            )
        )
        assert [one.status_code for one in made] == [201, 201], made
    with server.context.database.read() as c:
        names = c.execute(sa.select(db.raters.c.label).where(db.raters.c.label.contains("imported"))).scalars().all()
    assert sorted(names) == [f"ada-{number} (imported)" for number in range(5)]
    assert stored(server, db.ratings) == 30


def test_the_first_workers_of_a_server_agree_on_its_secret(server: Any) -> None:
    with server.context.database.write() as c:
        c.execute(sa.delete(db.secrets))
    load = lambda: load_keys(server.context.database, server.settings).cookie  # noqa: E731
    assert len(set(at_once(*[load] * CALLS))) == 1
