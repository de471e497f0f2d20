"""Waiting for many calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from recruiter.errors import ApiError

T = TypeVar("T")


async def gathered(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of them return, in order.

    Raises:
        ApiError: the model cannot be used any more; raised once all calls have ended, for those under way are paid for.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except ApiError:
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
