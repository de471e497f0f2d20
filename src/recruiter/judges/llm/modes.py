"""Language models that judge a whole group: all questions in one call, or two at a time in a tournament.

GRPO compares within a group only, and a model that sees the others of a group tells them apart where it would give each
by itself an 8. `GroupJudge` asks for scores by the rubric, with the same scale as for a single question, so they stay what
scores are elsewhere. `PairsJudge` gives the share of its comparisons that a question won, which is recorded under that name.

A question that stands alone, as in validation, is judged by itself. So is, by a `GroupJudge`, one that addresses the judge:
beside others it could speak of them. A `PairsJudge` shows it to nobody, and it has won nothing.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from recruiter.config import JudgeConfig
from recruiter.config.paths import WORKSPACE
from recruiter.judges import Bill, Probe
from recruiter.judges.comparing import Preference
from recruiter.judges.llm import PROBE_QUESTION, PROBE_ROLE, LLMJudge
from recruiter.judges.llm.cache import PreferenceCache
from recruiter.judges.llm.canary import without_manipulation
from recruiter.judges.llm.reply import ReplyError, ReplyFormat, letter_of
from recruiter.judges.llm.tournament import FIGURE, ROUNDS, Pair, matches, win_shares
from recruiter.llm.failure import CallFailed
from recruiter.llm.gathering import gathered
from recruiter.llm.reply import Tokens
from recruiter.llm.reply_cache import cache_key
from recruiter.prompts import Message, comparison_messages, group_messages
from recruiter.roles import Role
from recruiter.rubric import Judgement, Rubric, Scores

MISSING = "malformed: the reply holds no scores of it that can be read"
OTHER_QUESTION = "Two workers picked up one job at once after a failover. How do you make its effect happen once?"


class GroupJudge(LLMJudge):
    """Scores all questions of a group in one call. See `LLMJudge`."""

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """See `Judge`."""
        shown, alone = self._divided(questions)
        if len(shown) < 2:
            shown, alone = [], [*alone, *shown]
        together, single = await gathered([self._together(role, shown), self._one_by_one(role, alone)])
        found = together | single
        return [found[question] for question in questions]

    def bill(self, probe: Probe, role: Role, questions: int) -> Bill:
        """See `Judge`: a call for each round; those for questions that get none of their scores so are not foreseen."""
        if questions < 2:
            return super().bill(probe, role, questions)
        messages = group_messages(self.rubric, role, _lettered([PROBE_QUESTION] * questions))
        letters = sum(len(message["content"]) for message in messages)
        rounds = self._rounds
        return self._bill(probe, rounds, rounds * letters, round(rounds * probe.tokens.output * questions / 2))

    @property
    def _rounds(self) -> int:
        return self.settings.rounds or 1

    def _mode(self) -> tuple[Any, ...]:
        return "group", self._rounds, group_messages(self.rubric, PROBE_ROLE, {"A": PROBE_QUESTION})

    def _probe(self) -> tuple[Sequence[Message], Coroutine[Any, Any, tuple[object, Tokens]]]:
        shown = _lettered([PROBE_QUESTION, OTHER_QUESTION])
        messages = group_messages(self.rubric, PROBE_ROLE, shown)
        return messages, self._ask(messages, self._format.group_schema(list(shown)), _WholeReply(self._format, shown))

    def _divided(self, questions: Sequence[str]) -> tuple[list[str], list[str]]:
        """The different questions: those that may be shown together, and those that address the judge."""
        different = dict.fromkeys(questions)
        clean = [text for text in different if without_manipulation(text, self.rubric.names) is None]
        return clean, [text for text in different if text not in clean]

    async def _one_by_one(self, role: Role, questions: Sequence[str]) -> dict[str, Judgement]:
        judged = await gathered([self._judgement(role, question) for question in questions])
        return dict(zip(questions, judged, strict=True))

    async def _together(self, role: Role, questions: Sequence[str]) -> dict[str, Judgement]:
        """Each question's mean over the rounds, of those that gave it scores."""
        if not questions:
            return {}
        orders = shuffles(questions, self._rounds)
        rounds = await gathered([self._round(role, order) for order in orders])
        return {question: self._mean([judged[question] for judged in rounds]) for question in questions}

    async def _round(self, role: Role, order: Sequence[str]) -> dict[str, Judgement]:
        """The judgements of all questions, shown in this order. If no reply can be read, each is judged by itself."""
        shown = _lettered(order)
        messages = group_messages(self.rubric, role, shown)
        keys = {question: cache_key(*self._asked_as, "group", messages, question) for question in order}
        known = {question: judgement for question, key in keys.items() if (judgement := self.cache.get(key))}
        if len(known) == len(order):
            self.usage.count(wanted=len(order), hits=len(order))
            return known
        reply = _WholeReply(self._format, shown)
        tokens = Tokens()
        try:
            _, tokens = await self._ask(messages, self._format.group_schema(list(shown)), reply)
        except CallFailed:
            if not reply.found:
                return await self._one_by_one(role, order)
        self.usage.count(wanted=len(order))
        share = Tokens(
            *(number // len(order) for number in (tokens.input, tokens.cached, tokens.output, tokens.thinking))
        )
        return {
            question: self.cache.put(keys[question], self.name, reply.found[letter], share)
            if letter in reply.found
            else Judgement.unscored(MISSING)
            for letter, question in shown.items()
        }

    def _mean(self, judgements: Sequence[Judgement]) -> Judgement:
        scored = [(each, each.scores) for each in judgements if each.scores is not None]
        if len(scored) < 2:
            return scored[0][0] if scored else judgements[0]
        values = {name: sum(scores[name] for _, scores in scored) / len(scored) for name in self.rubric.names}
        return Judgement(self.rubric.scores(values), " / ".join(each.reasoning for each, _ in scored))


class _WholeReply:
    """Reads a reply about several questions, and keeps what it found where the reply lacks some.

    Attributes:
        found: judgements by letter.
    """

    def __init__(self, form: ReplyFormat, shown: Mapping[str, str]) -> None:
        self._format, self._letters = form, list(shown)
        self.found: dict[str, Judgement] = {}

    def __call__(self, text: str) -> dict[str, Judgement]:
        self.found = self._format.parse_group(text, self._letters) | self.found
        missing = [letter for letter in self._letters if letter not in self.found]
        if missing:
            raise ReplyError(f"it holds no scores, or several, of {', '.join(missing)}")
        return self.found


class PairsJudge(LLMJudge):
    """Compares the questions of a group two at a time. See `LLMJudge` and `tournament`."""

    def __init__(self, settings: JudgeConfig, rubric: Rubric | None = None) -> None:
        """See `LLMJudge`."""
        super().__init__(settings, rubric)
        self._preferences = PreferenceCache(WORKSPACE / settings.cache_path, settings.spelled("cache_path"))

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """See `Judge`."""
        different = list(dict.fromkeys(questions))
        if len(different) < 2:
            return await super().score(role, questions)
        shown = [text for text in different if without_manipulation(text, self.rubric.names) is None]
        lost = Judgement(Scores.measured(FIGURE, 0.0), "It addresses the judge instead of the candidate.")
        found = dict.fromkeys(different, lost) | await self._tournament(role, shown)
        return [found[question] for question in questions]

    def bill(self, probe: Probe, role: Role, questions: int) -> Bill:
        """See `Judge`: two calls for each match."""
        if questions < 2:
            return super().bill(probe, role, questions)
        calls = 2 * len(matches([str(number) for number in range(questions)], self._rounds))
        messages = comparison_messages(self.rubric, role, PROBE_QUESTION, PROBE_QUESTION)
        letters = sum(len(message["content"]) for message in messages)
        return self._bill(probe, calls, calls * letters, calls * probe.tokens.output)

    @property
    def _rounds(self) -> int:
        return self.settings.rounds or ROUNDS

    def _mode(self) -> tuple[Any, ...]:
        return "pairs", self._rounds, comparison_messages(self.rubric, PROBE_ROLE, PROBE_QUESTION, OTHER_QUESTION)

    async def _tournament(self, role: Role, questions: Sequence[str]) -> dict[str, Judgement]:
        if len(questions) < 2:
            return {question: Judgement.unscored("there is nothing to compare it with") for question in questions}
        (seats,) = shuffles(questions, 1)
        played = matches(seats, self._rounds)
        shown = [pair for one, other in played for pair in ((one, other), (other, one))]
        answers = await gathered([self._preference(role, pair) for pair in shown])
        return win_shares(questions, played, dict(zip(shown, answers, strict=True)))

    async def _preference(self, role: Role, pair: Pair) -> Preference:
        key = cache_key(*self._asked_as, "pairs", comparison_messages(self.rubric, role, *pair))
        known = self._preferences.get(key)
        self.usage.count(wanted=1, hits=int(known is not None))
        if known is not None:
            return known
        preference = await self.compare(role, *pair)
        self._preferences.put(key, self.name, preference)
        return preference


def shuffles(questions: Sequence[str], count: int) -> list[list[str]]:
    """Orders of the questions, always the same for the same set: a drawn one, its reverse, another drawn one, …"""
    order = sorted(questions)
    draw = random.Random(hashlib.sha256(json.dumps(order).encode()).digest())
    found: list[list[str]] = []
    for number in range(count):
        if number % 2:
            found.append(found[-1][::-1])
        else:
            draw.shuffle(order)
            found.append(list(order))
    return found


def _lettered(questions: Sequence[str]) -> dict[str, str]:
    """The questions by the letters under which they are shown."""
    return {letter_of(index): question for index, question in enumerate(questions)}
