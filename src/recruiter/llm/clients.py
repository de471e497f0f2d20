"""Clients: one for each wire format, thin, over the providers' SDKs. They send one request and never try again.

The SDKs' own retries are off: `retry.py` has the only ones. Bodies go through the SDKs' `post` as they are, because their
typed methods spend a third of the time of a call on converting them, and lack parameters that older models still take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from recruiter.llm.failure import CallFailed, retry_after, status_kind
from recruiter.llm.providers import Provider, scrub
from recruiter.prompts import Message


@dataclass(frozen=True)
class Tokens:
    """What a call is billed for. `cached` are those of `input` that the provider had seen shortly before, `thinking` those of
    `output` that nobody sees."""

    input: int = 0
    cached: int = 0
    output: int = 0
    thinking: int = 0


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn. None leaves a choice to the provider."""

    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    reasoning_effort: str | None = None


@dataclass(frozen=True)
class Completion:
    """A model's reply."""

    text: str
    tokens: Tokens
    ended: Literal["by itself", "at the limit", "refused"] = "by itself"


class Client(Protocol):
    """One request to one model."""

    async def complete(
        self, messages: Sequence[Message], sampling: Sampling, schema: dict[str, Any] | None = None
    ) -> Completion:
        """The model's reply, held to a JSON schema if one is given.

        Raises:
            CallFailed: there is none.
        """
        ...

    async def models(self) -> list[str]:
        """The models that the server has.

        Raises:
            CallFailed: it does not say.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def make_client(provider: Provider, model: str, base_url: str, key: str, timeout: float) -> Client:
    """A client for `model`. Make it inside the event loop that uses it."""
    wire = OpenAIClient if provider.wire == "openai" else AnthropicClient
    return wire(provider, model, base_url, key, timeout)


class OpenAIClient:
    """Chat completions: OpenAI, xAI, Ollama, vLLM and whoever else speaks them."""

    def __init__(self, provider: Provider, model: str, base_url: str, key: str, timeout: float) -> None:
        import openai
        from openai.types.chat import ChatCompletion

        self._errors, self._provider, self._model, self._reply = openai, provider, model, ChatCompletion
        self._sdk = openai.AsyncOpenAI(api_key=key or "none", base_url=base_url, timeout=timeout, max_retries=0)
        self._sdk.organization = self._sdk.project = None  # OpenAI's, and not for other providers to see

    async def complete(
        self, messages: Sequence[Message], sampling: Sampling, schema: dict[str, Any] | None = None
    ) -> Completion:
        """See `Client`."""
        named = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}
        body = _given(
            model=self._model,
            messages=list(messages),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=sampling.seed,
            reasoning_effort=sampling.reasoning_effort,
            response_format=named if schema else None,
            **{self._provider.limit_name: sampling.max_tokens},
        )
        try:
            reply = await self._sdk.post("/chat/completions", body=body, cast_to=self._reply)
        except Exception as error:
            raise _failure(self._errors, error) from None
        try:
            choice, usage = reply.choices[0], reply.usage
            text = choice.message.content or ""
            refused = bool(choice.message.refusal) or choice.finish_reason == "content_filter"
            details = usage and usage.prompt_tokens_details
            cached = (details and details.cached_tokens) or 0
            spent = usage and usage.completion_tokens_details
            thinking = (spent and spent.reasoning_tokens) or 0
            tokens = Tokens(usage.prompt_tokens, cached, usage.completion_tokens, thinking) if usage else Tokens()
        except (AttributeError, IndexError, TypeError):
            raise CallFailed("server_error", "the answer is no chat completion") from None
        cut = choice.finish_reason == "length"
        return Completion(text, tokens, "refused" if refused else "at the limit" if cut else "by itself")

    async def models(self) -> list[str]:
        """See `Client`."""
        try:
            return [model.id async for model in self._sdk.models.list()]
        except Exception as error:
            raise _failure(self._errors, error) from None

    async def close(self) -> None:
        """See `Client`."""
        await self._sdk.close()


class AnthropicClient:
    """Messages: Anthropic."""

    def __init__(self, provider: Provider, model: str, base_url: str, key: str, timeout: float) -> None:
        import anthropic
        from anthropic.types import Message as Reply

        self._errors, self._provider, self._model, self._reply = anthropic, provider, model, Reply
        self._sdk = anthropic.AsyncAnthropic(
            api_key=key, base_url=base_url, timeout=timeout, max_retries=0, open_telemetry=False
        )

    async def complete(
        self, messages: Sequence[Message], sampling: Sampling, schema: dict[str, Any] | None = None
    ) -> Completion:
        """See `Client`."""
        output = _given(
            effort=sampling.reasoning_effort, format={"type": "json_schema", "schema": schema} if schema else None
        )
        body = _given(
            model=self._model,
            max_tokens=sampling.max_tokens,
            system="\n\n".join(m["content"] for m in messages if m["role"] == "system") or None,
            messages=[m for m in messages if m["role"] != "system"],
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            output_config=output or None,
        )
        try:
            reply = await self._sdk.post("/v1/messages", body=body, cast_to=self._reply)
        except Exception as error:
            raise _failure(self._errors, error) from None
        try:
            text = "".join(block.text for block in reply.content if block.type == "text")
            cached = reply.usage.cache_read_input_tokens or 0
            seen = reply.usage.input_tokens + cached + (reply.usage.cache_creation_input_tokens or 0)
            tokens = Tokens(seen, cached, reply.usage.output_tokens)
        except (AttributeError, TypeError):
            raise CallFailed("server_error", "the answer is no message") from None
        refused, cut = reply.stop_reason == "refusal", reply.stop_reason == "max_tokens"
        return Completion(text, tokens, "refused" if refused else "at the limit" if cut else "by itself")

    async def models(self) -> list[str]:
        """See `Client`."""
        try:
            return [model.id async for model in self._sdk.models.list()]
        except Exception as error:
            raise _failure(self._errors, error) from None

    async def close(self) -> None:
        """See `Client`."""
        await self._sdk.close()


def _given(**settings: Any) -> dict[str, Any]:
    """The settings that are not None."""
    return {name: value for name, value in settings.items() if value is not None}


def _failure(sdk: Any, error: Exception) -> CallFailed:
    """What an SDK's exception means. Both SDKs name theirs alike."""
    if isinstance(error, sdk.APITimeoutError):
        return CallFailed("timeout", "no answer in time")
    if isinstance(error, sdk.APIConnectionError):
        return CallFailed("connection", "the connection failed")
    if isinstance(error, sdk.APIStatusError):
        kind = status_kind(error.status_code, f"{error.message} {error.body}")
        said = error.body if isinstance(error.body, str) else error.message
        detail = f"HTTP {error.status_code}" + ("" if kind in CallFailed.RETRYABLE else f", {scrub(said)}")
        return CallFailed(kind, detail, retry_after(error.response.headers))
    if isinstance(error, (sdk.APIError, ValueError)):  # a body that is no JSON
        return CallFailed("server_error", "the answer could not be read")
    raise error
