"""A model behind an API, with everything that makes calling it safe: slots, retries, counting, a budget."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from recruiter.config import ApiConfig
from recruiter.errors import ApiError, BudgetError, ConfigError
from recruiter.llm.clients import ModelClient, Sampling
from recruiter.llm.failure import CallFailed
from recruiter.llm.limiter import Limiter
from recruiter.llm.providers import OWN_PATIENCE, PATIENCE, find_key, find_model, find_provider
from recruiter.llm.reply import Completion, Tokens
from recruiter.llm.retry import RetryPolicy
from recruiter.llm.usage import Budget, Price, Usage
from recruiter.prompts import Message

COLD_START = 900.0  # seconds that an endpoint that scaled to zero may take
UNAUTHORIZED = 401  # the one status that means the key and nothing else
LETTERS_A_TOKEN = 4.0
REPLY_TOKENS = 150  # a usual reply, until some were seen
# Settings a server may refuse, those that matter least first; `response_format` stands for the schema.
REFUSABLE = ("seed", "top_k", "top_p", "response_format", "reasoning_effort", "temperature")
LIMIT_NAMES = ("max_tokens", "max_completion_tokens")


class ApiModel:
    """Calls one model of one provider.

    It may be used in one event loop after another (never in two at a time); connections are made in each. Once a call failed
    in a way that all others would, every further call raises the same error. After a call was answered, only 401 is blamed on
    the key, and nothing on the model. Settings that the server refuses are left out, which `usage.notes` says.
    """

    def __init__(
        self, settings: ApiConfig, noun: str = "replies", on_failure: Callable[[CallFailed], None] = lambda _: None
    ) -> None:
        """Look everything up that can be checked without a call.

        Args:
            noun: what its replies are, for `usage`.
            on_failure: is called with every failed attempt.

        Raises:
            ConfigError: provider, model, address, key or price is missing or wrong.
        """
        self._provider = find_provider(settings)
        self._key = find_key(settings)
        self._settings, self._on_failure = settings, on_failure
        found = find_model(settings)
        self.model = found.name
        self.name = f"{settings.provider}/{self.model}"
        self.address = settings.base_url or self._provider.base_url or ""
        price = settings.prices.get(self.model)
        self.usage = Usage(self.name, Price(**price) if price else None, noun)
        self.usage.note(*filter(None, [found.note]))
        if settings.budget_usd is not None and price is None:
            raise ConfigError(
                f"{settings.spelled('budget_usd')}={settings.budget_usd:g} needs the price of {self.model}: write "
                f"{settings.spelled('prices', self.model)}."
            )
        self.usage.share(Budget(settings.budget_usd, settings.spelled("budget_usd")))
        chosen = self._provider.temperature if settings.temperature is None else settings.temperature
        self.sampling = Sampling(settings.max_tokens, chosen, reasoning_effort=found.reasoning_effort)
        self._retries = RetryPolicy(settings.max_attempts, settings.attempt_timeout, settings.total_timeout)
        self._ended: ApiError | None = None
        self._has_answered = False
        self._refused: frozenset[str] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_service(self) -> bool:
        """Whether its models are what their names say for everybody, unlike those of a server of one's own."""
        return self._provider.base_url is not None

    @property
    def has_schema(self) -> bool:
        """Whether replies can be held to a JSON schema."""
        return self._provider.has_schema

    async def complete(
        self, messages: Sequence[Message], sampling: Sampling | None = None, schema: dict[str, Any] | None = None
    ) -> Completion:
        """The model's reply to chat messages.

        Raises:
            CallFailed: this call came to nothing.
            ApiError: no call will: wrong key, unknown model, no credit, or the budget is spent (`BudgetError`).
        """
        wanted = {**asdict(sampling or self.sampling), "response_format": schema}
        refused = self._refused | {name for name in self._provider.lacks if wanted.get(name) is not None}
        while True:
            try:
                completion = await self._call(messages, wanted, refused)
            except CallFailed as failure:
                given_up = self._give_up(failure, wanted, refused)
                if given_up is None:
                    raise self._fatal(failure) from None
                refused |= {given_up}
                continue
            self._refused |= refused  # now that it is known to help
            self.usage.note(*self._notes(wanted, refused))
            return completion

    async def find_model(self, patience: float | None = None) -> None:
        """Ask the server which model it has, and use that one.

        Args:
            patience: seconds that it may take to start; None: no more than any call.

        Raises:
            CallFailed: it does not answer.
            ApiError: it will not, or has several models.
        """
        client, limiter = self._open()
        retries = replace(self._retries, max_attempts=10**6, total_timeout=patience) if patience else self._retries
        try:
            models = await retries.run(client.models, limiter, self._failed)
        except CallFailed as failure:
            raise self._fatal(failure) from None
        if len(models) != 1:
            raise ApiError(
                f"{self.address} has {len(models)} models ({', '.join(models[:5]) or 'none'}); name one: "
                f"--model openai_compatible/{models[0] if models else 'NAME'} --base-url {self.address}."
            )
        self.model = models[0]
        self.name = self.usage.name = f"{self._settings.provider}/{self.model}"

    async def close(self) -> None:
        """Close the connections of the present event loop."""
        if self._loop is asyncio.get_running_loop():
            self._loop = None
            await self._client.close()

    def _open(self) -> tuple[ModelClient, Limiter]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._client = ModelClient(self._provider, self.address, self._key, self._settings.attempt_timeout)
            self._limiter = Limiter(self._settings.concurrency)
            self._loop = loop
        return self._client, self._limiter

    async def _call(self, messages: Sequence[Message], wanted: dict[str, Any], refused: frozenset[str]) -> Completion:
        """One call with its retries, without the settings in `refused`."""
        client, limiter = self._open()
        limit_name = self._limit_name(refused)
        sent = {name: None if name in refused else value for name, value in wanted.items()}
        sent["max_tokens"] = wanted["max_tokens"] if limit_name else None
        schema = sent.pop("response_format")
        sampling = Sampling(**sent)

        async def attempt() -> Completion:
            self._check_budget(messages, limiter.running)
            self.usage.count(calls=1)
            start = time.perf_counter()
            try:
                completion = await client.complete(self.model, messages, sampling, schema, limit_name or "max_tokens")
            except CallFailed as failure:
                is_blamed = failure.kind in ("authentication", "unknown_model") and failure.status != UNAUTHORIZED
                if is_blamed and self._has_answered:
                    raise CallFailed("server_error", failure.detail, failure.retry_after) from None
                raise
            self._has_answered = True
            self.usage.answered(completion.tokens, time.perf_counter() - start)
            return completion

        return await self._retries.run(attempt, limiter, self._failed)

    def _failed(self, failure: CallFailed) -> None:
        self.usage.failed(failure.kind)
        self._on_failure(failure)

    def _limit_name(self, refused: frozenset[str]) -> str | None:
        """What the limit of a reply's tokens is called; None: the server takes none."""
        names = (self._provider.limit_name, *LIMIT_NAMES) if self._provider.wire == "openai" else LIMIT_NAMES[:1]
        return next((name for name in names if name not in refused), None)

    def _give_up(self, failure: CallFailed, wanted: dict[str, Any], refused: frozenset[str]) -> str | None:
        """The setting to leave out after a failure, the least important one if the server names several."""
        if failure.kind != "bad_request":
            return None
        for name in REFUSABLE:
            if name in failure.settings and name not in refused and wanted.get(name) is not None:
                return name
        limit_name = self._limit_name(refused)
        may_be_left_out = self._provider.wire == "openai"
        return limit_name if may_be_left_out and failure.settings & set(LIMIT_NAMES) else None

    def _notes(self, wanted: dict[str, Any], refused: frozenset[str]) -> Iterator[str]:
        """What was left out, in words. A seed that is not taken changes nothing that anybody asked for."""
        for name in REFUSABLE:
            value = wanted.get(name)
            if name in refused and value is not None and name != "seed":
                instead = "" if name == "response_format" else f", so its own was used instead of {value}"
                yield f"its provider takes no {name}{instead}"
        if self._limit_name(refused) is None:
            yield "its provider takes no limit of a reply's tokens"

    def _fatal(self, failure: CallFailed) -> CallFailed | ApiError:
        """The failure itself, or what ends all calls because of it."""
        if not failure.is_fatal:
            return failure
        self._ended = self._ended or ApiError(self._explain(failure))
        return self._ended

    def _check_budget(self, messages: Sequence[Message], running: int) -> None:
        """Refuse a call that could take the run above its budget, those under way (this one among them) included."""
        if self._ended is not None:
            raise self._ended
        budget, price = self.usage.budget, self.usage.price
        limit, spent = budget.limit_usd, budget.spent_usd
        if limit is None or price is None:
            return
        letters = sum(len(message["content"]) for message in messages)
        by_length = price.cost(Tokens(int(letters / LETTERS_A_TOKEN), 0, REPLY_TOKENS))
        if spent + running * max(self.usage.dearest, by_length) > limit:
            self._ended = BudgetError(
                f"Calls have cost ${spent:.4f}, and more would exceed {budget.option}={limit:g}: raise it and run "
                f"the same command again; what arrived is in the cache and costs nothing again."
            )
            raise self._ended

    def _explain(self, failure: CallFailed) -> str:
        provider, said = self._settings.provider, failure.detail
        again = "Then run the same command again."
        if failure.kind == "paused":
            return f"{self.address} is paused, and only its owner can resume it: press Resume on its page."
        if failure.kind == "authentication" and provider == "huggingface":
            return (
                f"{self.address} {'does not accept' if self._key else 'needs'} HF_TOKEN ({said}): set HF_TOKEN to a token of "
                f"the account that the endpoint belongs to."
            )
        if failure.kind == "unknown_model" and provider == "huggingface":
            return f"{self.address} has nothing there ({said}): check HF_ENDPOINT_URL; deleted endpoints answer so too."
        if failure.kind == "authentication":
            variable = self._provider.key_variable
            return f"{provider} refused the key ({said}): set {variable} in the environment or in .env. {again}"
        if failure.kind == "credit":
            return f"The credit at {provider} is used up ({said}): add some. {again}"
        settings = self._settings
        address = f", and {settings.spelled('base_url', self.address)} to where it is" if settings.base_url else ""
        other = settings.spelled("model", "<one that it has>")
        return f"{provider} does not have the model {self.model} ({said}): write {other}{address}."


def server_settings(address: str, model: str | None = None, is_hosted: bool = False) -> ApiConfig:
    """Settings of a server named by its address, with or without the path of its API.

    Args:
        is_hosted: whether it is a Hugging Face endpoint, whose answers may take longer.
    """
    address = address.rstrip("/") if re.search(r"//[^/]+/.", address) else address.rstrip("/") + "/v1"
    settings = ApiConfig("huggingface" if is_hosted else "openai_compatible", model or "unknown", address)
    attempt, total = PATIENCE if is_hosted else OWN_PATIENCE
    return replace(settings, attempt_timeout=attempt, total_timeout=total)
