"""Who may connect, judged for every request from what the request shows, and the headers of every answer.

An application cannot know which address its server was bound to, so nothing is assumed. A request is local if its peer
address is loopback, its Host header names this machine, and no proxy has passed it on. Everything else needs an account
or a key. Forwarded headers count only from configured proxies, and what comes from one of these is never local. A proxy that
is not configured and sets no headers cannot be told from a browser here: `FEEDBACK_LOCAL_OWNER=no` makes nothing local.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feedback.errors import Refusal
from feedback.settings import Network, Settings

log = logging.getLogger(__name__)

MAX_BODY = 2 * 1024**2  # bytes
MAX_READ = 64 * 1024**2  # bytes of a longer one that are waited for
PIECE_SECONDS, BODY_SECONDS = 10.0, 60.0  # that the next piece of a body, and all of it, may take
REMEMBERED = 10_000  # callers whose rate is known
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
VERSIONED = "public, max-age=31536000, immutable"  # an address that names its content (`?v=` and a hash)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback_name(host: str) -> bool:
    """Whether a host (a Host header's value, or an address) is this machine."""
    name = urlsplit(f"//{host}").hostname if host.count(":") < 2 or host.startswith("[") else host
    if name is None:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_local(connection: HTTPConnection, settings: Settings) -> bool:
    """Whether a request comes from this machine and was meant for it, and that is worth something (`local_owner`).

    What a trusted proxy sends never is, whether it says so in its headers or not.
    """
    peer = connection.client.host if connection.client else ""
    try:
        host = is_loopback_name(connection.headers.get("host", ""))
    except ValueError:
        return False
    is_passed_on = _is_in(peer, settings.trusted_proxies) or any(name in connection.headers for name in FORWARDED)
    return settings.local_owner and is_loopback_name(peer) and host and not is_passed_on


def account_of(connection: HTTPConnection, settings: Settings) -> str | None:
    """Whom a trusted proxy names in `user_header`; nobody else's word counts."""
    peer = connection.client.host if connection.client else ""
    if settings.user_header is None or not _is_in(peer, settings.trusted_proxies):
        return None
    name = connection.headers.get(settings.user_header, "").strip()
    return name if 0 < len(name) <= 120 and name.isprintable() else None


def client_address(connection: HTTPConnection, trusted: tuple[Network, ...]) -> str:
    """The address that a request came from: the last one before the trusted proxies."""
    peer = connection.client.host if connection.client else "unknown"
    hops = [hop.strip() for hop in connection.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    while hops and _is_in(peer, trusted):
        peer = hops.pop()
    return peer


def own_origins(connection: HTTPConnection, trusted: tuple[Network, ...]) -> set[str]:
    """The origins that are this server's own, as the browser sees it."""
    host, scheme = connection.headers.get("host", ""), connection.url.scheme
    origins = {f"{scheme}://{host}"}
    if connection.client and _is_in(connection.client.host, trusted):
        host = connection.headers.get("x-forwarded-host", host)
        origins.add(f"{connection.headers.get('x-forwarded-proto', scheme)}://{host}")
    return origins


def is_https(connection: HTTPConnection, trusted: tuple[Network, ...]) -> bool:
    """Whether the browser speaks TLS, so that cookies can be marked as secure."""
    return any(origin.startswith("https:") for origin in own_origins(connection, trusted))


def refuse_foreign(connection: HTTPConnection, trusted: tuple[Network, ...]) -> None:
    """No other site may change anything through a visitor's browser.

    Raises:
        Refusal: 403.
    """
    origin = connection.headers.get("origin")
    foreign = origin is not None and origin not in own_origins(connection, trusted)
    if foreign or connection.headers.get("sec-fetch-site") == "cross-site":
        raise Refusal(403, "foreign_origin", "Another site may not call this server.")


class RateLimit:
    """Token buckets: `rate` calls a second each, `burst` at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one call; one that is refused does not count, so whoever asks too often gets what everybody gets.

        Raises:
            Refusal: 429, with the seconds to wait, rounded up.
        """
        now = self._clock()
        left, at = self._buckets.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        self._buckets[caller] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if left < 1:
            wait = math.ceil((1 - left) / self._rate)
            raise Refusal(429, "too_fast", f"Too many calls; wait {wait} s.", {"Retry-After": f"{wait}"})


class Guard:
    """ASGI middleware: security headers and a reason in every answer, no oversized bodies, cross-site changes, floods."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.limit = RateLimit(rate=300, burst=900)  # of an address; raters have a tighter one of their own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_static = scope["path"].startswith("/static/")
        cached = "no-store" if not is_static else VERSIONED if scope["query_string"].startswith(b"v=") else "no-cache"

        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", cached)
            await send(message)

        try:
            connection = HTTPConnection(scope)
            trusted: tuple[Network, ...] = scope["app"].state.context.settings.trusted_proxies
            self.limit.take(client_address(connection, trusted))
            if scope["method"] in CHANGING:
                refuse_foreign(connection, trusted)
            receive = await limited_body(connection.headers, receive)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send_safely)
            return
        try:
            await self.app(scope, receive, send_safely)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            mistake = Refusal(500, "internal", "The server made a mistake; its log says which. Nothing was stored.")
            await refused(mistake)(scope, receive, send_safely)


async def limited_body(headers: Headers, receive: Receive) -> Receive:
    """The whole body, read now and given out again, if it is not too long and does not keep us waiting.

    What is too long is read to its end, and dropped, before it is refused: whoever is still sending when the connection is
    closed sees that and no answer.

    Raises:
        Refusal: 413 or 408.
    """
    declared = headers.get("content-length")
    if declared is None and "transfer-encoding" not in headers:
        return receive
    body, length = bytearray(), 0
    until = time.monotonic() + BODY_SECONDS
    while True:
        try:
            message = await asyncio.wait_for(receive(), min(PIECE_SECONDS, until - time.monotonic()))
        except TimeoutError:
            raise Refusal(408, "too_slow", "The body did not come in time.", {"Connection": "close"}) from None
        if message["type"] != "http.request":
            break
        piece = message.get("body", b"")
        length += len(piece)
        if length <= MAX_BODY:
            body += piece
        if not message.get("more_body", False) or length > MAX_READ:
            break
    if length > MAX_BODY:
        raise Refusal(413, "too_large", f"The body is larger than {MAX_BODY // 1024**2} MB.", {"Connection": "close"})
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return replay


def refused(refusal: Refusal) -> JSONResponse:
    """A refusal as an answer."""
    body = {"error": {"code": refusal.code, "message": refusal.message}}
    return JSONResponse(body, refusal.status, refusal.headers)


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
