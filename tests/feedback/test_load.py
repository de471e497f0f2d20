"""Many raters at once, and a server that is killed while they work: what was acknowledged is there, exactly once."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import database as db

from .conftest import KEY, ROLE, group
from .load import CRITERIA, Caller, Notes, ServerProcess, p95, run_raters

CANDIDATES = 4


@pytest.fixture
def process(database_url: str, tmp_path: Path) -> Iterator[Any]:
    with (tmp_path / "server.log").open("wb") as log:
        server = ServerProcess(database_url, log, FEEDBACK_API_KEY=KEY)
        server.start()
        yield server
        server.stop()


def hand_in(server: Any, count: Any) -> None:
    training = Caller(server.port)
    for number in range(count):
        questions = [f"Question {q} of group {number}?" for q in range(CANDIDATES)]
        status, answer = training.persist("POST", "/api/groups", group(f"g{number}", *questions))
        assert status in (200, 201), answer


def check(database_url: Any, notes: Notes, count: int, before: int = 0) -> None:
    """Every acknowledged rating is stored once, as it was given; no group has two."""
    database = db.Database(database_url)
    given = sa.select(
        db.ratings.c.id, db.groups.c.group_id, db.questions.c.text, db.scores.c.criterion, db.scores.c.value
    )
    given = (
        given.join(db.groups, db.groups.c.id == db.ratings.c.group_id)
        .join(db.scores, db.scores.c.rating_id == db.ratings.c.id)
        .join(
            db.questions,
            (db.questions.c.group_id == db.groups.c.id) & (db.questions.c.candidate == db.scores.c.candidate),
        )
        .where(db.groups.c.run == "run")
    )
    stored: dict[tuple[int, str], dict[str, int]] = {}
    with database.read() as c:
        cells = c.execute(given).all()
        for rating, name, text, _, value in cells:
            assert stored.setdefault((rating, name), {}).setdefault(text, value) == value
        total = c.execute(sa.select(sa.func.count()).select_from(db.ratings)).scalar_one()
        left = c.execute(sa.select(sa.func.count()).where(db.leases.c.active)).scalar_one()
    database.close()
    assert not notes.errors
    assert {(rating, name): scores for rating, name, scores in notes.acknowledged} == stored
    assert max(Counter(name for _, name, _ in notes.acknowledged).values()) == 1
    assert Counter(cell[:3] for cell in cells).most_common()[-1][1] == len(CRITERIA)
    assert (len(stored), total, left) == (count, before + count, 0)


def test_killed_server_loses_and_doubles_nothing(database_url: str, process: Any) -> None:
    hand_in(process, 30)
    notes = run_raters(process, raters=8, think=0.02, kills=1, groups=30)
    check(database_url, notes, 30)


def test_waiting_training_does_not_hold_the_server_up(process: Any) -> None:
    hand_in(process, 1)
    training = Caller(process.port)
    body = {"ids": ["g0"], "timeout": 30, "known": {"g0": 1}}
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(training.call("POST", "/api/groups/wait", body)))
    waiting.start()
    time.sleep(0.5)
    start = time.monotonic()
    process.stop()
    assert time.monotonic() - start < 20
    waiting.join(timeout=30)
    assert answers[0][0] == 200
    process.start()


@pytest.mark.soak
def test_fifty_raters_a_thousand_groups_five_kills(
    database_url: str, process: Any, request: pytest.FixtureRequest
) -> None:
    if database_url.startswith("postgresql"):
        durable(request.getfixturevalue("postgres"))
    fill(database_url, 100_000)
    hand_in(process, 1000)
    notes = run_raters(process, raters=50, think=2.0, kills=5, groups=1000)
    check(database_url, notes, 1000, before=100_000)
    report(database_url, "five kills", notes)


@pytest.mark.soak
def test_answers_are_quick_at_fifty_raters(database_url: str, process: Any, request: pytest.FixtureRequest) -> None:
    if database_url.startswith("postgresql"):
        durable(request.getfixturevalue("postgres"))
    fill(database_url, 100_000)
    hand_in(process, 1000)
    notes = run_raters(process, raters=50, think=2.0, kills=0, groups=1000)
    check(database_url, notes, 1000, before=100_000)
    report(database_url, "no kill", notes)
    assert p95(notes.page) < 100
    assert p95(notes.submit) < 100


def report(database_url: str, what: str, notes: Notes) -> None:
    kind = database_url.partition(":")[0]
    print(
        f"\n{kind}, {what}: {len(notes.acknowledged)} groups; p95 of page {p95(notes.page):.0f} ms, of submit "
        f"{p95(notes.submit):.0f} ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def durable(postgres: Any) -> None:
    """Figures are taken with the disk waited for, as PostgreSQL does by default."""
    with postgres.admin.connect() as c:
        c.execute(sa.text("ALTER SYSTEM RESET fsync"))
        c.execute(sa.text("SELECT pg_reload_conf()"))


def fill(database_url: str, ratings: int) -> None:
    """Store ratings of the past: groups of four, each rated by one of 50 people."""
    database = db.Database(database_url)
    now, at_once = time.time(), 5000
    with database.write() as c:
        raters = [
            {"id": n, "label": "old", "role": "rater", "link": None, "created_at": now, "last_seen_at": 0.0}
            for n in range(1, 51)
        ]
        c.execute(sa.insert(db.raters), raters)
        if not database.is_sqlite:
            c.execute(sa.text("SELECT setval('raters_id_seq', 50)"))
        for first in range(0, ratings, at_once):
            keys = range(first + 1, first + at_once + 1)
            at = {key: now - (ratings - key) * 20.0 for key in keys}
            c.execute(sa.insert(db.groups), [
                {"id": key, "group_id": f"old-{key}", "content_hash": "", "run": f"old-{key % 5}", "policy_step": key // 16,
                 "role": ROLE, "role_title": ROLE["title"], "overlap": 1, "priority": 0, "status": "rated",
                 "available": False, "late": False, "lease_count": 0, "rating_count": 1, "version": 3,
                 "created_at": at[key], "closed_at": at[key]}
                for key in keys
            ])  # fmt: skip
            c.execute(sa.insert(db.questions), [
                {"group_id": key, "question_index": q, "candidate": q, "text": f"How would you mend fault {key} of {q}?"}
                for key in keys for q in range(CANDIDATES)
            ])  # fmt: skip
            c.execute(sa.insert(db.leases), [
                {"id": f"old-{key}", "group_id": key, "rater_id": key % 50 + 1, "active": False, "outcome": "submitted",
                 "shown": list(range(CANDIDATES)), "created_at": at[key] - 60, "expires_at": at[key], "ended_at": at[key]}
                for key in keys
            ])  # fmt: skip
            c.execute(sa.insert(db.ratings), [
                {"id": key, "group_id": key, "rater_id": key % 50 + 1, "lease_id": f"old-{key}", "revision": 1,
                 "all_equal": False, "created_at": at[key], "updated_at": at[key]}
                for key in keys
            ])  # fmt: skip
            c.execute(sa.insert(db.revisions), [
                {"rating_id": key, "revision": 1, "all_equal": False, "note": "", "unused": False, "created_at": at[key]}
                for key in keys
            ])  # fmt: skip
            c.execute(sa.insert(db.scores), [
                {"rating_id": key, "revision": 1, "candidate": q, "position": q + 1, "criterion": name,
                 "value": (key * 7 + q * 3 + i) % 5 + 1}
                for key in keys for q in range(CANDIDATES) for i, name in enumerate(CRITERIA)
            ])  # fmt: skip
        if not database.is_sqlite:
            for name in ("groups", "ratings"):
                c.execute(sa.text(f"SELECT setval('{name}_id_seq', {ratings})"))
    database.close()
