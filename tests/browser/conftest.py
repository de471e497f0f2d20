"""A real browser in front of the real server: one process of each for all tests, a rater of their own for each test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import Error as BrowserError

from recruiter.roles import Role
from tests import REPOSITORY

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP elsewhere.test 127.0.0.1",
]  # fmt: skip
PATIENCE = 20_000  # milliseconds; beside other tests a page may take long for what it does at once on an idle machine
LEASE_SECONDS = 5.0  # short, so that a test can see one run out
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 850}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


expect.set_options(timeout=PATIENCE)


def find_browser() -> str | None:
    """Chromium of the system; None: Playwright's own."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="package")  # its event loop must not outlive the folder: other tests start their own
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        except BrowserError as error:
            pytest.fail(
                "These tests need Chromium: `apt-get install chromium` or `python -m playwright install chromium`. "
                f"It could not be started: {error.message.splitlines()[0]}",
                pytrace=False,
            )
        yield started
        started.close()


@dataclass
class Server:
    """A running feedback server, and the calls that training makes."""

    url: str
    process: subprocess.Popen[bytes]
    role: Callable[..., Role]
    client: httpx.Client = field(init=False)
    groups: list[str] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=10)

    def add(self, *questions: str, **fields: object) -> str:
        """Hand in a group; returns its id."""
        group_id = f"group-{uuid.uuid4().hex[:12]}"
        body = {
            "group_id": group_id, "run": "test-run", "policy_step": 3, "role": self.role(7).model_dump(mode="json"),
            "questions": questions or QUESTIONS, **fields,
        }  # fmt: skip
        self.client.post("/api/groups", json=body).raise_for_status()
        self.groups.append(group_id)
        return group_id

    def view(self, group_id: str) -> dict[str, Any]:
        """The group as training sees it."""
        return self.client.get(f"/api/groups/{group_id}").raise_for_status().json()

    def post(self, path: str, **body: object) -> dict[str, Any]:
        """Any other call of training."""
        return self.client.post(path, json=body).raise_for_status().json()

    def report(self, run: str, **fields: object) -> None:
        """What a run says of itself."""
        self.runs.add(run)
        body = {"step": 1, "total_steps": 1, "state": "done", **fields}
        self.client.put(f"/api/runs/{run}", json=body).raise_for_status()

    def clear(self) -> None:
        """Take what was handed in out of the queue, and let no run wait."""
        if self.groups:
            self.post("/api/groups/cancel", ids=self.groups)
        for run in self.runs:
            self.report(run)


QUESTIONS = ["How would you keep the queue short?", "What is Python?", "Why does an index on (a, b) not help b alone?"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(port: int, folder: Path, **settings: str) -> subprocess.Popen[bytes]:
    """The server as a user starts it."""
    environment = {
        **os.environ, "DATABASE_URL": f"sqlite:///{folder / 'feedback.db'}", "FEEDBACK_LEASE_SECONDS": f"{LEASE_SECONDS}",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")]), **settings,
    }  # fmt: skip
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY / "feedback-ui", env=environment, stdout=log, stderr=log)
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/health").raise_for_status()
            return process
        except httpx.HTTPError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError(f"the server did not start: {(folder / 'server.log').read_text()[-2000:]}")


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port, folder = free_port(), tmp_path_factory.mktemp("feedback")
    process = start(port, folder, FEEDBACK_MODEL=str(folder / "no-model"))
    yield f"http://127.0.0.1:{port}", process
    process.terminate()
    process.wait(20)


@pytest.fixture
def server(server_process: tuple[str, subprocess.Popen[bytes]], role: Callable[..., Role]) -> Iterator[Server]:
    """The server with an empty queue."""
    running = Server(*server_process, role)
    yield running
    running.clear()
    running.client.close()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """`visit("/stats", **PHONE)` opens a page as a rater nobody has seen before. Errors of scripts fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def opened(path: str = "/", **options: Any) -> Page:
        context = browser.new_context(**{**DESKTOP, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
        page.goto(server.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors
