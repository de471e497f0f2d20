"""Asking an endpoint for questions: the OpenAI-compatible HTTP of a vLLM server, behind a proxy that starts it on demand.

An endpoint that was scaled to zero answers 502, 503 or 504 until its server is up; that is waited for. Everything else
that is not an answer ends in one sentence that says what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import get_session

from recruiter.deploy.hub import NetworkError
from recruiter.errors import EndpointError
from recruiter.prompts import Message

STARTING = (502, 503, 504)
PAUSE_SECONDS = 5.0
CALL_SECONDS = 120.0


@dataclass(frozen=True)
class Answer:
    """One call: the text, how long it took in seconds, and the tokens that the server counted."""

    text: str
    seconds: float
    tokens: int


class EndpointClient:
    """An endpoint by its address; `token` is sent as a bearer token, where there is one."""

    def __init__(self, url: str, token: str | None, wait_seconds: float, waiting: Callable[[str, float], None]) -> None:
        """Prepare calls; `waiting` hears why and for how many seconds an answer has been waited for.

        Raises:
            EndpointError: the address is none.
        """
        if not url.startswith(("http://", "https://")):
            raise EndpointError(f"HF_ENDPOINT_URL={url} is no address: the page of the endpoint shows it.")
        self.url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._wait, self._waiting = wait_seconds, waiting

    def health(self) -> float:
        """Wait until the server says that it is well; return how long that took, in seconds."""
        start = time.perf_counter()
        self._send("GET", "/health")
        return time.perf_counter() - start

    def model(self) -> str:
        """What the server calls its model."""
        models = self._send("GET", "/v1/models").json().get("data") or []
        if not models:
            raise EndpointError(f"{self.url} serves no model.")
        return str(models[0]["id"])

    def ask(self, model: str, messages: Sequence[Message], max_tokens: int) -> Answer:
        """Have one question written, sampled as the model's generation settings say."""
        body = {"model": model, "messages": list(messages), "max_tokens": max_tokens}
        start = time.perf_counter()
        reply = self._send("POST", "/v1/chat/completions", json=body)
        seconds = time.perf_counter() - start
        try:
            data = reply.json()
            text = str(data["choices"][0]["message"]["content"]).strip()
            return Answer(text, seconds, int(data["usage"]["completion_tokens"]))
        except (ValueError, KeyError, IndexError, TypeError):
            raise EndpointError(f"{self.url} answers, but not as a chat model: {reply.text[:200]!r}.") from None

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        """One request, repeated while the endpoint starts."""
        start = time.monotonic()
        while True:
            try:
                reply = get_session().request(
                    method, self.url + path, headers=self._headers, timeout=CALL_SECONDS, **arguments
                )
            except NetworkError as error:
                reason, starting = f"it cannot be reached ({type(error).__name__})", True
            else:
                if reply.status_code == 200:
                    return reply
                reason, starting = self._refusal(reply)
            waited = time.monotonic() - start
            if not starting:
                raise EndpointError(reason)
            if waited + PAUSE_SECONDS > self._wait:
                raise EndpointError(
                    f"{self.url} gives no answer after {waited:.0f} s ({reason}): look at its log on its page, or "
                    f"wait longer with --wait."
                )
            self._waiting(reason, waited)
            time.sleep(PAUSE_SECONDS)

    def _refusal(self, reply: Any) -> tuple[str, bool]:
        """A sentence about a status that is not 200, and whether waiting can help."""
        status, text = reply.status_code, reply.text.strip()[:200]
        if "paused" in text.lower():
            return f"{self.url} is paused, and only its owner can resume it: press Resume on its page.", False
        if status in STARTING or status == 429:
            return ("it is busy" if status == 429 else "it is starting") + f", {status}", True
        if status in (401, 403):
            sent = "does not accept HF_TOKEN" if self._headers else "needs a token"
            return (
                f"{self.url} {sent} ({status}): set HF_TOKEN to a token of the account that the endpoint belongs to.",
                False,
            )
        if status == 404:
            return f"{self.url} has nothing there (404): check HF_ENDPOINT_URL; deleted endpoints answer so too.", False
        return f"{self.url} refuses the request ({status}): {text or 'no reason given'}", False
