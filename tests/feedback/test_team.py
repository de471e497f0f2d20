"""Who is there, what they know, how they come in by a proxy, and what is told when training waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import create_app
from feedback.access import TimedCache
from feedback.settings import Settings
from recruiter.errors import ConfigError

from .conftest import FAR, ROLE, Person, group
from .test_erasing import invited

PROXY = ("10.0.0.7", 4000)


def test_a_person_is_renamed_and_gets_a_new_link(server: Any) -> None:
    owner = server.rater()
    ada, number = invited(server, owner)
    owner.ok("PATCH", f"/api/owner/raters/{number}", {"name": "Ada L.", "fields": ["queues"]})
    (row,) = [one for one in owner.ok("GET", "/api/owner/raters")["raters"] if one["id"] == number]
    assert (row["name"], row["fields"]) == ("Ada L.", ["queues"])
    made = owner.ok("POST", f"/api/owner/raters/{number}/link")
    assert ada.refused("GET", "/api/rate/progress") == (401, "sign_in")
    fresh = server.person(FAR, "ratings.example")
    assert fresh.ok("POST", "/api/session", {"token": made["path"].partition("#")[2]})["name"] == "Ada L."
    assert owner.refused("POST", "/api/owner/raters/999/link") == (404, "not_found")
    assert owner.refused("PATCH", "/api/owner/raters/999", {"name": "x"}) == (404, "not_found")


def test_groups_come_first_to_those_who_know_the_field(server: Any) -> None:
    for name, focus in (("a", "payments"), ("b", "Queues"), ("c", "payments")):
        server.training.ok("POST", "/api/groups", group(name, role={**ROLE, "focus": focus}))
    owner = server.rater()
    ada, number = invited(server, owner)
    owner.ok("PATCH", f"/api/owner/raters/{number}", {"fields": ["queues"]})
    order = []
    for _ in range(3):
        taken = ada.next()
        order.append(taken["group"]["group_id"])
        ada.rate(taken, 3)
    assert order == ["b", "a", "c"]


def test_owners_see_who_is_on(server: Any, later: Any) -> None:
    owner = server.rater()
    ada, number = invited(server, owner)
    ada.next()

    def here() -> bool:
        return next(one["is_here"] for one in owner.ok("GET", "/api/owner/raters")["raters"] if one["id"] == number)

    assert here()
    later(400)
    assert not here()


def test_progress_of_the_step_and_when_it_will_be_done(server: Any, later: Any) -> None:
    names = [f"g{n}" for n in range(8)]
    for name in names:
        server.training.ok("POST", "/api/groups", group(name))
    rater = server.rater()
    report = {"step": 3, "total_steps": 9, "state": "waiting", "waiting_groups": names}
    server.training.ok("PUT", "/api/runs/run", report)
    server.context.team = TimedCache(0.0)
    assert rater.ok("GET", "/api/rate/progress")["waiting"]["minutes_left"] is None
    for _ in range(5):
        taken = rater.next()
        later(120)
        rater.ok("POST", rater.lease("heartbeat", taken))
        rater.rate(taken, 1, 2, 3)
    server.training.ok("PUT", "/api/runs/run", report)
    waiting = rater.ok("GET", "/api/rate/progress")["waiting"]
    assert (waiting["groups_waited_for"], waiting["groups_in_step"]) == (3, 8)
    assert waiting["minutes_left"] == pytest.approx(6, abs=0.2)


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    """A server that keeps what is posted to it."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if "fails" in self.path else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    running = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", got
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize("path", ["/hook", "/fails"])
def test_a_webhook_is_told_once_a_step(tmp_path: Path, hook: tuple[str, list[Any]], path: str) -> None:
    address, got = hook
    settings = Settings(database_url=f"sqlite:///{tmp_path}/f.db", webhook=address + path)
    with TestClient(create_app(settings), base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        for step in (1, 1, 2):
            body = {"step": step, "total_steps": 9, "state": "waiting", "waiting_groups": ["a", "b"]}
            assert client.put("/api/runs/nightly", json=body).status_code == 200
        assert client.put("/api/runs/nightly", json={**body, "state": "training"}).status_code == 200
        until = time.monotonic() + 10
        while len(got) < 2 and time.monotonic() < until:
            time.sleep(0.02)
    assert got == [
        {
            "text": f"Training nightly waits for ratings: 2 groups of step {step}.",
            "run": "nightly",
            "step": step,
            "groups": 2,
        }
        for step in (1, 2)
    ]


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Any]:
    settings = Settings.from_environment({
        "DATABASE_URL": f"sqlite:///{tmp_path}/f.db", "FEEDBACK_TRUSTED_PROXIES": "10.0.0.0/8",
        "FEEDBACK_USER_HEADER": "X-Forwarded-User", "FEEDBACK_OWNERS": "grace@example.org",
    })  # fmt: skip
    app = create_app(settings)
    with TestClient(app):
        yield app


def signed_on(app: Any, name: str, client: tuple[str, int] = PROXY) -> Person:
    person = Person(app, client, "ratings.example")
    person.headers["X-Forwarded-User"] = name
    return person


def test_a_trusted_proxy_signs_people_on(proxied: Any) -> None:
    ada, grace = signed_on(proxied, "ada@example.org"), signed_on(proxied, "grace@example.org")
    for person, role in ((ada, "rater"), (grace, "owner")):
        session = person.ok("GET", "/api/session")
        assert session["role"] == role
        person.headers["X-CSRF-Token"] = session["csrf_token"]
        assert person.next()["reason"] == "empty"
    assert ada.refused("GET", "/api/owner/raters") == (403, "owner_only")
    rows = {one["name"]: one for one in grace.ok("GET", "/api/owner/raters")["raters"]}
    assert {"ada@example.org", "grace@example.org"} <= set(rows)
    assert "Sign out" not in ada.http.get("/", headers=ada.headers).text
    grace.ok("DELETE", f"/api/owner/raters/{rows['ada@example.org']['id']}")
    assert ada.refused("GET", "/api/rate/progress") == (401, "sign_in")


def test_nobody_elses_word_counts(proxied: Any) -> None:
    for address in (FAR, ("127.0.0.1", 5000)):
        person = signed_on(proxied, "grace@example.org", address)
        assert person.refused("GET", "/api/session") == (401, "sign_in")
    assert signed_on(proxied, "").refused("GET", "/api/session") == (401, "sign_in")


def test_settings_that_cannot_work_are_refused() -> None:
    for name, value in (("FEEDBACK_USER_HEADER", "two words"), ("FEEDBACK_WEBHOOK", "chat.example.org")):
        with pytest.raises(ConfigError, match=name):
            Settings.from_environment({name: value})
