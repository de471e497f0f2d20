"""The LLM judge: a language model that scores by the rubric, made fit for long, paid runs.

A judgement is looked up in the cache, or asked for once however often it is wanted at the same moment, and stored the
moment it arrives. What fails for one question makes it unscored, with the reason; what would fail for all of them ends
the run. `recruiter.llm` calls the model, `reply.py` reads what it says, `canary.py` distrusts it.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from recruiter.config import JudgeConfig
from recruiter.config.paths import WORKSPACE
from recruiter.errors import ConfigError, JudgeError
from recruiter.judges import Bill, Judge, Probe
from recruiter.judges.comparing import SCHEMA, Preference, read_preference
from recruiter.judges.llm.cache import JudgementCache
from recruiter.judges.llm.canary import counting_judgement, without_manipulation
from recruiter.judges.llm.reply import ReplyError, ReplyFormat
from recruiter.judges.ratings import choose_examples, read_ratings
from recruiter.llm.api_model import ApiModel
from recruiter.llm.failure import CallFailed
from recruiter.llm.gathering import gathered
from recruiter.llm.reply import Tokens
from recruiter.llm.reply_cache import cache_key
from recruiter.prompts import Example, Message, comparison_messages, judge_messages, repair_messages
from recruiter.roles import Role
from recruiter.rubric import Judgement, Rubric, load_rubric

PROBE_ROLE = Role(
    id="probe",
    title="Backend Engineer",
    level="mid",
    focus="payments",
    stack=("Python", "PostgreSQL"),
    description="Keep a payment service correct while providers time out.",
    key_skills=("idempotent API design",),
)
_SAID_NOTHING = ("refusal", "truncated", "malformed")  # kinds of a reply that came
T = TypeVar("T")
PROBE_QUESTION = "A provider times out after a charge. How do you retry without charging twice?"


class LLMJudge(Judge):
    """A language model behind an API as a judge."""

    def __init__(self, settings: JudgeConfig, rubric: Rubric | None = None) -> None:
        """Check everything that can be checked without a call, and open the cache.

        Args:
            rubric: what it scores by; None: the built-in one.

        Raises:
            ConfigError: a setting or the key is missing or wrong.
            ApiError: the cache cannot be used.
        """
        self.settings, self.rubric = settings, rubric or load_rubric()
        self.api = ApiModel(settings, "judgements")
        self.usage = self.api.usage
        self.name = self.api.name
        self._asked_as = (settings.provider, self.api.model, *map(str, self._drawn()))
        self.examples = self._load_examples(settings)
        told = self.messages(PROBE_ROLE, PROBE_QUESTION)
        self.version = cache_key(self._asked_as, self.rubric.hash, told, *self._mode())[:16]
        self.cache = JudgementCache(WORKSPACE / settings.cache_path, self.rubric, settings.spelled("cache_path"))
        self._format = ReplyFormat(self.rubric)
        self._under_way: dict[str, asyncio.Task[Judgement]] = {}

    def _load_examples(self, settings: JudgeConfig) -> list[Example]:
        if settings.examples is None:
            return []
        path = next(
            (place for place in (Path(settings.examples), WORKSPACE / settings.examples) if place.is_file()), None
        )
        if path is None:
            raise ConfigError(
                f"There are no ratings at {settings.place}.examples={settings.examples}; export them first."
            )
        return choose_examples(read_ratings(path, self.rubric, {}), self.rubric)

    def messages(self, role: Role, question: str) -> list[Message]:
        """What the model is asked about a question."""
        return judge_messages(self.rubric, role, question, self.examples)

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """One judgement per question, in order.

        Raises:
            ApiError: the judge cannot be used any more, or its budget is spent; what arrived is in the cache.
        """
        return await gathered([self._judgement(role, question) for question in questions])

    async def probe(self) -> Probe:
        """Ask for one judgement, past the cache, and say what it took.

        Raises:
            ApiError: it did not come; a run would get nowhere.
        """
        start = time.perf_counter()
        messages, asked = self._probe()
        try:
            _, tokens = await asked
        except CallFailed as failure:
            if failure.kind in _SAID_NOTHING:
                raise JudgeError(f"{self.name} could not judge a simple question: {failure}.") from None
            raise JudgeError(f"{self.name} at {self.api.address} did not answer: {failure}.") from None
        return Probe(time.perf_counter() - start, tokens, _letters(messages))

    def bill(self, probe: Probe, role: Role, questions: int) -> Bill:
        """See `Judge`: a call for each question."""
        messages = self.messages(role, PROBE_QUESTION)
        return self._bill(probe, questions, _letters(messages) * questions, probe.tokens.output * questions)

    def _probe(self) -> tuple[Sequence[Message], Coroutine[Any, Any, tuple[object, Tokens]]]:
        """The messages that show whether a judgement can be had, and asking them."""
        messages = self.messages(PROBE_ROLE, PROBE_QUESTION)
        return messages, self._ask(messages, self._format.schema, self._format.parse)

    def _bill(self, probe: Probe, calls: int, letters: int, output: int) -> Bill:
        tokens = Tokens(round(probe.tokens.input * letters / probe.letters), 0, output)
        return Bill(calls, tokens, self.usage.price.cost(tokens) if self.usage.price else None)

    async def compare(self, role: Role, first: str, second: str) -> Preference:
        """See `Judge`. The model is asked which one it prefers."""
        schema = SCHEMA if self.api.has_schema else None
        try:
            messages = comparison_messages(self.rubric, role, first, second)
            completion = await self.api.complete(messages, schema=schema)
        except CallFailed as failure:
            return Preference(None, failure=str(failure))
        if completion.ended != "by itself":
            return Preference(None, failure=f"the reply ended {completion.ended}")
        return read_preference(completion.text)

    def without_memory(self) -> Self:
        """See `Judge`. What it says is stored apart."""
        other = copy.copy(self)
        other._asked_as, other._under_way = (*self._asked_as, "again"), {}
        return other

    async def close(self) -> None:
        """Close the connections of the present event loop; the judge may be used in another one."""
        await self.api.close()

    def _mode(self) -> tuple[Any, ...]:
        """What else a judgement depends on."""
        return ()

    def _drawn(self) -> tuple[Any, ...]:
        return self.api.sampling.temperature, self.api.sampling.reasoning_effort

    async def _judgement(self, role: Role, question: str) -> Judgement:
        """What counts for one question: its judgement, checked by the canary where it addresses the judge."""
        rest = without_manipulation(question, self.rubric.names)
        if rest is None:
            return await self._known_or_asked(role, question)
        whole, clean = await asyncio.gather(self._known_or_asked(role, question), self._known_or_asked(role, rest))
        judgement, was_raised = counting_judgement(whole, clean)
        self.usage.count(flagged=int(was_raised))
        return judgement

    async def _known_or_asked(self, role: Role, question: str) -> Judgement:
        messages = self.messages(role, question)
        key = cache_key(*self._asked_as, messages)
        task = self._under_way.get(key)
        known = self.cache.get(key) if task is None else None
        self.usage.count(wanted=1, hits=int(task is not None or known is not None))
        if known is not None:
            return known
        if task is None:
            task = asyncio.create_task(self._asked(key, messages))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._arrived(key, done))
        return await asyncio.shield(task)

    def _arrived(self, key: str, task: asyncio.Task[Judgement]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, whether or not somebody still waits for it

    async def _asked(self, key: str, messages: Sequence[Message]) -> Judgement:
        try:
            judgement, tokens = await self._ask(messages, self._format.schema, self._format.parse)
        except CallFailed as failure:
            return Judgement.unscored(str(failure))
        return self.cache.put(key, self.name, judgement, tokens)

    async def _ask(
        self, messages: Sequence[Message], schema: dict[str, Any], read: Callable[[str], T]
    ) -> tuple[T, Tokens]:
        """Ask the model; if its reply cannot be read, ask it once to mend it.

        Args:
            read: makes something of the reply, or raises `ReplyError`.

        Raises:
            CallFailed: no reply, or none that can be read.
            ApiError: the judge cannot be used any more.
        """
        tokens, problem, asked = Tokens(), "", list(messages)
        for _ in range(2):
            completion = await self.api.complete(asked, schema=schema if self.api.has_schema else None)
            tokens += completion.tokens
            if completion.ended != "by itself":
                kind = "refusal" if completion.ended == "refused" else "truncated"
                self.usage.failed(kind)
                raise CallFailed(kind, f"the reply ended {completion.ended}")
            try:
                return read(completion.text), tokens
            except ReplyError as error:
                problem = str(error)
                self.usage.failed("malformed")
                asked = [*messages, *repair_messages(completion.text, problem)]
        raise CallFailed("malformed", problem)


def _letters(messages: Sequence[Message]) -> int:
    return sum(len(message["content"]) for message in messages)
