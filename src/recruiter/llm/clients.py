"""Clients: one request to one model, in either of the two wire formats. They never try again: `retry.py` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from recruiter.llm.failure import CallFailed, read_error
from recruiter.llm.providers import Provider
from recruiter.llm.reply import Completion, read_chat_completion, read_message, read_models
from recruiter.llm.transport import make_http_client
from recruiter.prompts import Message

ANTHROPIC_VERSION = "2023-06-01"
KEPT_CONNECTIONS = 100


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn. None leaves a choice to the provider."""

    max_tokens: int | None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    reasoning_effort: str | None = None


class ModelClient:
    """Calls one model of one server. Make it inside the event loop that uses it."""

    def __init__(self, provider: Provider, base_url: str, key: str, timeout: float) -> None:
        """Prepare connections.

        Raises:
            ConfigError: the environment names a proxy or certificates that cannot be used.
        """
        self._is_openai, self._url = provider.wire == "openai", base_url.rstrip("/")
        headers = {"authorization": f"Bearer {key or 'none'}"}
        if not self._is_openai:
            headers = {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION}
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS)
        self._http = make_http_client(base_url, headers=headers, timeout=timeout, limits=limits)

    async def complete(
        self,
        model: str,
        messages: Sequence[Message],
        sampling: Sampling,
        schema: dict[str, Any] | None = None,
        limit_name: str = "max_tokens",
    ) -> Completion:
        """The model's reply, held to a JSON schema if one is given; `limit_name` is what the server calls its limit.

        Raises:
            CallFailed: there is none.
        """
        if self._is_openai:
            named = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}
            body = _given(
                model=model,
                messages=list(messages),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                seed=sampling.seed,
                reasoning_effort=sampling.reasoning_effort,
                response_format=named if schema else None,
                **{limit_name: sampling.max_tokens},
            )
            return read_chat_completion(await self._send("POST", "/chat/completions", body))
        form = {"type": "json_schema", "schema": schema} if schema else None
        body = _given(
            model=model,
            max_tokens=sampling.max_tokens,
            system="\n\n".join(m["content"] for m in messages if m["role"] == "system") or None,
            messages=[m for m in messages if m["role"] != "system"],
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            output_config=_given(effort=sampling.reasoning_effort, format=form) or None,
        )
        return read_message(await self._send("POST", "/v1/messages", body))

    async def models(self) -> list[str]:
        """The models that the server has.

        Raises:
            CallFailed: it does not say.
        """
        return read_models(await self._send("GET", "/models" if self._is_openai else "/v1/models"))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> object:
        try:
            response = await self._http.request(method, self._url + path, json=body)
        except httpx2.TimeoutException:
            raise CallFailed("timeout", "no answer in time") from None
        except httpx2.RequestError as error:
            raise CallFailed("connection", f"the connection failed ({type(error).__name__})") from None
        try:
            answer = response.json()
        except ValueError:
            answer = response.text
        if response.status_code >= 400:
            raise read_error(response.status_code, answer, response.headers)
        return answer


def _given(**settings: Any) -> dict[str, Any]:
    """The settings that are not None."""
    return {name: value for name, value in settings.items() if value is not None}
