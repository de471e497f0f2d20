"""Failed calls: one type for whatever SDKs and servers do, sorted by what can be done about it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# Providers say the same thing with different status codes, so the wording counts too.
_WRONG_KEY = re.compile(r"(?:incorrect|invalid|wrong|missing) (?:x-)?api[ _-]?key|authentication", re.IGNORECASE)
_NO_CREDIT = re.compile(
    r"insufficient_quota|insufficient (?:credits|balance|funds)|credit balance|available credits|spending limit|"
    r"billing_error|exceeded your current quota",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model\b.{0,80}\b(?:not (?:found|exist)|does not exist|unknown(?!_param)|invalid(?!_request)|retired|deprecated)"
    r"|unknown model|model_not_found|no such model",
    re.IGNORECASE,
)
_UNSAFE = re.compile(r"safety|content[ _](?:filter|policy|violates)|usage guidelines|usage policies", re.IGNORECASE)
_TOO_BUSY = (429, 529)
_WORTH_ANOTHER_TRY = (408, 409, 425, *range(500, 600))


class CallFailed(Exception):
    """One call to a model failed.

    Attributes:
        kind: a word for counting. `authentication`, `unknown_model` and `credit` will fail every call alike.
        detail: what was said, scrubbed of keys.
        retry_after: seconds that the server asked to wait, if it did.
    """

    FATAL = ("authentication", "unknown_model", "credit")
    RETRYABLE = ("timeout", "connection", "rate_limit", "server_error")

    def __init__(self, kind: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.retry_after = kind, detail, retry_after

    @property
    def is_fatal(self) -> bool:
        """Whether every other call would fail in the same way."""
        return self.kind in self.FATAL

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may well succeed later."""
        return self.kind in self.RETRYABLE


def status_kind(status: int, text: str) -> str:
    """The kind of failure that an HTTP status and the text that came with it mean."""
    if 400 <= status < 500:
        for kind, pattern in (("credit", _NO_CREDIT), ("authentication", _WRONG_KEY), ("unknown_model", _NO_MODEL)):
            if pattern.search(text):
                return kind
        if status in (400, 403, 422) and _UNSAFE.search(text):
            return "refusal"
    by_status = {401: "authentication", 402: "credit", 403: "authentication", 404: "unknown_model", 408: "timeout"}
    if status in _TOO_BUSY:
        return "rate_limit"
    if status in by_status:
        return by_status[status]
    return "server_error" if status in _WORTH_ANOTHER_TRY else "bad_request"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as a response's headers ask for, in milliseconds, seconds, or as a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit
            if 0 <= seconds < float("inf"):
                return seconds
    with contextlib.suppress(KeyError, ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    return None
