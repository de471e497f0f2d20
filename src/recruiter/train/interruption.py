"""Waiting that the user can end with Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")
NOTICED_WITHIN = 0.2  # seconds


class Interrupted(Exception):
    """The user asked to stop; raised while the policy is as the last finished step left it."""


def wait_for(work: Future[T], stop_requested: Callable[[], bool]) -> T:
    """The result of a future.

    Raises:
        Interrupted: the user asked to stop first.
    """
    while not wait([work], timeout=NOTICED_WITHIN).done:
        if stop_requested():
            raise Interrupted
    return work.result()
