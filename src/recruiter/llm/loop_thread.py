"""Event loops: one in a thread of its own, whose calls go on while the caller does something else; or one for a single call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
SECONDS_TO_CLOSE = 10


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns. Where this thread runs a loop already, as a notebook's does, it gets one elsewhere."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    elsewhere = LoopThread("run_async")
    try:
        return elsewhere.submit(work).result()
    finally:
        elsewhere.close()


class LoopThread:
    """Runs coroutines in the background."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine; the future holds what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Cancel what is still running, await `last()` in the loop, and end the thread."""

        async def cancel() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if last is not None:
                await last()

        if self._loop.is_running():
            self.submit(cancel()).result(timeout=SECONDS_TO_CLOSE)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=SECONDS_TO_CLOSE)
            self._loop.close()
