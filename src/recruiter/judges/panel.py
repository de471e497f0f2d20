"""Several judges with a job each: those that reward, those that gate, those that watch.

All are asked at once. A question that a rewarding or a gating judge could not score is unscored, as with one judge. A
watching judge that fails changes nothing: what it could not score is counted. `recruiter.reward` makes the reward.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from recruiter.config import ListedJudgeConfig
from recruiter.engines import Policy
from recruiter.errors import ApiError
from recruiter.judges import Judge, Probe
from recruiter.llm.usage import NoUsage, Tally, Usage, step_figures
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE, Judgement, Scores

HARMLESS = 5.0  # a composite from which a gating judge that names no defects takes nothing away


class Panel(Judge):
    """Judges of a run, each with a job. See `recruiter.judges.Judge`."""

    def __init__(self, settings: Sequence[ListedJudgeConfig], judges: Sequence[Judge], seed: int = 0) -> None:
        """Let judges by the same rubric work together.

        Args:
            settings: name, job, weight and share of each; at least one rewards.
            seed: of the choice which questions of a step a watching judge sees.
        """
        self.settings = {entry.title: entry for entry in settings}
        self._members = dict(zip(self.settings, judges, strict=True))
        self._seed, self._step = seed, 0
        self.rubric = judges[0].rubric
        self.name = " + ".join(self._members[name].name for name in self._deciding)
        jobs = [(name, entry.does, entry.weight, self._members[name].version) for name, entry in self.settings.items()]
        self.version = hashlib.sha256(repr(jobs).encode()).hexdigest()[:16]
        self.usage = PanelUsage({name: judge.usage for name, judge in self._members.items()})

    @property
    def members(self) -> Mapping[str, Judge]:
        """The judges by name, in the order of the settings."""
        return self._members

    @property
    def _deciding(self) -> list[str]:
        """Those whose word changes the reward."""
        return [name for name, entry in self.settings.items() if entry.does != "watch"]

    def in_step(self, step: int) -> Self:
        """See `Judge`. Watching judges see their share of the questions: which ones, seed and step decide."""
        other = copy.copy(self)
        other._step = step
        return other

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """One merged judgement per question, in order; `parts` holds that of every judge that saw the question.

        Raises:
            ApiError: a rewarding or a gating judge cannot be used any more.
        """
        work = (self._part(name, role, questions) for name in self._members)
        said: dict[str, list[Judgement | None]] = {}
        for name, parts in zip(self._members, await asyncio.gather(*work, return_exceptions=True), strict=True):
            if isinstance(parts, BaseException):
                raise parts  # after the others have answered: what is under way is paid for
            said[name] = parts
        return [
            self._merged({name: part for name, parts in said.items() if (part := parts[index]) is not None})
            for index in range(len(questions))
        ]

    async def _part(self, name: str, role: Role, questions: Sequence[str]) -> list[Judgement | None]:
        """What one judge says of each question; None where it is not asked."""
        judge, entry = self._members[name], self.settings[name]
        seen = [self._sees(name, role, question) for question in questions]
        asked = [question for question, is_seen in zip(questions, seen, strict=True) if is_seen]
        if not asked:
            return [None] * len(questions)
        try:
            judged = await judge.score(role, asked)
        except ApiError as error:
            if entry.does != "watch":
                raise
            judged = [Judgement.unscored(str(error))] * len(asked)
        if entry.does == "gate":
            judged = [replace(part, kept=_kept(judge, part)) for part in judged]
        answers = iter(judged)
        return [next(answers) if is_seen else None for is_seen in seen]

    def _sees(self, name: str, role: Role, question: str) -> bool:
        """Whether a judge is asked about a question. A watching one sees a share of those that a step samples."""
        entry = self.settings[name]
        if entry.does != "watch" or not self._step:
            return True
        drawn = hashlib.sha256("\n".join([str(self._seed), str(self._step), name, role.id, question]).encode())
        return int.from_bytes(drawn.digest()[:8]) < entry.share * 2**64

    def _merged(self, parts: Mapping[str, Judgement]) -> Judgement:
        """Means of the rewarding judges' scores, for people to look at, and what the gating judges keep."""
        reasoning = " ".join(
            f"[{name}] {part.reasoning or part.unscored_reason}"
            for name, part in parts.items()
            if part.reasoning or part.unscored_reason
        )
        kept = math.prod(parts[name].kept for name, entry in self.settings.items() if entry.does == "gate")
        missing = next((name for name in self._deciding if parts[name].scores is None), None)
        if missing is not None:
            return Judgement(None, reasoning, f"{missing}: {parts[missing].unscored_reason}", kept, parts)
        weights = {name: entry.weight for name, entry in self.settings.items() if entry.does == "reward"}
        total = sum(weights.values())
        scored = [(weight / total, scores) for name, weight in weights.items() if (scores := parts[name].scores)]
        values = {
            name: min(MAX_SCORE, _mean([(share, scores[name]) for share, scores in scored if name in scores.values]))
            for name in dict.fromkeys(name for _, scores in scored for name in scores)
        }
        composite = min(MAX_SCORE, sum(share * scores.composite for share, scores in scored))
        return Judgement(Scores(values, composite), reasoning, None, kept, parts)

    async def probe(self) -> Probe | None:
        """See that every judge answers; the slowest one's answer, if any costs something.

        Raises:
            ApiError: a judge does not answer.
        """
        found = await asyncio.gather(*(judge.probe() for judge in self._members.values()))
        return max((probe for probe in found if probe), key=lambda probe: probe.seconds, default=None)

    def attach(self, policy: Policy) -> None:
        """See `Judge`."""
        for judge in self._members.values():
            judge.attach(policy)

    def read(self, groups: Sequence[tuple[Role, Sequence[str]]]) -> None:
        """See `Judge`. Each judge gets what it is asked about."""
        for name, judge in self._members.items():
            seen = [(role, [text for text in questions if self._sees(name, role, text)]) for role, questions in groups]
            judge.read([(role, questions) for role, questions in seen if questions])

    def without_memory(self) -> Self:
        """See `Judge`."""
        other = copy.copy(self)
        other._members = {name: judge.without_memory() for name, judge in self._members.items()}
        return other

    async def close(self) -> None:
        """Close the connections of every judge."""
        await asyncio.gather(*(judge.close() for judge in self._members.values()))


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    """The mean of values, given (weight, value)."""
    return sum(weight * value for weight, value in weighted) / sum(weight for weight, _ in weighted)


