"""The runner: every model writes, every judge judges, some questions twice, and what came of it becomes the results.

Models take turns, and so do judges, so that a budget is kept and a small machine is not torn between them. Whatever fails
costs its own sample, model or judge, with the reason in the results; the rest goes on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any, TypeVar

from recruiter.errors import RecruiterError
from recruiter.evaluation.agreement import composite, consistency
from recruiter.evaluation.assembling import assemble
from recruiter.evaluation.contestants import Contestant, Setup
from recruiter.evaluation.estimates import Consistency
from recruiter.evaluation.records import ComparisonRecord, JudgementRecord, SampleRecord
from recruiter.evaluation.results import Results
from recruiter.evaluation.simulation import simulate
from recruiter.evaluation.spending import probe, probe_candidates
from recruiter.evaluation.store import RecordStore
from recruiter.judges import Judge
from recruiter.judges.comparing import Preference
from recruiter.llm.loop_thread import run_async
from recruiter.llm.reply_cache import cache_key
from recruiter.prompts import PROMPT_HASH, comparison_system
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.writers import Slot, Written

Progress = Callable[[str, str, float], None]  # who is at work, at what, and the share that is done
NOT_JUDGED = "not judged: "
T = TypeVar("T")


class Evaluation:
    """One evaluation on its way from a plan to results.

    Attributes:
        problems: what went wrong for a whole model or judge, a sentence each.
    """

    def __init__(self, setup: Setup, store: RecordStore, progress: Progress) -> None:
        """Take what takes part, and where earlier evaluations left their questions."""
        self.setup, self.plan, self.contestants = setup, setup.plan, setup.contestants
        self.problems: list[str] = []
        self._store, self._progress = store, progress
        self._roles = {role.id: role for role in setup.roles}

    def run(self) -> Results:
        """Do everything that was planned, and return the results."""
        start = time.perf_counter()
        samples: list[SampleRecord] = []
        for contestant in self.contestants:
            written = self.write(contestant)
            for judge in self.setup.judges:
                self.judge(judge, contestant.name, written)
            samples += written
        twice = {judge.name: self.judge_twice(judge, samples) for judge in self.setup.judges} if self.plan.twice else {}
        compared = (
            {judge.name: self.compare(judge, samples) for judge in self.setup.judges} if self.plan.pairwise else {}
        )
        self.simulate(samples)
        return assemble(self.setup, samples, twice, compared, self.problems, time.perf_counter() - start)

    def probe_judges(self) -> Iterator[str]:
        """Call each judge once, so that a wrong key is noticed before any model writes, and say what it will be asked.

        If all questions are there already, nothing is called.

        Raises:
            ApiError: a judge does not answer.
        """
        if all(len(self._known(contestant)) == len(self._slots) for contestant in self.contestants):
            return
        for judge in [part for each in self.setup.judges for part in each.parts]:
            if line := probe(judge, self.plan, len(self.setup.roles), len(self.contestants)):
                yield line
        candidates, roles = self.setup.simulated, self.setup.roles
        if candidates and (line := probe_candidates(candidates, self.plan, roles, len(self.contestants))):
            yield line

    def write(self, contestant: Contestant) -> list[SampleRecord]:
        """The questions of one model, those of earlier evaluations from the store."""
        known, reason, made_by = self._known(contestant), "it was not written", self._made_by(contestant)
        asked = (self.setup.roles, self.plan.samples, self.setup.sampling, self.plan.seed)

        def progress(share: float) -> None:
            self._progress(contestant.name, "writing", share)

        try:
            if len(known) < len(self._slots):
                for written in contestant.writer.write(*asked, known.keys(), progress):
                    slot = (written.role_id, written.sample)
                    known[slot] = written
                    if written.error is None:
                        value = {**asdict(written), "notes": contestant.writer.notes}
                        self._store.put("question", made_by, *slot, value=value)
        except RecruiterError as error:
            reason = str(error)
            _add(self.problems, [f"{contestant.name}: {reason}"])
        else:
            progress(1.0)
        contestant.writer.release()
        return [_sample(contestant.name, slot, known.get(slot), reason) for slot in self._slots]

    @property
    def _slots(self) -> list[Slot]:
        """Everything that a model is to write."""
        return [(role.id, index) for role in self.setup.roles for index in range(self.plan.samples)]

    def _made_by(self, contestant: Contestant) -> str:
        """Hash of everything that a model's questions depend on: all roles, for some are decoded together."""
        roles = [role.model_dump(mode="json") for role in self.setup.roles]
        plan = self.plan
        return cache_key(contestant.writer.fingerprint, PROMPT_HASH, plan.sampling, plan.seed, plan.samples, roles)

    def _known(self, contestant: Contestant) -> dict[Slot, Written]:
        """The questions of earlier evaluations; what was noted with them is added to the writer's notes."""
        made_by, known = self._made_by(contestant), {}
        for slot in self._slots:
            if stored := self._store.get("question", made_by, *slot):
                _add(contestant.writer.notes, stored.pop("notes"))
                known[slot] = Written(**stored)
        return known

    def judge(self, judge: Judge, of: str, samples: Sequence[SampleRecord]) -> None:
        """Have a judge score all questions of a model, all roles at once, and add what it says to the samples."""
        for sample, judgement in self._scored(judge, samples, of, f"judged by {judge.name}"):
            sample.judgements[judge.name] = _record(judgement)

    def judge_twice(self, judge: Judge, samples: Sequence[SampleRecord]) -> Consistency:
        """Ask a judge a second time about some of the questions that it has scored."""
        scored = [sample for sample in samples if composite(sample, judge.name) is not None]
        chosen = random.Random(self.plan.seed).sample(scored, min(self.plan.twice, len(scored)))
        pairs = [
            (first, judgement.scores.composite)
            for sample, judgement in self._scored(judge.without_memory(), chosen, judge.name, "asked twice")
            if judgement.scores and (first := composite(sample, judge.name)) is not None
        ]
        return consistency([first for first, _ in pairs], [second for _, second in pairs])

    def simulate(self, samples: Sequence[SampleRecord]) -> None:
        """Hold interviews with simulated candidates about all questions, where that is planned."""
        judge = self.setup.simulated
        if judge is None:
            return

        def progress(share: float) -> None:
            self._progress("simulated candidates", "interviews", share)

        try:
            simulate(judge, samples, self._roles, self._store, self.plan.seed, progress)
        except RecruiterError as error:
            _add(self.problems, [f"{judge.name}: {error}"])
        progress(1.0)

    def compare(self, judge: Judge, samples: Sequence[SampleRecord]) -> list[ComparisonRecord]:
        """Have a judge compare the questions of every two models for every role, in both orders."""
        questions = {(s.model, s.role_id, s.sample): s.question for s in samples}
        names = [contestant.name for contestant in self.contestants]
        places = [
            (role, index, *order)
            for role in self.setup.roles
            for index in range(self.plan.samples)
            for model, other in combinations(names, 2)
            for order in ((model, other), (other, model))
        ]

        async def preference(role: Role, index: int, first: str, second: str) -> Preference:
            shown_first, shown_second = (questions[name, role.id, index] for name in (first, second))
            if shown_first is None or shown_second is None:
                return Preference(None, failure="a question is missing")
            seen = (comparison_system(judge.rubric), role.model_dump(mode="json"), shown_first, shown_second)
            asked = ("comparison", judge.name, judge.version, *seen)
            if stored := self._store.get(*asked):
                return Preference(**stored)
            found = await judge.compare(role, shown_first, shown_second)
            if found.preferred:
                self._store.put(*asked, value=asdict(found))
            return found

        found = self._gathered(judge, [preference(*place) for place in places], judge.name, "comparing")
        return [
            ComparisonRecord(
                role_id=role.id,
                sample=index,
                first=first,
                second=second,
                **asdict(
                    Preference(None, failure=NOT_JUDGED + str(each)) if isinstance(each, RecruiterError) else each
                ),
            )
            for (role, index, first, second), each in zip(places, found, strict=True)
        ]

    def _scored(
        self, judge: Judge, samples: Sequence[SampleRecord], who: str, what: str
    ) -> Iterator[tuple[SampleRecord, Judgement]]:
        """A judgement for every sample that has a question."""
        by_role: dict[str, list[SampleRecord]] = {}
        for sample in samples:
            if sample.question is not None:
                by_role.setdefault(sample.role_id, []).append(sample)
        asked = [
            judge.score(self._roles[role], [str(sample.question) for sample in rows]) for role, rows in by_role.items()
        ]
        for rows, found in zip(by_role.values(), self._gathered(judge, asked, who, what), strict=True):
            if isinstance(found, RecruiterError):
                found = [Judgement.unscored(NOT_JUDGED + str(found))] * len(rows)
            yield from zip(rows, found, strict=True)

    def _gathered(
        self, judge: Judge, work: Sequence[Coroutine[Any, Any, T]], who: str, what: str
    ) -> list[T | RecruiterError]:
        """What all coroutines return, in order, or the error that a judge that can do no more raised."""
        done = 0

        async def guarded(coroutine: Coroutine[Any, Any, T]) -> T | RecruiterError:
            nonlocal done
            try:
                return await coroutine
            except RecruiterError as error:
                _add(self.problems, [f"{judge.name}: {error}"])
                return error
            finally:
                done += 1
                self._progress(who, what, done / len(work))

        async def everything() -> list[T | RecruiterError]:
            try:
                return await asyncio.gather(*map(guarded, work))
            finally:
                await judge.close()

        return run_async(everything())


def _add(known: list[str], new: Sequence[str]) -> None:
    """Add what is not there yet."""
    known += [text for text in new if text not in known]


def _sample(model: str, slot: Slot, written: Written | None, reason: str) -> SampleRecord:
    role_id, index = slot
    place: dict[str, Any] = {"model": model, "role_id": role_id, "sample": index}
    if written is None or written.error is not None:
        failure = reason if written is None else written.error
        return SampleRecord(
            **place, question=None, failure=failure, tokens=None, finished=None, seconds=None, cost_usd=None
        )
    return SampleRecord(
        **place,
        question=written.text,
        failure=None,
        tokens=written.tokens,
        finished=written.finished,
        seconds=written.seconds,
        cost_usd=written.cost_usd,
    )


def _record(judgement: Judgement) -> JudgementRecord:
    scores = judgement.scores
    return JudgementRecord(
        scores={**scores.values, "composite": scores.composite} if scores else None,
        reasoning=judgement.reasoning,
        unscored_reason=judgement.unscored_reason,
    )
