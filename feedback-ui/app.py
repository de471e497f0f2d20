"""The feedback server: people rate groups of questions, training waits for the ratings.

    cd feedback-ui && pip install -r requirements.txt && uvicorn app:app --port 8000

Reading order: `database.py` (what is stored), `feedback/groups.py`, `leases.py`, `ratings.py` (what happens to a group),
`feedback/views.py` (what training gets), `feedback/safety.py` and `accounts.py` (who may do what), `feedback/routes/`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from types import FrameType
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from database import Database
from feedback import half_open, pages
from feedback.access import Changes, Context, Shared
from feedback.accounts import load_keys
from feedback.errors import Refusal
from feedback.models.owner import Health
from feedback.routes import bank, owner, practice, queue, rating, stats, training, writing
from feedback.safety import Guard, refused
from feedback.settings import FOLDER, Settings
from generator import QuestionGenerator
from recruiter.errors import RecruiterError
from recruiter.files import load_environment
from recruiter.report import ELEMENTS
from recruiter.rubric import load_rubric

log = logging.getLogger(__name__)
VERSION = version("recruiter")
MET = (  # codes of a row that another call stored or deleted at the same moment
    "23503", "23505", "SQLITE_CONSTRAINT_FOREIGNKEY", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE",
)  # fmt: skip


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; settings come from the environment when it starts, unless given."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        load_environment()
        chosen = settings or Settings.from_environment()
        rubric = load_rubric(chosen.rubric)
        database = Database(chosen.database_url)
        try:
            database.upgrade()
            keys, generator = load_keys(database, chosen), QuestionGenerator(chosen.model)
            context = Context(chosen, rubric, database, keys, Changes(), asyncio.Event(), generator)
            database.listeners.append(context.changes.notify)
            app.state.context = context
            _end_long_polls_on_stop(context)
            yield
            generator.close()
        finally:
            database.close()

    app = FastAPI(
        title="Question Generation RL: human feedback",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for module in (pages, training, queue, rating, practice, writing, bank, stats, owner):
        app.include_router(module.router)
    app.mount("/static/elements", StaticFiles(directory=ELEMENTS))
    app.mount("/static", StaticFiles(directory=FOLDER / "static", check_dir=False))
    app.add_api_route("/api/health", health, tags=["health"])
    app.add_exception_handler(Refusal, _explain)
    app.add_exception_handler(HTTPException, _explain)
    app.add_exception_handler(RequestValidationError, _explain)
    app.add_exception_handler(sa.exc.OperationalError, _explain)
    app.add_exception_handler(sa.exc.IntegrityError, _explain)
    app.add_middleware(Guard)
    half_open.install()
    app.add_middleware(StartInOneSentence)
    return app


def health(context: Shared) -> Health:
    """Whether the server and its database answer."""
    with context.database.read() as c:
        c.execute(sa.select(1))
    return Health(status="ok", version=VERSION)


class StartInOneSentence:
    """ASGI middleware: what a user can mend ends the start with one sentence instead of a stack trace."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; shorten the report of a start that failed."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        failure: list[Message] = []

        async def hold_failure(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                failure.append(message)
            else:
                await send(message)

        try:
            await self.app(scope, receive, hold_failure)
        except RecruiterError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        except BaseException:
            for message in failure:
                await send(message)
            raise


def _explain(request: Request, error: Exception) -> Response:
    """Every error has a body with a reason: JSON, or a page where a browser asked for one."""
    refusal = _refusal(error)
    if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
        return pages.error_page(refusal)
    return refused(refusal)


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, sa.exc.OperationalError):
        log.error("The database did not do what was asked: %s", error.orig)
        return Refusal(503, "database", "The database is busy or away; try again in a moment.", {"Retry-After": "1"})
    if isinstance(error, sa.exc.IntegrityError) and _code(error.orig) in MET:
        log.warning("Two calls met: %s", error.orig)
        return Refusal(409, "changed", "Somebody else stored or deleted this at the same moment: load it again.")
    if isinstance(error, RequestValidationError):
        return Refusal(422, "invalid", _first_fault(error))
    if isinstance(error, HTTPException) and error.status_code == 400:
        return Refusal(422, "invalid", "The body is not JSON in UTF-8.")
    if isinstance(error, HTTPException):
        what = {404: "There is nothing at this address.", 405: "This address does not take this method."}
        message = what.get(error.status_code, str(error.detail))
        return Refusal(error.status_code, "http", message, dict(error.headers or {}))
    raise error


def _code(error: BaseException | None) -> str | None:
    """What a database calls an error: PostgreSQL's number, SQLite's name."""
    return getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)


def _first_fault(error: RequestValidationError) -> str:
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    return f"{where}: {first['msg']}."


def _end_long_polls_on_stop(context: Context) -> None:
    """A server that is asked to stop waits for its requests; those that only wait are told to return."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)

        def stop(number: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(context.stopping.set)
            context.changes.notify()
            if callable(before):
                before(number, frame)

        signal.signal(number, stop)


app = create_app()