def _kept(judge: Judge, judgement: Judgement) -> float:
    """The share of the reward that a gating judge leaves."""
    if judgement.scores is None or judge.names_defects:
        return judgement.kept
    return min(1.0, judgement.scores.composite / HARMLESS)


class PanelUsage(NoUsage):
    """What the calls of several judges take: figures of all together, and by judge where several call somebody."""

    def __init__(self, usages: Mapping[str, Usage]) -> None:
        super().__init__()
        self._usages = {name: usage for name, usage in usages.items() if usage.parts}

    @property
    def parts(self) -> tuple[Usage, ...]:
        """The usages of single models."""
        return tuple(part for usage in self._usages.values() for part in usage.parts)

    def take_step(self) -> dict[str, Any]:
        """The metrics since the last time this was asked: of one under their own names, of several also by judge."""
        tallies = {name: usage.take_tally() for name, usage in self._usages.items()}
        each = {name: step_figures(tally, self._usages[name].cost_usd) for name, tally in tallies.items()}
        if len(each) < 2:
            return next(iter(each.values()), {})
        costs, sums = [usage.cost_usd for usage in self._usages.values()], Tally()
        for tally in tallies.values():
            sums.add(tally)
        together = step_figures(sums, None if None in costs else sum(cost or 0.0 for cost in costs))
        return together | {f"{name}_{key}": value for name, figures in each.items() for key, value in figures.items()}

    def summary(self) -> str:
        """What each has taken so far."""
        return " | ".join(f"{name}: {usage.summary()}" for name, usage in self._usages.items())

    def state(self) -> dict[str, Any]:
        """Everything by judge, for checkpoints."""
        return {name: usage.state() for name, usage in self._usages.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Add what `state` returned before a restart."""
        for name in self._usages.keys() & state.keys():
            self._usages[name].load_state(state[name])
