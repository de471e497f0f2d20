"""A language model as a blind reader: it sees a role and one question at a time, and nothing of who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from recruiter.config import NamedReaderConfig
from recruiter.errors import ConfigError
from recruiter.evaluation.blind import SheetRole
from recruiter.evaluation.records import Mark, Reading
from recruiter.evaluation.store import RecordStore
from recruiter.judges.llm.reply import read_number
from recruiter.judges.making import named_judge
from recruiter.llm.api_model import ApiModel
from recruiter.llm.failure import CallFailed
from recruiter.llm.gathering import gathered
from recruiter.llm.loop_thread import run_async
from recruiter.llm.providers import PROVIDERS
from recruiter.llm.reply import json_objects
from recruiter.prompts import Message, reader_messages
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string"},
        "score": {"type": "number", "description": f"0 to {MAX_SCORE:g}"},
        "makes_sense": {"type": "boolean"},
    },
    "required": ["reasoning", "score", "makes_sense"],
    "additionalProperties": False,
}
AGAIN = "That reply cannot be used. Reply again with the one JSON object that was asked for, complete."


class ModelReader:
    """Reads questions blind through a provider's API."""

    def __init__(self, name: str, base_url: str | None = None) -> None:
        """Check everything that can be checked without a call.

        Args:
            name: a provider, or provider/model.

        Raises:
            ConfigError: there is no such model, or its key is missing.
        """
        if name.partition("/")[0] not in PROVIDERS:
            raise ConfigError(f"--reader {name} cannot work; write {', '.join(PROVIDERS)} or one of them with /model.")
        self.api = ApiModel(named_judge(name, base_url, kind=NamedReaderConfig), "questions read")
        self.name, self.usage = self.api.name, self.api.usage

    def read(
        self, roles: Iterable[SheetRole], store: RecordStore, progress: Callable[[float], None]
    ) -> tuple[Reading, list[str]]:
        """The reading of a sheet, and a sentence for each question that it did not read.

        What it says is in the store the moment it arrives, and is not asked for again.

        Raises:
            ApiError: it can read no more; what arrived is stored.
        """
        asked = [(name, each.role, text) for each in roles for name, text in each.questions.items()]
        problems: list[str] = []
        done = 0

        async def read_question(name: str, role: Role, text: str) -> tuple[str, Mark | None]:
            nonlocal done
            try:
                return name, await self._mark(role, text, store)
            except CallFailed as failure:
                problems.append(f"{self.name} did not read {name}: {failure}.")
                return name, None
            finally:
                done += 1
                progress(done / len(asked))

        async def everything() -> list[tuple[str, Mark | None]]:
            try:
                return await gathered([read_question(*each) for each in asked])
            finally:
                await self.api.close()

        found = run_async(everything())
        return Reading(kind="language model", marks={name: mark for name, mark in found if mark}), problems

    async def _mark(self, role: Role, text: str, store: RecordStore) -> Mark:
        messages = reader_messages(role, text)
        sampling = self.api.sampling
        where = "" if self.api.is_service else self.api.address
        key = ("reading", self.name, where, sampling.temperature, sampling.reasoning_effort, messages)
        stored = store.get(*key)
        self.usage.count(wanted=1, hits=int(stored is not None))
        if stored is not None:
            return Mark.model_validate(stored)
        mark = await self._ask(messages)
        store.put(*key, value=mark.model_dump())
        return mark

    async def _ask(self, messages: list[Message]) -> Mark:
        """Ask the model; if its reply cannot be read, once more.

        Raises:
            CallFailed: no reply, or none that can be read.
        """
        asked = list(messages)
        for _ in range(2):
            completion = await self.api.complete(asked, schema=SCHEMA if self.api.has_schema else None)
            if completion.ended != "by itself":
                kind = "refusal" if completion.ended == "refused" else "truncated"
                self.usage.failed(kind)
                raise CallFailed(kind, f"the reply ended {completion.ended}")
            if mark := read_mark(completion.text):
                return mark
            self.usage.failed("malformed")
            asked = [
                *messages,
                Message(role="assistant", content=completion.text.strip() or "(nothing)"),
                Message(role="user", content=AGAIN),
            ]
        raise CallFailed("malformed", "the reply holds no score, or several")


def read_mark(text: str) -> Mark | None:
    """The mark in a reply; None if there is none, or several that say different things."""
    found: list[Mark] = []
    for value in json_objects(text):
        score, makes_sense = read_number(value.get("score")), value.get("makes_sense")
        if isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= MAX_SCORE:
            mark = Mark(score=score, no_sense=makes_sense is False)
            if isinstance(makes_sense, bool) and mark not in found:
                found.append(mark)
    return found[0] if len(found) == 1 else None
