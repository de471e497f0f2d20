"""A policy of one number and a judge that scores by a function: what tests of the loop train with."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from recruiter.engines import Sample, TokenSums, UpdateResult
from recruiter.judges import Judge
from recruiter.rubric import Judgement
from tests.scoring import RUBRIC, scored


class FakePolicy:
    """A policy whose only parameter is `weight`; samples depend on it, so that nothing can be right by luck."""

    def __init__(self) -> None:
        self.weight, self.gradient, self.updates = 0.0, 0.0, 0
        self.calls: list[Any] = []
        self.sampling = False

    def groups_per_pass(self, prompts: Any, group_size: Any) -> int:
        return 1

    def sample(self, prompts: Any, group_size: Any, sampling: Any, seed: Any) -> Iterator[list[Any]]:
        self.calls.append(("sample", seed, len(prompts), group_size))
        self.sampling = True
        for messages in prompts:
            yield [self._sample(f"{seed}/{messages[1]['content']}/{i}/{self.weight!r}") for i in range(group_size)]
        self.sampling = False

    def _sample(self, key: str) -> Sample:
        generator = random.Random(key)
        tokens = [generator.randrange(1000) for _ in range(generator.randint(3, 8))]
        return Sample(" ".join(f"w{token}" for token in tokens), tokens, [-t / 1000 for t in tokens], len(tokens) < 8)

    def logprobs(self, groups: Any) -> list[Any]:
        self.calls += [("logprobs", self.weight)] * len(groups)
        return [[[self.weight] * len(sample.token_ids) for sample in group.samples] for group in groups]

    @contextmanager
    def base(self) -> Iterator[Any]:
        yield FakeReader()

    def look_ahead(self, groups: Any) -> bool:
        return False

    def forward_backward(self, groups: Any) -> TokenSums:
        (group,) = groups
        self.calls.append(("forward_backward", group.messages[1]["content"], list(group.advantages), group))
        for sample, advantage in zip(group.samples, group.advantages, strict=True):
            self.gradient += advantage * sum(sample.token_ids) / 1000
        return TokenSums(tokens=group.tokens, loss=self.gradient, ratio=group.tokens, max_ratios=[1.0])

    def optim_step(self, tokens: Any) -> UpdateResult:
        self.calls.append(("optim_step", tokens))
        norm, self.gradient = self.gradient / tokens, 0.0
        self.weight, self.updates = self.weight + norm, self.updates + 1
        return UpdateResult(abs(norm), 0.01)

    def snapshot(self) -> Callable[..., Any]:
        weight = self.weight

        def write(folder: Any) -> None:
            (folder / "lora_adapter").mkdir()
            (folder / "weight.json").write_text(json.dumps(weight))

        return write

    def load(self, folder: Any) -> None:
        self.weight = json.loads((folder / "weight.json").read_text())

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


class FakeReader:
    """Reads texts: every token is less likely than the one before."""

    parameters, fingerprint = 1, "fake"

    def answer_logprobs(self, prompts: Any, answers: Any) -> list[list[list[float]]]:
        return [[[-float(place) for place, _ in enumerate(text.split())] for text in group] for group in answers]


class FakeJudge(Judge):
    """Scores by `score(role, question, index)`, a number of 0 to 10 or None; answers after `delay(role)` seconds."""

    name = "fake"
    version = "1"
    rubric = RUBRIC

    def __init__(self, score: Any = None, delay: Callable[..., Any] = lambda role: 0.0) -> None:
        self.score_one = score or (lambda role, question, index: zlib.crc32(question.encode()) % 101 / 10)
        self.delay = delay

    async def score(self, role: Any, questions: Any) -> list[Any]:
        await asyncio.sleep(self.delay(role))
        values = [self.score_one(role, question, index) for index, question in enumerate(questions)]
        return [Judgement.unscored("timed out") if v is None else Judgement(scored(v)) for v in values]
