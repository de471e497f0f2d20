"""Simulated candidates: how surely the answers to a question tell a strong candidate from a weak one.

A weak and a strong candidate answer each question several times: two models, or one model that is told to be the one and the
other. A grader that sees the question, what a good answer contains where that is known, and the answers in an order that
says nothing, grades every answer. The figure is the probability that a strong answer gets a better grade than a weak one, a
tie counting half: 1 is a question that tells them apart every time, 0.5 one that tells nothing. Reading a question does not
tell this: language models that are asked for it from the text alone answer at chance (QG-SMS, ACL 2025).
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from recruiter.config import JudgeConfig
from recruiter.config.paths import model_folder
from recruiter.errors import ConfigError, JudgeError
from recruiter.judges import Bill, Probe
from recruiter.judges.in_trainer import InTrainer
from recruiter.judges.llm import PROBE_QUESTION, PROBE_ROLE
from recruiter.judges.panel import PanelUsage
from recruiter.judges.rubric_judge.wording import manipulation
from recruiter.judges.simulated.speakers import ANSWERING, Answers, ApiSpeaker, LocalSpeaker, Speaker
from recruiter.llm.providers import PROVIDERS
from recruiter.llm.reply import Tokens
from recruiter.llm.reply_cache import cache_key
from recruiter.llm.usage import NO_USAGE, Usage
from recruiter.prompts import ANSWER_CHECKS, Persona, answers_messages, candidate_messages, grading_messages
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE, Judgement, Rubric, Scores, load_rubric

FIGURE = "discrimination"
OWN_SERVER = "openai_compatible"
TIE = 0.5  # of 10 points: grades closer than that are equal
TOO_FEW = "too few of the candidates' answers arrived with a grade"


@dataclass(frozen=True)
class Asked:
    """A question to measure; `guide`: what a good answer contains, where that is known."""

    role: Role
    question: str
    guide: str | None = None


@dataclass(frozen=True)
class Graded:
    """An answer with its grade from 0 to 10; None if it got none."""

    text: str
    grade: float | None


@dataclass(frozen=True)
class Interviews:
    """What came of a question: the answers of both candidates."""

    weak: Sequence[Graded]
    strong: Sequence[Graded]

    def probability(self, answers: int) -> float | None:
        """That a strong answer gets a better grade than a weak one, a tie counting half.

        Args:
            answers: that each candidate was to give; None is returned if less than half of them have a grade.
        """
        sides = [[each.grade for each in side if each.grade is not None] for side in (self.weak, self.strong)]
        if min(map(len, sides)) * 2 < answers:
            return None
        pairs = list(product(*sides))
        return sum(0.5 if abs(strong - weak) <= TIE else float(strong > weak) for weak, strong in pairs) / len(pairs)


class SimulatedJudge(InTrainer):
    """Scores by interviews with simulated candidates: ten times the probability of `Interviews`. See `Judge`.

    Attributes:
        answers: of each candidate to each question.
    """

    def __init__(self, settings: JudgeConfig, rubric: Rubric | None = None, base: str | None = None) -> None:
        """No model is loaded and nobody is called yet.

        Args:
            base: what the policy is trained from, where one is trained: plays all parts if the settings name no model.

        Raises:
            ConfigError: no model is named, or its key is missing.
            ModelError: there is no such model.
            ApiError: the cache cannot be used.
        """
        super().__init__()
        self.rubric, self.answers = rubric or load_rubric(), settings.answers
        grader = settings.model or settings.strong or (base and f"local/{base}")
        if grader is None:
            raise ConfigError(f"{settings.spelled('provider', 'simulated')} needs a model: {_WISH}.")
        names = {"weak": settings.weak or grader, "strong": settings.strong or grader, "grader": grader}
        made = {name: _speaker(name, settings) for name in dict.fromkeys(names.values())}
        speakers = {speaker.name: speaker for speaker in made.values()}  # `xai` and `xai/grok-4.3` are one
        self._weak, self._strong, self._grader = (speakers[made[name].name] for name in names.values())
        self._speakers = list(speakers.values())
        self._personas: tuple[Persona | None, Persona | None] = (None, None)
        if self._weak is self._strong:
            self._personas = ("weak", "strong")
        self.computes_here = any(speaker.is_local for speaker in self._speakers)
        self.name = f"simulated/{' and '.join(dict.fromkeys(s.name for s in (self._weak, self._strong, self._grader)))}"
        self.version = _version(self.name, self.answers, self._personas)
        self.usage = self._shared_usage()
        self._probe_calls, self._probe_usd = 0, 0.0

    def _shared_usage(self) -> Usage:
        """The usage of all that is called, under one budget."""
        parts = {speaker.name: speaker.usage for speaker in self._speakers if not speaker.is_local}
        first, *others = parts.values() or [NO_USAGE]
        for usage in others:
            usage.share(first.budget)
        return PanelUsage(parts) if others else first

    async def probe(self) -> Probe | None:
        """See `Judge`: hold one interview, past the cache."""
        if not self.usage.parts:
            return None
        start, before = time.perf_counter(), self._taken()
        (interviews,) = await self.measure([Asked(PROBE_ROLE, PROBE_QUESTION)], seed=time.time_ns())
        if interviews.probability(self.answers) is None:
            failures = [speaker.failure for speaker in self._speakers if speaker.failure]
            raise JudgeError(f"{self.name} could not hold an interview: {failures[-1] if failures else TOO_FEW}.")
        after, seconds = self._taken(), time.perf_counter() - start
        calls, tokens_in, tokens_out, self._probe_usd = (now - then for now, then in zip(after, before, strict=True))
        self._probe_calls = int(calls)
        return Probe(seconds / 2, Tokens(int(tokens_in), 0, int(tokens_out)), 0)  # answers, then grades

    def bill(self, probe: Probe, role: Role, questions: int) -> Bill:  # noqa: ARG002
        """See `Judge`."""
        is_priced = all(part.price for part in self.usage.parts)
        tokens = Tokens(probe.tokens.input * questions, 0, probe.tokens.output * questions)
        return Bill(self._probe_calls * questions, tokens, self._probe_usd * questions if is_priced else None)

    def _taken(self) -> tuple[float, float, float, float]:
        """Calls, tokens in and out, and USD of all that is called."""
        totals = [part.total for part in self.usage.parts]
        return (
            sum(total.calls for total in totals),
            sum(total.input_tokens for total in totals),
            sum(total.output_tokens for total in totals),
            sum(total.cost_usd for total in totals),
        )

    async def judge(self, groups: Sequence[tuple[Role, Sequence[str]]]) -> list[list[Judgement]]:
        """One judgement for each question of each group.

        Raises:
            ApiError: a model cannot be used any more.
        """
        found = iter(await self.measure([Asked(role, text) for role, questions in groups for text in questions]))
        return [[self._judgement(text, next(found)) for text in questions] for _, questions in groups]

    async def measure(self, asked: Sequence[Asked], seed: int = 0) -> list[Interviews]:
        """Hold the interviews, all at once.

        Raises:
            ApiError: a model cannot be used any more.
        """
        sides = list(zip((self._weak, self._strong), self._personas, strict=True))
        prompts = [[candidate_messages(each.role, each.question, persona) for each in asked] for _, persona in sides]
        if self._weak is self._strong:  # one batch
            both = await self._weak.answer([*prompts[0], *prompts[1]], self.answers, seed)
            weak, strong = both[: len(asked)], both[len(asked) :]
        else:
            weak, strong = await asyncio.gather(
                self._weak.answer(prompts[0], self.answers, seed), self._strong.answer(prompts[1], self.answers, seed)
            )
        orders = [_shuffled(len(w) + len(s), each.question) for w, s, each in zip(weak, strong, asked, strict=True)]
        sheets = [
            Answers(each.question, each.guide, [[*w, *s][place] for place in order])
            for each, w, s, order in zip(asked, weak, strong, orders, strict=True)
        ]
        grades = await self._grader.grade(sheets)
        return [
            _interviews(len(w), sheet, order, given)
            for w, sheet, order, given in zip(weak, sheets, orders, grades, strict=True)
        ]

    def _judgement(self, question: str, interviews: Interviews) -> Judgement:
        if manipulation(self.rubric.names).search(question):
            return Judgement(Scores.measured(FIGURE, 0.0), "It addresses the judge instead of the candidate.")
        probability = interviews.probability(self.answers)
        if probability is None:
            return Judgement.unscored(TOO_FEW)
        weak, strong = (", ".join(map(_shown, side)) for side in (interviews.weak, interviews.strong))
        said = f"A strong answer beats a weak one with probability {probability:.2f} (grades {strong} against {weak})."
        return Judgement(Scores.measured(FIGURE, MAX_SCORE * probability), said)

    async def close(self) -> None:
        """See `Judge`."""
        for speaker in self._speakers:
            await speaker.close()


_WISH = "write local/exports/starter or another folder, a Hub id, or provider/model"


def _speaker(name: str, settings: JudgeConfig) -> Speaker:
    """The model that a name means: provider/model, else a folder or Hub id, with or without local/ before it.

    The settings' address is that of models named openai_compatible/… alone, so that no provider's key goes there.
    """
    provider, _, model = name.partition("/")
    if provider in PROVIDERS and not model_folder(name):
        address = settings.base_url if provider == OWN_SERVER else None
        named = dataclasses.replace(settings, provider=provider, model=model or None, base_url=address)
        return ApiSpeaker(named)
    return LocalSpeaker(name.removeprefix("local/"))


def _version(*parts: object) -> str:
    """Changes with whatever could change a figure."""
    role = Role(id="i", title="t", level="mid", focus="f", stack=("s",), description="d", key_skills=("k",))
    told = [candidate_messages(role, "q", persona) for persona in ("weak", "strong", None)]
    graded = [grading_messages("q", None), ANSWER_CHECKS, answers_messages("q", None, {"A": "a"})]
    return cache_key(list(map(str, parts)), told, graded, dataclasses.asdict(ANSWERING), TIE)[:16]


def _shuffled(count: int, question: str) -> list[int]:
    """An order of the answers, always the same for a question."""
    order = list(range(count))
    random.Random(hashlib.sha256(question.encode("utf-8", "replace")).digest()).shuffle(order)
    return order


def _interviews(weak: int, sheet: Answers, order: Sequence[int], grades: Sequence[float | None]) -> Interviews:
    """Back from the order of the sheet; the first `weak` answers are the weak candidate's."""
    graded = dict(zip(order, map(Graded, sheet.texts, grades), strict=True))
    answers = [graded[place] for place in range(len(order))]
    return Interviews(answers[:weak], answers[weak:])


def _shown(answer: Graded) -> str:
    return "none" if answer.grade is None else f"{answer.grade:.1f}"
