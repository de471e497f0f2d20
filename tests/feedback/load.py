"""Raters at work: many threads that rate over HTTP, and go on where they were when the server dies.

Everything that got an answer is noted, to be compared with what the database holds.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests import REPOSITORY

CRITERIA = ("relevance", "clarity", "discriminative")
GIVE_UP = 60.0  # seconds without an answer from the server


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class ServerProcess:
    """The server as a user starts it; it can be killed and started again on the same address."""

    def __init__(self, database_url: str, log: Any, **environment: str) -> None:
        self.port = free_port()
        self._log, self._environment = log, {"DATABASE_URL": database_url, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(self.port), "--log-level", "warning"]
        environment = {**os.environ, **self._environment}
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY / "feedback-ui", env=environment, stdout=self._log, stderr=self._log
        )
        until = time.monotonic() + GIVE_UP
        while time.monotonic() < until:
            try:
                if Caller(self.port).call("GET", "/api/health")[0] == 200:
                    return
            except OSError:
                assert self._process.poll() is None, "the server ended"
                time.sleep(0.05)
        raise AssertionError("the server did not start")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=30)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


class Caller:
    """One keep-alive connection with a cookie."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None
        self.headers: dict[str, str] = {}

    def __del__(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer.

        Raises:
            OSError: there is no answer.
        """
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=GIVE_UP)
        data = None if body is None else json.dumps(body)
        headers = {**self.headers, **({} if data is None else {"Content-Type": "application/json"})}
        try:
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._connection = None
            raise OSError(str(error)) from None
        if cookie := answer.getheader("set-cookie"):
            self.headers["Cookie"] = cookie.split(";")[0]
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()

    def persist(self, method: str, path: str, body: Any = None, times: list[float] | None = None) -> tuple[int, Any]:
        """Ask until there is an answer, through restarts of the server; `times` gets the seconds of answers at once."""
        until = time.monotonic() + GIVE_UP
        tries = 0
        while True:
            start = time.monotonic()
            try:
                answer = self.call(method, path, body)
                if times is not None and not tries:
                    times.append(time.monotonic() - start)
                return answer
            except OSError:
                tries += 1
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)


@dataclass
class Notes:
    """What raters noted.

    Attributes:
        acknowledged: (rating id, group id, scores by question text) of each submission that got a 2xx.
        page, submit: seconds of the answers.
        errors: answers that no rater should get.
    """

    acknowledged: list[tuple[int, str, dict[str, int]]] = field(default_factory=list)
    page: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)


def rate_until_empty(port: int, notes: Notes, think: float, seed: int, stop: threading.Event) -> None:
    """One rater: opens the page, thinks, submits, thinks, until nothing is left."""
    chance = random.Random(seed)
    caller = Caller(port)
    _, session = caller.persist("GET", "/api/session")
    caller.headers["X-CSRF-Token"] = session["csrf_token"]
    stop.wait(chance.random() * think * 2)
    notes.errors += [status for status in [caller.persist("GET", "/", None, notes.page)[0]] if status != 200]
    while not stop.is_set():
        status, taken = caller.persist("POST", "/api/rate/next", {}, notes.page)
        if status != 200:
            notes.errors.append((status, taken))
            return
        if taken["lease"] is None:
            if taken["reason"] == "empty":
                return
            stop.wait(min(think, 0.3))
            continue
        stop.wait(think)
        scores = {c["candidate_id"]: chance.randint(1, 5) for c in taken["group"]["candidates"]}
        body = {"ratings": {key: dict.fromkeys(CRITERIA, value) for key, value in scores.items()}}
        path = f"/api/rate/leases/{taken['lease']['id']}/submit"
        status, stored = caller.persist("POST", path, body, notes.submit)
        if status == 200:
            texts = {c["text"]: scores[c["candidate_id"]] for c in taken["group"]["candidates"]}
            notes.acknowledged.append((stored["rating_id"], taken["group"]["group_id"], texts))
        else:
            notes.errors.append((status, stored))
        stop.wait(think)


def run_raters(server: ServerProcess, raters: int, think: float, kills: int, groups: int) -> Notes:
    """Let raters work until all groups are rated; kill the server `kills` times, evenly spread over the groups."""
    notes, stop = Notes(), threading.Event()
    threads = [
        threading.Thread(target=rate_until_empty, args=(server.port, notes, think, seed, stop))
        for seed in range(raters)
    ]
    for thread in threads:
        thread.start()
    try:
        for kill in range(1, kills + 1):
            while len(notes.acknowledged) < groups * kill / (kills + 1):
                assert any(thread.is_alive() for thread in threads), f"the raters ended early: {notes.errors[:3]}"
                time.sleep(0.02)
            server.kill()
            server.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
    return notes


def p95(seconds: list[float]) -> float:
    """95th percentile in milliseconds."""
    return statistics.quantiles(seconds, n=20)[-1] * 1000
