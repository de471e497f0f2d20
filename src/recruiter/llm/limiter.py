"""The limiter: how many calls run at a time. It halves when a server says it is busy and grows back with each success.

Additive increase, multiplicative decrease, as in TCP (Chiu and Jain 1989). When a server asks to wait, no call starts
before that time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Limiter:
    """Slots for calls, at most `most` at a time. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self.most, self.limit, self.running = most, float(most), 0
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lowered_at = self._not_before = 0.0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, first come, first served, and hold it."""
        ticket = self._loop.create_future()
        self._waiting.append(ticket)
        self._hand_out()
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self._free()
            raise
        try:
            yield
        finally:
            self._free()

    def succeeded(self) -> None:
        """A call went well: one more slot for each full round of them."""
        self.limit = min(float(self.most), self.limit + 1.0 / self.limit)
        self._hand_out()

    def was_busy(self, started: float, retry_after: float | None) -> None:
        """A call was refused for want of capacity. Those that started before the last decrease say nothing new.

        Args:
            started: the loop's time when the call started.
            retry_after: seconds that the server asked to wait.
        """
        now = self._loop.time()
        if started >= self._lowered_at:
            self.limit, self._lowered_at = max(1.0, self.limit / 2), now
        if retry_after:
            self._not_before = max(self._not_before, now + retry_after)
            self._loop.call_later(retry_after + 0.001, self._hand_out)

    def _free(self) -> None:
        self.running -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.running < int(self.limit) and self._loop.time() >= self._not_before:
            ticket = self._waiting.popleft()
            if not ticket.done():
                self.running += 1
                ticket.set_result(None)
