"""Ends connections that begin a request and do not finish its head.

uvicorn waits for the rest of a head as long as it takes, and its command line has no option for that, so connections that
send nothing would pile up until no file is left to open. What a body may take is in `safety.limited_body`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 5.0
_made = AutoHTTPProtocol.connection_made


def install() -> None:
    """Watch every connection that uvicorn takes from now on; a second time changes nothing."""
    AutoHTTPProtocol.connection_made = _watched  # type: ignore[assignment,method-assign]


def _watched(protocol: Any, transport: asyncio.BaseTransport) -> None:
    _made(protocol, transport)
    protocol.loop.call_later(HEAD_SECONDS, _look, protocol, transport, None)


def _look(protocol: Any, transport: asyncio.BaseTransport, waiting_since: Any) -> None:
    """Look again in a while; close a connection that has been in the middle of the same head all the while."""
    if transport.is_closing():
        return
    cycle = protocol.cycle  # the latest request whose head was complete
    is_answering = cycle is not None and not cycle.response_complete
    is_idle = protocol.timeout_keep_alive_task is not None  # between two requests; uvicorn ends that itself
    here = None if is_answering or is_idle else (cycle,)
    if here is not None and (cycle is None or here == waiting_since):
        transport.close()
        return
    protocol.loop.call_later(HEAD_SECONDS, _look, protocol, transport, here)
