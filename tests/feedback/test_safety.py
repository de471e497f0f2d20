"""What the server stands: other sites' pages, floods, large and slow bodies; and what it never says."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.datastructures import Headers

import database as db
from feedback.errors import Refusal
from feedback.half_open import HEAD_SECONDS
from feedback.safety import MAX_BODY, RateLimit, limited_body

from .conftest import FAR, KEY, group, invite
from .load import ServerProcess


@pytest.fixture
def database_url(sqlite_file: Path, tmp_path: Path) -> str:
    """What is tested here does not depend on the kind of database."""
    return f"sqlite:///{shutil.copy(sqlite_file, tmp_path / 'feedback.db')}"


# ---- through other sites' pages --------------------------------------------------------------------------------------


def test_changes_need_the_csrf_token_of_the_same_rater(server: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g"))
    rater, other = server.rater(), server.rater()
    rater.headers["X-CSRF-Token"] = other.headers["X-CSRF-Token"]
    assert rater.refused("POST", "/api/rate/next", {}) == (403, "csrf")
    assert server.person().refused("POST", "/api/rate/next", {}) == (403, "csrf")


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_other_sites_change_nothing(server: Any, headers: dict[str, Any]) -> None:
    assert server.training.refused("POST", "/api/groups", group("g"), **headers) == (403, "foreign_origin")
    assert server.training.call("POST", "/api/groups", group("g"), Origin="http://localhost").status_code == 201


# ---- limits and headers ----------------------------------------------------------------------------------------------


def test_large_bodies_are_refused_before_they_are_read(server: Any) -> None:
    body = {**group("g"), "questions": ["x" * MAX_BODY]}
    assert server.training.refused("POST", "/api/groups", body) == (413, "too_large")
    chunks = (b"x" * 100_000 for _ in range(MAX_BODY // 100_000 + 2))
    assert server.training.http.post("/api/groups", content=chunks).status_code == 413
    assert server.training.http.post("/api/groups", content=b"{}", headers={"Content-Length": "x"}).status_code >= 400


def test_long_body_gets_an_answer_from_a_real_server(tmp_path: Path) -> None:
    """A connection that is closed while somebody still sends is a reset for them, and no answer."""
    with (tmp_path / "server.log").open("wb") as log:
        process = ServerProcess(f"sqlite:///{tmp_path / 'feedback.db'}", log)
        process.start()
        try:
            for size in (MAX_BODY + 1, 8 * MAX_BODY):
                for _ in range(10):
                    call = urllib.request.Request(
                        f"http://127.0.0.1:{process.port}/api/groups", b"x" * size, method="POST"
                    )
                    with pytest.raises(urllib.error.HTTPError) as caught:
                        urllib.request.urlopen(call, timeout=20)
                    with caught.value as refused:
                        assert refused.code == 413
                        assert json.load(refused)["error"]["code"] == "too_large"
        finally:
            process.stop()


def test_half_open_requests_do_not_stay(tmp_path: Path) -> None:
    """Heads and bodies that never end; and one who asks slowly but in time, and again on the same connection."""
    with (tmp_path / "server.log").open("wb") as log:
        process = ServerProcess(f"sqlite:///{tmp_path / 'feedback.db'}", log)
        process.start()
        opened = ExitStack()
        try:
            silent, slow = [], opened.enter_context(socket.create_connection(("127.0.0.1", process.port)))
            for part in (b"", b"GET / HT", b"GET /api/health HTTP/1.1\r\nHost: x\r\n"):
                for _ in range(20):
                    silent.append(opened.enter_context(socket.create_connection(("127.0.0.1", process.port))))
                    silent[-1].sendall(part)
            for _ in range(2):
                slow.sendall(b"GET /api/health HTTP/1.1\r\n")
                time.sleep(1)
                slow.sendall(b"Host: localhost\r\n\r\n")
                assert slow.recv(100).startswith(b"HTTP/1.1 200")
                while slow.recv(10_000)[-1:] != b"}":
                    pass
            slow.sendall(b"GET /api/hea")  # the head of a third request, which never ends
            start = time.monotonic()
            for each in (*silent, slow):
                each.settimeout(2.5 * HEAD_SECONDS)
                assert each.recv(10) == b""
            assert time.monotonic() - start < 2.5 * HEAD_SECONDS
            assert b"Traceback" not in (tmp_path / "server.log").read_bytes()
        finally:
            opened.close()
            process.stop()


def test_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("feedback.safety.PIECE_SECONDS", 0.2)

    async def half_open() -> None:
        async def never() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {}

        await limited_body(Headers({"content-length": "100"}), never)

    start = time.monotonic()
    with pytest.raises(Refusal, match="in time") as caught:
        asyncio.run(half_open())
    assert caught.value.status == 408
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u200b", "\u2060\ufeff", "\u3164", "\u2800 \u00ad"])
def test_question_that_shows_nothing_is_refused(server: Any, blank: str) -> None:
    assert server.training.refused("POST", "/api/queue/submit", {"request_id": "q", "question": blank})[0] == 422
    assert server.training.refused("POST", "/api/groups", group("g", blank, blank))[0] == 422
    server.training.ok("POST", "/api/groups", group("h", blank, "Why?"))  # a model wrote nothing once


@pytest.mark.parametrize("name", ["Ada\x07", "A\nB", "A\u202eB", "\x9f", "A\u2028B"])
def test_names_hold_no_control_characters(server: Any, name: str) -> None:
    assert server.rater().refused("POST", "/api/owner/raters", {"name": name}) == (422, "invalid")
    server.rater().ok("POST", "/api/owner/raters", {"name": "Åsa O'Neil-Łuk, 山田"})


def test_database_file_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    for mode, expected in ((None, 0o600), (0o666, 0o660)):
        if mode is not None:
            path.chmod(mode)
        database = db.Database(f"sqlite:///{path}")
        database.upgrade()
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        database.close()
        assert modes["feedback.db"] == expected
        assert not any(mode & 0o007 for mode in modes.values())


def test_floods_are_slowed_down(server: Any) -> None:
    clock = [0.0]
    limit = RateLimit(rate=2, burst=3, clock=lambda: clock[0])
    for _ in range(3):
        limit.take("a")
    with pytest.raises(Refusal, match="wait") as caught:
        limit.take("a")
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "1")
    limit.take("b")
    for clock[0] in (0.2, 0.4):  # what is refused uses nothing up
        with pytest.raises(Refusal):
            limit.take("a")
    clock[0] = 0.5
    limit.take("a")
    far = server.person(FAR, "x")
    statuses = [far.call("POST", "/api/session", {"token": "guess"}).status_code for _ in range(15)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_every_answer_has_the_security_headers(server: Any) -> None:
    for path in ("/api/health", "/api/nothing", "/static/nothing.js", "/openapi.json"):
        headers = server.training.http.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert server.training.http.get("/api/health").headers["cache-control"] == "no-store"
    assert server.training.http.get("/static/x.js").headers["cache-control"] == "no-cache"
    assert "immutable" in server.training.http.get("/static/x.js?v=1").headers["cache-control"]


def test_secrets_stand_in_no_log_and_no_error(server: Any, far: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, _, token = invite(server)
    answers = [
        far.call("POST", "/api/session", {"token": token}).text,
        far.call("GET", "/api/groups/g", Authorization=f"Bearer {KEY}").text,
        far.call("GET", "/api/groups/g", Authorization=f"Bearer {KEY}x").text,
    ]
    for text in (*answers, caplog.text, repr(server.settings)):
        assert KEY not in text
        assert token not in text


def test_mistakes_of_the_server_are_answered_with_a_reason(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr("feedback.views.view_groups", broken)
    answer = server.training.call("GET", "/api/groups/g")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "inside" not in answer.text


def test_database_that_is_away_is_said_to_be(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    failure = sa.exc.OperationalError("SELECT secret", {"key": KEY}, Exception("deadlock detected"))

    @contextmanager
    def away() -> Iterator[None]:
        raise failure
        yield

    server.context.database.read = away
    answer = server.training.call("GET", "/api/groups/g")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database")
    assert answer.headers["retry-after"] == "1"
    assert "deadlock detected" in caplog.text
    assert KEY not in caplog.text
