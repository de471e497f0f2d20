"""The endpoint: a model behind an API, with everything that makes calling it safe: slots, retries, counting, a budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from recruiter.config import ApiConfig
from recruiter.errors import ApiError, BudgetError, ConfigError
from recruiter.llm.clients import Client, Completion, Sampling, Tokens, make_client
from recruiter.llm.failure import CallFailed
from recruiter.llm.limiter import Limiter
from recruiter.llm.providers import find_key, find_provider
from recruiter.llm.retry import RetryPolicy
from recruiter.llm.usage import Budget, Price, Usage
from recruiter.prompts import Message

LETTERS_A_TOKEN = 4.0
REPLY_TOKENS = 150  # a usual reply, until some were seen


class Endpoint:
    """Calls one model of one provider.

    It may be used in one event loop after another (never in two at a time); connections are made in each. Once a call
    failed in a way that all others would, every further call raises the same error.
    """

    def __init__(self, settings: ApiConfig, noun: str = "replies") -> None:
        """Look everything up that can be checked without a call.

        Args:
            noun: what its replies are, for `usage`.

        Raises:
            ConfigError: provider, model, address, key or price is missing or wrong.
        """
        self._provider = find_provider(settings)
        self._key = find_key(settings)
        self._settings = settings
        self.model = settings.model or self._provider.default_model or ""
        self.name = f"{settings.provider}/{self.model}"
        self.address = settings.base_url or self._provider.base_url or ""
        price = settings.prices.get(self.model)
        self.usage = Usage(self.name, Price(**price) if price else None, noun)
        if settings.budget_usd is not None and price is None:
            raise ConfigError(
                f"{settings.spelled('budget_usd')}={settings.budget_usd:g} needs the price of {self.model}: write "
                f"{settings.spelled('prices', self.model)}."
            )
        self.usage.share(Budget(settings.budget_usd, settings.spelled("budget_usd")))
        chosen = self._provider.temperature if settings.temperature is None else settings.temperature
        self.sampling = Sampling(settings.max_tokens, chosen, reasoning_effort=settings.reasoning_effort)
        self._retries = RetryPolicy(settings.max_attempts, settings.attempt_timeout, settings.total_timeout)
        self._ended: ApiError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def use_model(self, model: str) -> None:
        """From now on, ask this model of the same server."""
        self.model = model
        self.name = self.usage.name = f"{self._settings.provider}/{model}"

    @property
    def lacks(self) -> tuple[str, ...]:
        """Settings of sampling that the provider has no name for."""
        return self._provider.lacks

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
        client, limiter = self._open()

        async def attempt() -> Completion:
            self._check_budget(messages, limiter.running)
            self.usage.count(calls=1)
            start = time.perf_counter()
            completion = await client.complete(messages, sampling or self.sampling, schema)
            self.usage.answered(completion.tokens, time.perf_counter() - start)
            return completion

        try:
            return await self._retries.run(attempt, limiter, lambda failure: self.usage.failed(failure.kind))
        except CallFailed as failure:
            if not failure.is_fatal:
                raise
            self._ended = self._ended or ApiError(self._explain(failure))
            raise self._ended from None

    async def models(self) -> list[str]:
        """The models that the server has; waits for one that is starting.

        Raises:
            ApiError: it does not answer, or does not say.
        """
        client, limiter = self._open()
        try:
            return await self._retries.run(client.models, limiter, lambda failure: self.usage.failed(failure.kind))
        except CallFailed as failure:
            raise ApiError(f"{self.address} does not say which models it has: {failure}.") from None

    async def close(self) -> None:
        """Close the connections of the present event loop."""
        if self._loop is asyncio.get_running_loop():
            self._loop = None
            await self._client.close()

    def _open(self) -> tuple[Client, Limiter]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            timeout = self._settings.attempt_timeout
            self._client = make_client(self._provider, self.model, self.address, self._key, timeout)
            self._limiter = Limiter(self._settings.concurrency)
            self._loop = loop
        return self._client, self._limiter

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
        if failure.kind == "authentication":
            variable = self._provider.key_variable
            return f"{provider} refused the key ({said}): set {variable} in the environment or in .env. {again}"
        if failure.kind == "credit":
            return f"The credit at {provider} is used up ({said}): add some. {again}"
        settings = self._settings
        address = f", and {settings.spelled('base_url', self.address)} to where it is" if settings.base_url else ""
        other = settings.spelled("model", "<one that it has>")
        return f"{provider} does not have the model {self.model} ({said}): write {other}{address}."
