"""Which requests are answered badly, and how. A function of the message, not of the order in which requests arrive."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

TRANSIENT = ("rate_limit", "server_error", "slow", "silence", "cut", "garbage")
BAD_REPLIES = ("malformed", "refusal", "out_of_range", "missing_score", "truncated", "empty", "chatty")
FATAL = ("wrong_key", "no_credit", "unknown_model", "xai_wrong_key", "xai_no_credit", "bad_request")
FAULTS = (*TRANSIENT, *BAD_REPLIES, *FATAL)


@dataclass
class Faults:
    """A plan of faults.

    Attributes:
        kinds: the faults that are drawn from, any of `FAULTS`.
        share: share of the messages that are hit, drawn by a hash of seed and message.
        times: how often each of them fails before it is answered; None: always.
        after: requests that are answered well before anything fails.
        first: faults of the first requests, one each, whatever their message; "" answers well.
        seconds: how long a slow answer takes.
        retry_after: what a 429 asks for, in seconds.
    """

    kinds: Sequence[str] = ()
    share: float = 0.0
    times: int | None = 1
    seed: int = 0
    after: int = 0
    first: Sequence[str] = ()
    seconds: float = 5.0
    retry_after: float = 0.1
    _seen: int = 0
    _failed: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        unknown = {kind for kind in (*self.kinds, *self.first) if kind} - set(FAULTS)
        if unknown:
            raise ValueError(f"unknown faults {sorted(unknown)}; there are {', '.join(FAULTS)}")

    def next(self, message: str) -> str:
        """The fault of the next request, "" if it is answered well."""
        with self._lock:
            self._seen += 1
            if self._seen <= len(self.first):
                return self.first[self._seen - 1]
            if not self.kinds or self._seen <= self.after or not self.hits(message):
                return ""
            if self.times is not None and self._failed[message] >= self.times:
                return ""
            self._failed[message] += 1
            return self.kinds[self._draw(message, "kind") % len(self.kinds)]

    def hits(self, message: str) -> bool:
        """Whether this message is among those that fail."""
        return self._draw(message, "share") / 2**64 < self.share

    def _draw(self, message: str, purpose: str) -> int:
        digest = hashlib.sha256(f"{self.seed}/{purpose}/{message}".encode()).digest()
        return int.from_bytes(digest[:8], "big")
