"""The rubric judge: the rubric as a deterministic check, offline and in about a millisecond.

It is a check, not a stand-in for an LLM's taste. It tells broken, bundled, off-role, generic and gamed questions from
sound ones; which of two sound questions is better it cannot say. Because a policy is trained against it:

- every score saturates, so that more of the same words stops paying;
- what is not one sound question of natural prose loses on all criteria, not on one (`KEEPS`);
- defects are graded, so that half a step away from a defect shows in the reward.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from recruiter.errors import ConfigError
from recruiter.judges import Judge
from recruiter.judges.rubric_judge import wording
from recruiter.judges.rubric_judge.checks import CHECKS, Defect, check_bundled, check_copied, runs
from recruiter.judges.rubric_judge.knowledge import Grounding, RoleProfile, knowledge
from recruiter.judges.rubric_judge.text import Text, ramp
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE, Judgement, Rubric, Scores, load_rubric

CRITERIA = ("relevance", "clarity", "discriminative")  # what this judge can score; its red flags are those of `KEEPS`
# The share of every score that is left when a red flag is there in full. 1 would be a matter of its criterion alone.
KEEPS = {
    "generic": 0.4,
    "minor_technology": 0.8,
    "unlisted_technology": 0.4,
    "copied": 0.4,
    "third_person": 0.85,
    "bundled": 0.45,
    "too_broad": 0.45,
    "broken": 0.25,
    "unnatural": 0.3,
    "repeated": 0.35,
    "extra_text": 0.35,
    "recall": 0.5,
    "one_word": 0.42,
    "manipulation": 0.1,
}
# Up to here a score says what is wrong. Beyond it a question is sound, and how good it is is counted by half.
SURE = 7.0
# Letters. The longest questions with their context, lists and code are half as long; more is not taken apart.
LONGEST_QUESTION = 2500
_CODE = b"".join(
    path.read_bytes() for path in sorted(Path(__file__).parent.iterdir()) if path.suffix in (".py", ".json")
)


class RubricJudge(Judge):
    """Scores questions by the built-in criteria and their red flags. Offline, deterministic, thread-safe."""

    name = "rubric"
    names_defects = True

    def __init__(self, rubric: Rubric | None = None) -> None:
        """Score by a rubric with the built-in criteria and red flags; penalties and weights may be others.

        Raises:
            ConfigError: it has other criteria or red flags.
        """
        self.rubric = rubric or load_rubric()
        flags = {flag.name for criterion in self.rubric.criteria for flag in criterion.red_flags}
        if set(self.rubric.names) != set(CRITERIA) or flags != KEEPS.keys():
            raise ConfigError(
                f"The judge rubric knows the built-in criteria and red flags alone ({', '.join(CRITERIA)}), and this rubric "
                f"has others: name another judge, such as xai, or people."
            )
        self.version = hashlib.sha256(_CODE + self.rubric.hash.encode()).hexdigest()[:16]
        self._flags = {flag.name: (flag, c.name) for c in self.rubric.criteria for flag in c.red_flags}

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """One judgement per question, in order. Nothing is ever unscored: there is nothing here that could fail."""
        return [self.judge(role, question) for question in questions]

    def judge(self, role: Role, question: str) -> Judgement:
        """Score one question from 0 to 10 on each criterion; the reasoning names every red flag that was found."""
        if len(question) > LONGEST_QUESTION:
            lowest = self.rubric.scores(dict.fromkeys(self.rubric.names, 0.0))
            return Judgement(lowest, f"Red flag: too broad ({len(question)} letters are no question).", kept=0.0)
        text, profile = Text(question), _profile(role)
        found = profile.ground(text.words)
        density = found.terms / max(1, len(text.content))
        grounding = ramp(found.weight, 0.3, 4.0) * (0.55 + 0.45 * ramp(density, 0.03, 0.18 + 0.12 * text.brevity))
        defects = _relevance_defects(found, text)
        defects += [d for check in CHECKS for d in check(text)]
        defects += check_bundled(text, profile.names_a_subject)
        defects += check_copied(text, profile.shown_runs)
        concreteness, kinds = _concreteness(text)
        defects += _ask_defects(text, concreteness, found)
        defects = [d for d in defects if d.severity > 0]
        # The more a text demands of the result and the less it turns to the candidate, the more it is a ticket to be done.
        turned_to = ramp(len(wording.ASKS_FOR_A_WAY.findall(text.raw)), 0, 2)
        ticket = ramp(len(wording.DEMAND.findall(text.raw)), 1, 5)
        points = {
            "relevance": grounding,
            "clarity": _clarity(text),
            "discriminative": 0.25 + 0.15 * turned_to + 0.3 * concreteness + 0.3 * grounding - 0.3 * ticket,
        }
        worst: dict[str, float] = {}
        spoilt: dict[str, float] = {}
        for defect in defects:
            worst[defect.flag] = max(worst.get(defect.flag, 0.0), defect.severity)
            spoilt[defect.flag] = max(spoilt.get(defect.flag, 0.0), defect.severity * defect.spoils)
        left = 1.0
        for flag, severity in spoilt.items():
            left *= 1.0 - severity * (1.0 - KEEPS[flag])
        return Judgement(self._score(points, worst, left), self._reasoning(defects, kinds, grounding), kept=left)

    def _score(self, points: dict[str, float], worst: dict[str, float], left: float) -> Scores:
        """Points from 0 to 1 per criterion, less the penalties of its red flags, times what all red flags leave."""
        scores = {}
        for name in self.rubric.names:
            penalty = sum(
                self._flags[f][0].penalty * severity for f, severity in worst.items() if self._flags[f][1] == name
            )
            score = min(MAX_SCORE, max(0.0, points[name] * MAX_SCORE - penalty)) * left
            scores[name] = round(min(score, SURE + (score - SURE) / 2), 2)
        return self.rubric.scores(scores)

    def _reasoning(self, defects: list[Defect], kinds: list[str], grounding: float) -> str:
        """Readable sentences: every red flag with what was seen, or what was found to be sound."""
        parts = [f"Red flag: {self._flags[d.flag][0].text} ({d.detail})." for d in defects]
        tie = "closely" if grounding > 0.8 else "partly" if grounding > 0.4 else "hardly"
        parts.append(
            f"It is {tie} tied to the role"
            + (f" and gives {', '.join(kinds)}." if kinds else " and names no situation.")
        )
        return " ".join(parts)


class _Profile(RoleProfile):
    """A role's profile, and the runs of words that a policy could copy from its prompt."""

    def __init__(self, role: Role) -> None:
        super().__init__(role, knowledge())
        shown = (role.description, role.title, generator_messages(role)[0]["content"])
        self.shown_runs = frozenset().union(*map(runs, shown))


