"""Samples by hand, writers of given questions, and evaluations that run on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import SamplingParams
from recruiter.evaluation.contestants import Contestant, Setup
from recruiter.evaluation.records import JudgementRecord, Plan, SampleRecord
from recruiter.evaluation.results import Results
from recruiter.evaluation.runner import Evaluation
from recruiter.evaluation.store import RecordStore
from recruiter.judges import Judge
from recruiter.llm.reply_cache import cache_key
from recruiter.llm.usage import NO_USAGE, Usage
from recruiter.prompts import PROMPT_HASH, Message
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.writers import Written
from tests.conftest import MakeRole
from tests.scoring import RUBRIC, scored

Evaluate = Callable[..., tuple[Results, Evaluation]]


def sample(
    model: str, role_id: str, scores: tuple[float, float, float] | float | None, index: int = 0, **changes: Any
) -> SampleRecord:
    """A sample with one judgement by `judge`; None is unscored."""
    named = None
    if scores is not None:
        three = scores if isinstance(scores, tuple) else (scores,) * 3
        named = {**dict(zip(RUBRIC.names, three, strict=True)), "composite": sum(three) / 3}
    judgement = JudgementRecord(scores=named, reasoning="", unscored_reason=None if named else "timeout")
    fields = {
        "question": "Why is it slow?", "failure": None, "tokens": 10, "finished": True, "seconds": 1.0, "cost_usd": 0.0,
        "judgements": {"judge": judgement},
    }  # fmt: skip
    return SampleRecord(model=model, role_id=role_id, sample=index, **{**fields, **changes})


class ListWriter:
    """Writes given questions, "" for a failure, in the order of the roles; counts those it wrote."""

    trained_with: SamplingParams | None = None
    usage: Usage = NO_USAGE
    is_service = False

    def __init__(self, name: str, questions: Sequence[str], pause: Callable[[], None] = lambda: None) -> None:
        self.name, self.questions, self.pause = name, list(questions), pause
        self.notes: list[str] = []
        self.wrote: list[tuple[str, int]] = []

    @property
    def fingerprint(self) -> str:
        """Of the questions."""
        return cache_key(self.name, self.questions)

    def prepare(self) -> None:
        """Nothing to do."""

    def release(self) -> None:
        """Nothing to do."""

    def write(
        self,
        roles: Sequence[Role],
        samples: int,
        sampling: SamplingParams,
        seed: int = 0,
        skip: Set[tuple[str, int]] = frozenset(),
        progress: Callable[[float], None] = lambda share: None,
    ) -> Iterator[Written]:
        """The questions that are not skipped."""
        slots = [(role.id, index) for role in roles for index in range(samples)]
        for number, (slot, text) in enumerate(zip(slots, self.questions, strict=False)):
            if slot in skip:
                continue
            self.pause()
            self.wrote.append(slot)
            error = None if text else "the server was busy"
            yield Written(*slot, text, len(text.split()), True, 0.5, 0.001, error)
            progress((number + 1) / len(slots))

    def answer(
        self,
        prompts: Mapping[str, list[Message]],
        samples: int,
        sampling: SamplingParams,
        seed: int = 0,
        schema: dict[str, Any] | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> Iterator[Written]:
        """Evaluation asks for nothing else."""
        raise NotImplementedError


class WordJudge(Judge):
    """Scores a question by its number of words; one that says `refuse` is unscored."""

    name, version = "words", "1"
    rubric = RUBRIC

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """See `Judge`."""
        return [
            Judgement.unscored("refusal") if "refuse" in question else Judgement(scored(n), f"{n} words")
            for question in questions
            for n in [min(10, len(question.split()))]
        ]


def make_plan(models: Sequence[str], **changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "baseline": models[0], "roles_from": "test", "samples": 1, "seed": 0, "sampling": asdict(SamplingParams()),
        "trim": None, "twice": 0, "pairwise": False, "budget_usd": None, "prompt_hash": PROMPT_HASH,
        "rubric_hash": RUBRIC.hash,
    }  # fmt: skip
    return Plan(**{**fields, **changes})


@pytest.fixture
def evaluate(tmp_path: Path, role: MakeRole) -> Evaluate:
    """Run an evaluation of writers on as many roles as the first has questions."""

    def run(
        writers: Sequence[Any], judges: Sequence[Any] = (WordJudge(),), roles: Sequence[Role] = (), **plan: Any
    ) -> tuple[Results, Evaluation]:
        names = [writer.name for writer in writers]
        planned = make_plan(names, **plan)
        roles = roles or [role(i) for i in range(len(writers[0].questions) // planned.samples)]
        contestants = [Contestant(writer.name, writer) for writer in writers]
        store = RecordStore(tmp_path / "eval_store.sqlite")
        evaluation = Evaluation(Setup(planned, roles, contestants, judges), store, lambda who, what, share: None)
        return evaluation.run(), evaluation

    return run
