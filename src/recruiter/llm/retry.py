"""Retries: how a failed call to a model is made again, and the pauses between attempts at whatever may fail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from recruiter.llm.failure import CallFailed
from recruiter.llm.limiter import Limiter

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0


@dataclass(frozen=True)
class RetryPolicy:
    """How long and how often a call is tried.

    Attributes:
        max_attempts: failed attempts. Being refused for want of capacity is none: that call was never looked at, and
            `total_timeout` bounds it too.
        attempt_timeout: seconds for one attempt.
        total_timeout: seconds for all attempts and the pauses between them; waiting for a slot is not counted.
    """

    max_attempts: int
    attempt_timeout: float
    total_timeout: float

    async def run(
        self, attempt: Callable[[], Awaitable[T]], limiter: Limiter, failed: Callable[[CallFailed], None]
    ) -> T:
        """Call `attempt` until it succeeds, telling `failed` of every failure.

        Raises:
            CallFailed: the last failure, once another attempt is not worth it or not allowed.
        """
        clock = asyncio.get_running_loop().time
        left, failures, waits = self.total_timeout, 0, pauses(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            async with limiter.slot():
                started = clock()
                try:
                    async with asyncio.timeout(min(self.attempt_timeout, left)):
                        result = await attempt()
                    limiter.succeeded()
                    return result
                except TimeoutError:
                    failure = CallFailed("timeout", f"no answer within {min(self.attempt_timeout, left):.3g} s")
                except CallFailed as error:
                    failure = error
                failures += failure.kind != "rate_limit"
                pause = max(next(waits), failure.retry_after or 0.0)
                left -= clock() - started + pause
                if failure.kind == "rate_limit":  # a wait that is longer than this call may take holds up no others
                    limiter.was_busy(started, failure.retry_after if left > 0 else None)
            failed(failure)
            if not failure.is_retryable or failures >= self.max_attempts or left <= 0:
                raise failure
            await asyncio.sleep(pause)


def pauses(first: float, longest: float) -> Iterator[float]:
    """Seconds to wait, twice as many each time, with jitter, so that what failed together does not come back together."""
    while True:
        yield random.uniform(0.5, 1.0) * first
        first = min(longest, 2 * first)
