"""What a route asks for: a rater, an owner, or training. FastAPI dependencies, and the things all routes share.

Dependencies that wait for nothing are coroutines: FastAPI runs the others in a thread each.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

from anyio import to_thread
from fastapi import Depends, Request, Response

import database as db
from feedback import accounts, runs, safety
from feedback.accounts import LOCAL, Keys, Rater
from feedback.errors import Refusal
from feedback.models.stats import Statistics
from feedback.settings import Settings
from generator import QuestionGenerator
from recruiter.rubric import Rubric

MOST_FIGURES = 100  # choices whose statistics are remembered
Figures = TypeVar("Figures")
SOMEBODY = Rater(0, "owner", LOCAL)  # on this machine, without a cookie: may look, and becomes a rater to rate


class Changes:
    """Wakes whoever waits for a group to change."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Something changed; called from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._fire)

    async def wait(self, seconds: float) -> None:
        """Return at the next change, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)

    def _fire(self) -> None:
        self._event.set()
        self._event = asyncio.Event()


class TimedCache(Generic[Figures]):
    """Figures that may be some seconds old. One thread computes them anew; the others get the old ones meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[float, Figures]] = {}

    def get(self, key: Hashable, compute: Callable[[], Figures]) -> Figures:
        """What was computed for `key` lately, or what is computed now."""
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] <= self._seconds:
            return known[1]
        if not self._lock.acquire(blocking=known is None) and known is not None:
            return known[1]
        try:
            known = self._known.get(key)  # another thread may have been first
            if known is None or time.monotonic() - known[0] > self._seconds:
                if len(self._known) > MOST_FIGURES:
                    self._known.clear()
                known = self._known[key] = (time.monotonic(), compute())
            return known[1]
        finally:
            self._lock.release()


@dataclass
class Context:
    """What the routes share: one for each application."""

    settings: Settings
    rubric: Rubric
    database: db.Database
    keys: Keys
    changes: Changes
    stopping: asyncio.Event
    generator: QuestionGenerator
    rater_limit: safety.RateLimit = field(default_factory=lambda: safety.RateLimit(rate=20, burst=100))
    sign_in_limit: safety.RateLimit = field(default_factory=lambda: safety.RateLimit(rate=0.2, burst=10))
    team: TimedCache[dict[str, Any]] = field(default_factory=lambda: TimedCache(seconds=2.0))
    statistics: TimedCache[Statistics] = field(default_factory=lambda: TimedCache(seconds=5.0))

    def progress(self, rater: int) -> dict[str, Any]:
        """A rater's figures beside the team's, which may be some seconds old."""

        def count() -> dict[str, Any]:
            with self.database.read() as c:
                return runs.counts(c, self.rubric, time.time())

        with self.database.read() as c:
            mine = runs.rated_by(c, rater, time.time())
        figures = self.team.get("team", count)
        team = {**figures["team"], **{name: max(mine[name], figures["team"][name]) for name in mine}}
        return {**figures, "mine": mine, "team": team}


def sign_in_needed() -> Refusal:
    """The 401 of whoever has no account here."""
    return Refusal(401, "sign_in", "Open the link that the owner of this server gave you; from here it needs one.")


def context_of(request: Request) -> Context:
    """The application's shared things."""
    context: Context = request.app.state.context
    return context


def visitor(request: Request) -> Rater | None:
    """Who is calling, if anybody may tell: whom a trusted proxy names; the rater of a cookie; on this machine somebody, an
    owner, without one.

    Whoever has the cookie of a link that was revoked is nobody, on this machine too.
    """
    context = context_of(request)
    if (account := safety.account_of(request, context.settings)) is not None:
        with context.database.read() as c:
            return accounts.by_account(c, account, account in context.settings.owners)
    local = safety.is_local(request, context.settings)
    known = context.keys.read_session(request.cookies)
    if known is None:
        return SOMEBODY if local else None
    rater_id, text = known
    if not local and (rater_id == 0 or text is None):
        return None
    with context.database.read() as c:
        if rater_id == 0:
            return accounts.by_browser(c, str(text)) or Rater(0, "owner", LOCAL, text)
        return accounts.by_session(c, rater_id, text) or (SOMEBODY if text is None else None)


def welcome(request: Request, response: Response) -> Rater | None:
    """The same for whoever opens a page: a browser on this machine gets a cookie."""
    rater = visitor(request)
    if rater is SOMEBODY:
        rater = accounts.new_browser()
        set_session(request, response, rater, None)
    return rater


def set_session(request: Request, response: Response, rater: Rater, link: str | None) -> None:
    """Let the browser keep a rater's session."""
    context = context_of(request)
    response.set_cookie(
        context.keys.cookie,
        context.keys.session(rater, link),
        max_age=int(context.settings.sessions_last),
        httponly=True,
        samesite="lax",
        secure=safety.is_https(request, context.settings.trusted_proxies),
    )


async def signed_in(request: Request, rater: Annotated[Rater | None, Depends(visitor)]) -> Rater:
    """A rater, within their rate; no CSRF token is asked for."""
    if rater is None:
        raise sign_in_needed()
    context_of(request).rater_limit.take(rater.subject)
    return rater


async def rating(request: Request, rater: Annotated[Rater, Depends(signed_in)]) -> Rater:
    """A rater whose own page sends the call. Who does something for the first time on this machine is stored."""
    if request.method not in safety.CHANGING:
        return rater
    check_csrf(request, rater, request.headers.get("x-csrf-token", ""))
    return rater if rater.id else await to_thread.run_sync(_remember, context_of(request), rater)


def _remember(context: Context, rater: Rater) -> Rater:
    with context.database.write() as c:
        return accounts.remember(c, rater, time.time())


def check_csrf(request: Request, rater: Rater, token: str) -> None:
    """Refuse a change that does not come from the rater's own page.

    Raises:
        Refusal: 403.
    """
    expected = context_of(request).keys.csrf_token(rater)
    if rater is SOMEBODY or not hmac.compare_digest(token.encode(), expected.encode()):
        raise Refusal(403, "csrf", "The header X-CSRF-Token is missing or another session's; GET /api/session has it.")


async def owning(rater: Annotated[Rater, Depends(rating)]) -> Rater:
    """An owner."""
    if not rater.is_owner:
        raise Refusal(403, "owner_only", "Only an owner of this server may do this.")
    return rater


async def training(request: Request) -> None:
    """Training on this machine, or with the key."""
    context = context_of(request)
    header = request.headers.get("authorization")
    if header is not None:
        if not accounts.is_api_key(context.settings, header):
            address = safety.client_address(request, context.settings.trusted_proxies)
            context.sign_in_limit.take(address)
            raise Refusal(
                401, "wrong_key", "The key in the Authorization header is not this server's FEEDBACK_API_KEY."
            )
    elif not safety.is_local(request, context.settings):
        raise Refusal(
            401, "key_needed", "From here this needs `Authorization: Bearer` and the server's FEEDBACK_API_KEY."
        )


async def _shared(request: Request) -> Context:
    return context_of(request)


Shared = Annotated[Context, Depends(_shared)]
Rating = Annotated[Rater, Depends(rating)]
SignedIn = Annotated[Rater, Depends(signed_in)]
Owner = Annotated[Rater, Depends(owning)]
