"""The way to the feedback server: calls of its training API, made again for as long as it is away."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import httpx2

from recruiter.config import HumanFeedbackConfig
from recruiter.errors import ConfigError, JudgeError
from recruiter.llm.retry import pauses
from recruiter.llm.transport import make_http_client

KEY_VARIABLE = "FEEDBACK_API_KEY"
ANSWER_SECONDS = 15.0  # for a call that does not wait for people
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between attempts while the server is away


class Refused(JudgeError):
    """The server answered a call with a reason why not."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class FeedbackClient:
    """Calls of the server's training API, made again for as long as it is away.

    Attributes:
        away: since when (`time.monotonic`) the server does not answer, and why; None if it does.
    """

    def __init__(self, settings: HumanFeedbackConfig, spelled: str = "human_feedback.api_url={}") -> None:
        """Read the key from the environment.

        Args:
            spelled: how the user wrote the server's address.

        Raises:
            ConfigError: it is nothing that could be a key.
        """
        self.url, self._settings = settings.api_url.rstrip("/"), settings
        self._spelled = spelled.format(self.url)
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key.isascii() or len(key.split()) > 1:
            raise ConfigError(f"{KEY_VARIABLE} holds spaces or letters that no key has; copy it again.")
        self._options: dict[str, Any] = {
            "base_url": self.url,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
        }
        self.away: tuple[float, str] | None = None

    async def check(self, rubric_hash: str | None = None) -> None:
        """One call, to see that the server is there, takes the key and, if one is given, rates by this rubric.

        Raises:
            JudgeError: it is not, or it does not.
        """
        try:
            body = {"ids": ["none"], "timeout": 0, "rubric_hash": rubric_hash}
            self._answer(await self._attempt("POST", "/api/groups/wait", body, 0.0))
        except httpx2.RequestError as error:
            raise JudgeError(
                f"There is no feedback server at {self._spelled} ({_reason(error)}): start it with "
                f"`cd feedback-ui && uvicorn app:app --port 8000`, or write there where it is."
            ) from None

    async def call(self, method: str, path: str, body: Any = None, waits: float = 0.0) -> Any:
        """The JSON that the server answers with; `waits` is how long it may wait for people (s).

        Raises:
            JudgeError: the key is wrong, the call is refused, or the server was away for `human_feedback.timeout`.
        """
        between = pauses(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                response = await self._attempt(method, path, body, waits)
                if response.status_code < 500 and response.status_code != 429:
                    self.away = None
                    return self._answer(response)
                reason = f"HTTP {response.status_code}"
            except httpx2.RequestError as error:
                reason = _reason(error)
            since, patience = self.away[0] if self.away else time.monotonic(), self._settings.timeout
            self.away = (since, reason)
            if time.monotonic() - since > patience:
                raise JudgeError(
                    f"The feedback server at {self.url} has not answered for {duration_text(patience)} ({reason}); "
                    f"everything up to the last step is saved: start it and run the same command again."
                )
            await asyncio.sleep(min(next(between), patience))

    async def tell(self, method: str, path: str, body: Any) -> None:
        """A call that only informs: one attempt, and no matter if it fails."""
        try:
            await self._attempt(method, path, body, 0.0)
        except httpx2.RequestError:
            return

    async def _attempt(self, method: str, path: str, body: Any, waits: float) -> httpx2.Response:
        async with make_http_client(self.url, **self._options, timeout=ANSWER_SECONDS + waits) as client:
            return await client.request(method, path, json=body)

    def _answer(self, response: httpx2.Response) -> Any:
        status, path = response.status_code, response.request.url.path
        try:
            content = response.json()
            message = content["error"]["message"] if status >= 400 else ""
        except (ValueError, LookupError, TypeError):
            raise JudgeError(
                f"What answers at {self._spelled} is no feedback server (HTTP {status} for {path}); "
                f"set the address that `uvicorn` printed."
            ) from None
        if status in (401, 403):
            raise JudgeError(
                f"The feedback server at {self.url} refused the key: set {KEY_VARIABLE} to the key it was started with."
            )
        if status >= 400:
            raise Refused(f"The feedback server at {self.url} refused {path} (HTTP {status}): {message}", status)
        return content


def duration_text(seconds: float) -> str:
    """A span of time in the largest fitting unit: 40 s, 12 min, 3 h."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _reason(error: httpx2.RequestError) -> str:
    """An exception's text on one line, or its name."""
    return " ".join(str(error).split()) or type(error).__name__
