"""Speakers: the models of a simulated interview. Each answers as a candidate, and grades answers.

A model on this machine answers many questions at a time, and grades by the probabilities of Yes and No to a few checks, one
answer at a time: a small model that is asked which of two is better names the first, and gives every answer the same digit.
A model behind an API grades all answers to a question in one call, shuffled; what it says is kept, so that none of it is
paid for twice.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from recruiter.config import JudgeConfig, SamplingParams
from recruiter.config.paths import WORKSPACE
from recruiter.judges.llm.reply import letter_of, read_number
from recruiter.llm.api_model import ApiModel
from recruiter.llm.clients import Sampling
from recruiter.llm.failure import CallFailed
from recruiter.llm.gathering import gathered
from recruiter.llm.reply import json_objects
from recruiter.llm.reply_cache import ReplyCache, cache_key, reply_table
from recruiter.llm.usage import NO_USAGE, Usage
from recruiter.prompts import ANSWER_CHECKS, Message, answers_messages, grading_ending, grading_messages
from recruiter.rubric import MAX_SCORE

if TYPE_CHECKING:
    from recruiter.engines.model import LocalModel

ANSWERING = SamplingParams(temperature=0.8, top_p=0.95, max_generate_length=128)
_TABLE = reply_table(
    "interviews", sa.Column("model", sa.String, nullable=False), sa.Column("text", sa.String, nullable=False)
)


@dataclass(frozen=True)
class Answers:
    """The answers to one question, in an order that says nothing of who gave them.

    Attributes:
        guide: what a good answer contains, where that is known.
    """

    question: str
    guide: str | None
    texts: Sequence[str]


class Speaker(Protocol):
    """A model that answers questions and grades answers.

    Attributes:
        name: what tables and logs call it.
        usage: what its calls take.
        is_local: whether it computes on this machine.
        failure: of the last call that came to nothing.
    """

    name: str
    usage: Usage
    is_local: bool
    failure: CallFailed | None

    async def answer(self, prompts: Sequence[list[Message]], count: int, seed: int) -> list[list[str]]:
        """`count` answers to each prompt; fewer, where calls fail.

        Raises:
            ApiError: the model cannot be used any more.
        """
        ...

    async def grade(self, sheets: Sequence[Answers]) -> list[list[float | None]]:
        """A grade from 0 to 10 for each answer of each sheet; None where it gives none.

        Raises:
            ApiError: the model cannot be used any more.
        """
        ...

    async def close(self) -> None:
        """Close connections; it may be used again."""
        ...


class LocalSpeaker:
    """A model folder or Hub id. See `Speaker`."""

    usage: Usage = NO_USAGE
    is_local = True
    failure: CallFailed | None = None

    def __init__(self, path: str) -> None:
        """Nothing is loaded yet.

        Raises:
            ModelError: there is no such model.
        """
        from recruiter.engines.loading import check_model

        check_model(path, "auto", "{}")
        self.name, self._path = f"local/{path}", path
        self._lock = threading.Lock()

    @cached_property
    def _model(self) -> LocalModel:
        from recruiter.engines.model import LocalModel

        return LocalModel(self._path)

    async def answer(self, prompts: Sequence[list[Message]], count: int, seed: int) -> list[list[str]]:
        """See `Speaker`. The same prompts and seed give the same answers."""

        def compute() -> list[list[str]]:
            with self._lock:
                groups = self._model.sample(prompts, count, ANSWERING, seed)
                return [[sample.text for sample in group] for group in groups]

        return await asyncio.to_thread(compute)

    async def grade(self, sheets: Sequence[Answers]) -> list[list[float | None]]:
        """See `Speaker`: how likely a yes is to what `ANSWER_CHECKS` ask."""
        from recruiter.engines.reading import ModelReader

        def compute() -> list[list[float | None]]:
            openings = [grading_messages(sheet.question, sheet.guide) for sheet in sheets]
            endings = [
                [grading_ending(text, check) for text in sheet.texts for check in ANSWER_CHECKS] for sheet in sheets
            ]
            with self._lock:
                logits = ModelReader(self._model).choice_logits(openings, endings, ("Yes", "No"))
            size = len(ANSWER_CHECKS)
            return [[yes_grade(rows[at : at + size]) for at in range(0, len(rows), size)] for rows in logits]

        return await asyncio.to_thread(compute)

    async def close(self) -> None:
        """Nothing is open."""


class ApiSpeaker:
    """A model behind an API. See `Speaker`."""

    is_local = False

    def __init__(self, settings: JudgeConfig) -> None:
        """Check everything that can be checked without a call, and open the cache.

        Raises:
            ConfigError: a setting or the key is missing or wrong.
            ApiError: the cache cannot be used.
        """
        self.api = ApiModel(settings, "replies")
        self.name, self.usage = self.api.name, self.api.usage
        self.failure: CallFailed | None = None  # the last one
        self._replies = ReplyCache(WORKSPACE / settings.cache_path, _TABLE, settings.spelled("cache_path"))

    async def answer(self, prompts: Sequence[list[Message]], count: int, seed: int) -> list[list[str]]:
        """See `Speaker`."""
        sampling = Sampling(
            self.api.sampling.max_tokens, ANSWERING.temperature, reasoning_effort=self.api.sampling.reasoning_effort
        )

        async def one(messages: list[Message], number: int) -> str | None:
            return await self._reply(messages, sampling, None, bool, seed, number)

        found = await gathered([one(messages, number) for messages in prompts for number in range(count)])
        groups = [found[start : start + count] for start in range(0, len(found), count)]
        return [[text for text in group if text is not None] for group in groups]

    async def grade(self, sheets: Sequence[Answers]) -> list[list[float | None]]:
        """See `Speaker`."""
        return await gathered([self._grades(sheet) for sheet in sheets])

    async def _grades(self, sheet: Answers) -> list[float | None]:
        letters = [letter_of(index) for index in range(len(sheet.texts))]
        messages = answers_messages(sheet.question, sheet.guide, dict(zip(letters, sheet.texts, strict=True)))
        text = await self._reply(
            messages, self.api.sampling, grades_schema(letters), lambda text: None not in read_grades(text, letters)
        )
        return read_grades(text or "", letters)

    async def _reply(
        self,
        messages: list[Message],
        sampling: Sampling,
        schema: dict[str, object] | None,
        is_whole: Callable[[str], bool],
        *number: int,
    ) -> str | None:
        """The text of a reply, from the cache where it is there; None if the call came to nothing.

        Args:
            is_whole: says of a text whether it is all that was asked for, and worth keeping.
        """
        where = "" if self.api.is_service else self.api.address
        asked_as = (self.name, where, sampling.temperature, sampling.reasoning_effort)
        key = cache_key("interview", *asked_as, messages, *number)
        known = self._replies.find(key)
        self.usage.count(wanted=1, hits=int(known is not None))
        if known is not None:
            return str(known["text"])
        try:
            completion = await self.api.complete(messages, sampling, schema if self.api.has_schema else None)
        except CallFailed as failure:
            self.failure = failure
            return None
        text = completion.text.strip()
        if completion.ended != "by itself":
            self.usage.failed("refusal" if completion.ended == "refused" else "truncated")
            return None
        if not is_whole(text):
            self.usage.failed("malformed")
        else:
            self._replies.add(key, model=self.name, text=text)
        return text or None

    async def close(self) -> None:
        """See `Speaker`."""
        await self.api.close()


def yes_grade(logits: Sequence[Sequence[float]]) -> float:
    """A grade from 0 to 10: the probability of Yes at the mean log-odds, given the logits of Yes and No for each check."""
    odds = sum(yes - no for yes, no in logits) / len(logits)
    return MAX_SCORE / (1.0 + math.exp(-odds))


def grades_schema(letters: Sequence[str]) -> dict[str, object]:
    """JSON schema of a reply with a grade for each letter."""
    grades = {letter: {"type": "number", "description": f"0 to {MAX_SCORE:g}"} for letter in letters}
    return {"type": "object", "properties": grades, "required": list(letters), "additionalProperties": False}


def read_grades(text: str, letters: Sequence[str]) -> list[float | None]:
    """The grade of each letter in a reply; None for one that is missing, out of range or given twice."""
    found: list[float | None] = []
    objects = json_objects(text)
    for letter in letters:
        values = {value for each in objects if (value := _grade(each, letter)) is not None}
        found.append(values.pop() if len(values) == 1 else None)
    return found


def _grade(reply: Mapping[str, object], letter: str) -> float | None:
    value = read_number(reply.get(letter))
    is_grade = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SCORE
    return float(value) if is_grade else None  # type: ignore[arg-type]
