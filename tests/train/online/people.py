"""The real feedback server on loopback, and scripted people who rate through its HTTP API."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx2

from recruiter.rubric import Judgement, rating_to_score
from tests import REPOSITORY
from tests.scoring import RUBRIC

Stars = dict[str, int]


def stars_of(text: str) -> Stars:
    """What the scripted people think of a question: a function of its text."""
    return {name: zlib.crc32(f"{name} {text}".encode()) % 5 + 1 for name in RUBRIC.names}


def judged(stars: Stars) -> Judgement:
    """The judgement that ratings mean."""
    return Judgement(RUBRIC.scores({name: rating_to_score(value) for name, value in stars.items()}))


class Server:
    """The server as a process of its own, on one port and one database file over all its lives."""

    def __init__(self, folder: Path, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        path = f"{REPOSITORY / 'src'}:{os.environ.get('PYTHONPATH', '')}"
        self._environment = {
            **os.environ, "DATABASE_URL": f"sqlite:///{folder / 'feedback.db'}", "PYTHONPATH": path, **environment,
        }  # fmt: skip
        self._log = (folder / "server.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(self.port), "--log-level", "warning"]
        folder = REPOSITORY / "feedback-ui"
        self._process = subprocess.Popen(command, cwd=folder, env=self._environment, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx2.get(f"{self.url}/api/health", trust_env=False).status_code == 200:
                    return self
            except httpx2.TransportError:
                assert self._process.poll() is None, "the server ended; see server.log"
                time.sleep(0.05)
        raise TimeoutError("the server did not start")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the process as a person would, or with SIGKILL."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=20)
            self._process = None

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self._log.close()


class Person:
    """One rater: a cookie, a CSRF token, and opinions."""

    def __init__(self, url: str, opinion: Callable[[str], Stars] = stars_of) -> None:
        self.opinion = opinion
        self.http = httpx2.Client(base_url=url, trust_env=False, timeout=20)
        weakref.finalize(self, self.http.close)
        self.http.headers["X-CSRF-Token"] = self.get("/api/session")["csrf_token"]
        self.seen: list[str] = []  # ids of the groups that were on the screen, in order

    def get(self, path: str) -> Any:
        return self.http.get(path).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:
        return self.http.post(path, json=body).raise_for_status().json()

    def open(self, prefer: str | None = None) -> dict[str, Any] | None:
        """What the page shows next; None: nothing is there."""
        shown = self.post("/api/rate/next", {"prefer": prefer} if prefer else {})
        if shown["lease"] is None:
            return None
        self.seen.append(shown["group"]["group_id"])
        return shown

    def submit(self, shown: dict[str, Any], all_equal: bool = False) -> dict[str, Any]:
        stars = {c["candidate_id"]: self.opinion(c["text"]) for c in shown["group"]["candidates"]}
        if all_equal:
            stars = dict(list(stars.items())[:1])
        return self.post(f"/api/rate/leases/{shown['lease']['id']}/submit", {"ratings": stars, "all_equal": all_equal})

    def skip(self, shown: dict[str, Any], reason: str = "broken_text") -> None:
        self.post(f"/api/rate/leases/{shown['lease']['id']}/skip", {"reason": reason})

    def rate(self, groups: int, within: float = 60.0) -> None:
        """Rate so many groups, waiting for them to come."""
        deadline = time.monotonic() + within
        while groups:
            shown = self.open()
            if shown is None:
                assert time.monotonic() < deadline, "no group came"
                time.sleep(0.02)
                continue
            self.submit(shown)
            groups -= 1


class Crowd:
    """Somebody who handles every group that comes, in a thread, until the block ends.

    Attributes:
        handle: what is done with a group on the screen; by default it is rated.
        handled: ids of the groups that this was done with.
    """

    def __init__(
        self, url: str, handle: Callable[[Person, dict[str, Any]], Any] | None = None, pause: float = 0.03
    ) -> None:
        self.person, self._pause = Person(url), pause
        self.handle = handle or Person.submit
        self.handled: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                shown = self.person.open()
                if shown is not None:
                    self.handle(self.person, shown)
                    self.handled.append(shown["group"]["group_id"])
                    continue
            except httpx2.HTTPError:  # the server is away; a person tries again
                pass
            self._stop.wait(self._pause)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=20)
