"""A model behind an API as a writer: many calls at a time, each question stored the moment it arrives.

A question is looked up in the cache under model, messages, settings, seed and number, so asking again costs nothing. Models
on a server of one's own are always asked: the same name may be another model tomorrow.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from recruiter.config import ApiConfig, SamplingParams
from recruiter.config.paths import WORKSPACE
from recruiter.errors import ApiError
from recruiter.llm.api_model import COLD_START, ApiModel, server_settings
from recruiter.llm.clients import Sampling
from recruiter.llm.failure import CallFailed
from recruiter.llm.loop_thread import LoopThread, run_async
from recruiter.llm.reply import Completion
from recruiter.llm.reply_cache import ReplyCache, cache_key, reply_table
from recruiter.prompts import Message, generator_messages
from recruiter.roles import Role
from recruiter.writers import Progress, Slot, Written, without_label

CACHE = "data/generation_cache.sqlite"
THINKING_TOKENS = 4096  # on top of the question's limit, for models whose limit counts what they think
LOOK_EVERY = 0.2  # seconds between two reports of progress
_TABLE = reply_table(
    "questions",
    sa.Column("model", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False),
    sa.Column("finished", sa.Boolean, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("cost_usd", sa.Float),
    sa.Column("notes", sa.String, nullable=False),
)


class ApiWriter:
    """Asks one model of one provider. See `Writer`."""

    def __init__(self, settings: ApiConfig, name: str | None = None, cache: Path = WORKSPACE / CACHE) -> None:
        """Check everything that can be checked without a call.

        Raises:
            ConfigError: provider, model, address, key or price is missing or wrong.
        """
        self.api = ApiModel(settings, "questions")
        self.usage, self.notes = self.api.usage, self.api.usage.notes
        self.name = name or self.api.name
        self.trained_with: SamplingParams | None = None
        self._cache = cache
        self._room = 0  # tokens for thinking

    @cached_property
    def _replies(self) -> ReplyCache | None:
        """Opened by the first question; a server of one's own has none."""
        return ReplyCache(self._cache, _TABLE, "The cache of questions ") if self.is_service else None

    @property
    def is_service(self) -> bool:
        """See `Writer`."""
        return self.api.is_service

    @property
    def fingerprint(self) -> str:
        """Hash of the model's name, how long it thinks, and of the address of a server of one's own."""
        where, effort = "" if self.is_service else self.api.address, self.api.sampling.reasoning_effort
        return hashlib.sha256("\n".join([self.api.name, where, *filter(None, [effort])]).encode()).hexdigest()[:16]

    def prepare(self) -> None:
        """Nothing takes long."""

    def release(self) -> None:
        """Nothing is held."""

    def write(
        self,
        roles: Sequence[Role],
        samples: int,
        sampling: SamplingParams,
        seed: int = 0,
        skip: Set[Slot] = frozenset(),
        progress: Progress = lambda _: None,
    ) -> Iterator[Written]:
        """See `Writer`. The first question is asked for alone: it shows whether the model answers, and what it refuses.

        Raises:
            ApiError: no call will succeed, the cache cannot be used, or the budget is spent; what arrived is in the cache.
        """
        prompts = {role.id: generator_messages(role) for role in roles}
        yield from self._ask_all(prompts, samples, sampling, seed, skip, None, progress)

    def answer(
        self,
        prompts: Mapping[str, list[Message]],
        samples: int,
        sampling: SamplingParams,
        seed: int = 0,
        schema: dict[str, Any] | None = None,
        progress: Progress = lambda _: None,
    ) -> Iterator[Written]:
        """See `Writer`, and `write`. A server that takes no schema is asked without."""
        yield from self._ask_all(prompts, samples, sampling, seed, frozenset(), schema, progress)

    def _ask_all(
        self,
        prompts: Mapping[str, list[Message]],
        samples: int,
        sampling: SamplingParams,
        seed: int,
        skip: Set[Slot],
        schema: dict[str, Any] | None,
        progress: Progress,
    ) -> Iterator[Written]:
        self.prepare()
        wanted = [(name, s) for name in prompts for s in range(samples) if (name, s) not in skip]
        loop, done = LoopThread("writer"), 0
        try:
            for part in (wanted[:1], wanted[1:]):
                waiting: set[Future[Written]] = {
                    loop.submit(self._write(name, s, prompts[name], sampling, seed, schema)) for name, s in part
                }
                while waiting:
                    ready, waiting = wait(waiting, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
                    done += len(ready)
                    progress(done / len(wanted))
                    yield from (future.result() for future in ready)
        finally:
            loop.close(self.api.close)

    async def _write(
        self,
        name: str,
        sample: int,
        messages: list[Message],
        sampling: SamplingParams,
        seed: int,
        schema: dict[str, Any] | None,
    ) -> Written:
        effort = self.api.sampling.reasoning_effort
        key = cache_key(self.api.name, messages, asdict(sampling), seed, sample, *filter(None, [effort]))
        known = self._replies.find(key) if self._replies else None
        self.usage.count(wanted=1, hits=int(known is not None))
        if known is not None:
            self.usage.note(*json.loads(known["notes"]))
            return Written(name, sample, *(known[c] for c in ("text", "tokens", "finished", "seconds", "cost_usd")))
        start = time.perf_counter()
        number = int(cache_key(seed, name, sample)[:7], 16)
        try:
            completion = await self._ask(messages, sampling, number, schema)
        except CallFailed as failure:
            return Written(name, sample, "", 0, False, time.perf_counter() - start, error=str(failure))
        price, tokens = self.usage.price, completion.tokens
        written = Written(
            name,
            sample,
            without_label(completion.text.strip()),
            tokens.output - tokens.thinking,
            completion.ended == "by itself",
            time.perf_counter() - start,
            price.cost(tokens) if price else None,
        )
        if completion.ended == "refused" or not written.text:
            self.usage.failed("refusal" if completion.ended == "refused" else "empty")
            why = "refusal: the model declined" if completion.ended == "refused" else "empty: the model wrote nothing"
            return replace(written, error=why)
        if self._replies:
            values = asdict(written)
            for column in ("role_id", "sample", "error"):
                del values[column]
            self._replies.add(key, model=self.api.name, notes=json.dumps(self.notes), **values)
        return written

    async def _ask(
        self, messages: Sequence[Message], sampling: SamplingParams, number: int, schema: dict[str, Any] | None
    ) -> Completion:
        """Call the model, with room for thinking if it thinks. Settings that change nothing in its distribution are not sent.

        Raises:
            CallFailed: no reply.
            ApiError: there will be none.
        """
        while True:
            room = self._room
            wanted = Sampling(
                sampling.max_generate_length + room,
                sampling.temperature,
                sampling.top_p if sampling.top_p < 1 else None,
                sampling.top_k if sampling.top_k > 0 else None,
                number,
                self.api.sampling.reasoning_effort,
            )
            completion = await self.api.complete(messages, wanted, schema)
            thought = completion.tokens.thinking > 0 or not completion.text.strip()
            if completion.ended != "at the limit" or not thought or room:
                return completion
            self._room = THINKING_TOKENS
            self.usage.note(f"its limit of tokens counts its thinking, so it may use {THINKING_TOKENS} more")


class EndpointWriter(ApiWriter):
    """A server of one's own, or a Hugging Face endpoint, named by its address. It may have to start first."""

    def __init__(self, address: str, name: str | None = None, model: str | None = None) -> None:
        """Check address and key.

        Raises:
            ConfigError: one of them cannot work.
        """
        self._is_hosted = bool(re.match(r"https://[^/]+\.huggingface\.cloud", address)) or name == "endpoint"
        super().__init__(server_settings(address, model, self._is_hosted), name or address)
        self._has_model = model is not None

    def prepare(self) -> None:
        """Wait until the server answers, and find out which model it has.

        Raises:
            ApiError: it does not answer, or has several.
        """
        if self._has_model:
            return

        async def find() -> None:
            try:
                await self.api.find_model(COLD_START if self._is_hosted else None)
            except CallFailed as failure:
                raise ApiError(f"{self.api.address} does not say which models it has: {failure}.") from None
            finally:
                await self.api.close()

        run_async(find())
        self._has_model = True
