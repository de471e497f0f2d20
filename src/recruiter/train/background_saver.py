"""Checkpoints are written in a thread of their own, so that training does not wait for the disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class BackgroundSaver:
    """Writes checkpoints in a thread of its own, one at a time, while training goes on."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._last: Future[None] | None = None

    def submit(self, write: Callable[[], None]) -> None:
        """Start writing once the previous checkpoint is there; raises what went wrong with that one."""
        self.wait()
        self._last = self._pool.submit(write)

    def wait(self) -> None:
        """Return when everything submitted is written; raise what went wrong."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        """Finish writing and end the thread."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()