@lru_cache(maxsize=2048)
def _profile(role: Role) -> _Profile:
    return _Profile(role)


def _relevance_defects(found: Grounding, text: Text) -> list[Defect]:
    """What speaks against the question being about this role's own problem."""
    defects = [
        Defect("generic", 1.0 - ramp(found.weight, 0.5, 2.2), "little in it belongs to this role"),
        Defect(
            "generic",
            0.8 - ramp(found.weight_without_names, 0.1, 1.1),
            "it names technologies but no problem of theirs",
        ),
    ]
    if found.unlisted:
        beside_own = len(found.unlisted) == 1 and found.core
        spoils = text.brevity if found.core else 1.0
        severity = 0.35 if beside_own else 1.0
        defects.append(Defect("unlisted_technology", severity, ", ".join(sorted(found.unlisted)), spoils))
    stretches = [knowledge().named(s) for s in text.stretches(text.layout.blocks, 25) or [text.raw]]
    count, few = max(map(len, stretches), default=0), 3 + 2 * (len(stretches) > 1)
    defects.append(Defect("unnatural", ramp(count, few, few + 2), f"it names {count} technologies in one breath"))
    # Honest questions use up to ten terms of their role; whoever searches for reward uses twenty.
    usual = 10 * max(1.0, len(text.words) / 65)
    severity = ramp(found.terms, usual, 1.6 * usual)
    defects.append(Defect("unnatural", severity, f"it is stuffed with {found.terms} terms of the role"))
    if found.minor and not found.core and found.weight < 2.0:
        defects.append(Defect("minor_technology", 1.0, ", ".join(sorted(found.minor))))
    return defects


def _clarity(text: Text) -> float:
    """Form alone, from 0 to 1: long enough to set up a problem, not chatty, and it shows how far to go."""
    value = 0.35 + 0.65 * ramp(len(text.words), 3, 14)
    if wording.CHATTY.search(text.raw):
        value -= 0.2
    if not wording.SCOPE.search(text.raw):
        value -= 0.15 * (1.0 - text.brevity)
    return value


def _concreteness(text: Text) -> tuple[float, list[str]]:
    """How concrete the situation is, from 0 to 1, and which kinds of detail it has."""
    kinds = [name for name, (_, pattern) in wording.SITUATION.items() if pattern.search(text.raw)]
    total = sum(wording.SITUATION[name][0] for name in kinds)
    return ramp(total, 0.0, 6.0), kinds


def _ask_defects(text: Text, concreteness: float, found: Grounding) -> list[Defect]:
    """Recall, yes/no and self-report questions: they ask what a weak candidate can say as well."""
    defects: list[Defect] = []
    last = text.sentences[-1] if text.sentences else ""
    if seen := wording.RECALL.search(last) or wording.RECALL.search(text.raw):
        # Beside a way to be laid out, a fact is a part of the answer.
        severity = (1.0 - 0.3 * ramp(concreteness, 0.7, 1.0)) * (
            0.5 if wording.ASKS_FOR_A_WAY.search(text.raw) else 1.0
        )
        spoils = max(text.brevity, 0.5)
        defects.append(Defect("recall", severity, f"'{seen.group().strip(' .,:')}'", spoils))
    asks_openly = text.asks > 0
    if wording.YES_NO_PHRASE.search(text.raw) or (wording.YES_NO.search(last) and not asks_openly):
        defects.append(Defect("one_word", 1.0, "it can be answered with yes or no"))
    if seen := wording.SELF_REPORT.search(text.raw):
        severity = 0.8 * (1.0 - ramp(concreteness, 0.3, 0.6))
        spoils = 1.0 - ramp(found.weight_without_names, 2.0, 4.0)
        detail = f"'{seen.group().strip()}' asks for a story, not for a solution"
        defects.append(Defect("generic", severity, detail, spoils))
    if seen := wording.PRAISE.search(text.raw):
        defects.append(Defect("generic", 0.4, f"'{seen.group()}' praises where a figure would say what is wanted", 0.0))
    if seen := wording.BUZZ.search(text.raw):
        defects.append(Defect("generic", 0.5, f"'{seen.group()}' fits anywhere", spoils=text.brevity))
    return defects
