"""Kits: what an interviewer needs beyond the question. `making.py` makes them, `sheets.py` writes them down, `lint.py` looks
for what should not be asked.

A part that could not be had is left empty, and the reason stands beside it: nothing is invented to fill it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recruiter.judges.rubric_judge.knowledge import knowledge
from recruiter.judges.rubric_judge.language import phrases, stem_phrase
from recruiter.prompts import GUIDE_EXAMPLE, POINTS_EXAMPLE
from recruiter.roles import Role
from recruiter.roles.languages import WORD_LETTERS, Language, content_words
from recruiter.writers.kit.lint import Hint

Difficulty = Literal["easy", "medium", "hard"]


Text = Annotated[str, Field(max_length=4000)]
POINTS = 3  # that a guide has at least
SCALE = 4  # scores
ALIKE = 0.7  # share of all their words from which two texts say the same thing
_LACKING = re.compile(r"\b(?:does not|doesn't|do not|don't|fails to|lacks|may not)\b", re.IGNORECASE)
# Words that a point can be made of without saying anything.
_EMPTY = content_words(
    "accurate address also appropriate approach based because been before being best candidate changes combination complete "
    "component consider consistent correct could create data define design determine develop different does each effective "
    "efficient ensure establish format from handle have identify identifies impact implement improve information input into "
    "issues maintain manage management meet method monitor more most multiple must necessary needed only optimal other output "
    "overall performance possible potential practices prevent process proper provide regular reliable required requirements "
    "respect rest robust scalable service should simultaneously solution specific specified strategy such system technique "
    "test text than that their them then these this thorough time tool using various what when where which while will with "
    "work would"
)
_EXAMPLES = [text for text in (POINTS_EXAMPLE | GUIDE_EXAMPLE).values() if isinstance(text, str)]
_GENERAL = re.compile(
    r"\b(?:(?:good|strong|deep|clear|solid|thorough|basic) (?:understanding|knowledge|grasp|explanation|communication)\b"
    r"|communicat\w+ (?:clearly|well|skills)|skills (?:required|needed)|familiarity with|experience (?:with|in))",
    re.IGNORECASE,
)


class Guide(BaseModel):
    """What a good answer contains, and how to score what is said; people may edit it as they like.

    Attributes:
        good: points of a good answer.
        weak: signs of a weak one.
        probes: follow-up questions.
        scale: what an answer worth 1, 2, 3 and 4 says.
        minutes: that an answer takes.
    """

    model_config = ConfigDict(frozen=True)

    good: list[Text] = Field(default_factory=list, max_length=20)
    weak: list[Text] = Field(default_factory=list, max_length=20)
    probes: list[Text] = Field(default_factory=list, max_length=20)
    scale: list[Text] = Field(default_factory=list, max_length=4)
    minutes: int = Field(default=5, ge=1, le=60)


class PointsForm(BaseModel):
    """The points of a good answer as a model has to write them. Each has a name of its own: small models miscount lists, and
    repeat themselves in them."""

    point_1: Text = ""
    point_2: Text = ""
    point_3: Text = ""
    point_4: Text = ""

    def read(self, question: str, role: Role) -> tuple[Guide, list[str]]:
        """A guide of the points that can be used, and why others cannot: what shows without understanding them.

        Fewer than `POINTS` are none; nothing takes the place of what is left out.
        """
        kept, faults = _sort_out(self, question)
        points = kept["point"]
        known = content_words(" ".join((question, *role.stack, *role.key_skills, role.description)))
        if points and not any(content_words(point) & known for point in points):
            return Guide(), ["the points have nothing to do with the question"]
        return Guide(good=points if len(points) >= POINTS else []), faults


class GuideForm(BaseModel):
    """The rest of a guide as a model has to write it, see `Guide`."""

    weak_1: Text = ""
    weak_2: Text = ""
    probe_1: Text = ""
    score_1: Text = ""
    score_2: Text = ""
    score_3: Text = ""
    score_4: Text = ""
    minutes: int = Field(ge=1, le=60)

    def read(self, question: str) -> tuple[Guide, list[str]]:
        """A guide of what can be used, and why the rest cannot. A scale is whole or left out."""
        kept, faults = _sort_out(self, question)
        scale = kept["score"] if len(kept["score"]) == SCALE else []
        return Guide(weak=kept["weak"], probes=kept["probe"], scale=scale, minutes=self.minutes), faults


def _sort_out(form: PointsForm | GuideForm, question: str) -> tuple[dict[str, list[str]], list[str]]:
    """The texts of a form that can be used, by the beginning of their names, and the faults of the others."""
    kept: dict[str, list[str]] = {"point": [], "weak": [], "probe": [], "score": []}
    faults = []
    for name, value in form:
        kind = name.partition("_")[0]
        if kind not in kept:
            continue
        text = " ".join(value.split())
        fault = _fault(text, kind, content_words(question), kept[kind])
        if not fault and name == "score_4" and _LACKING.search(text):
            fault = "says what is lacking; say what the best answer holds"
        if fault:
            faults.append(f"{name} {fault}")
        else:
            kept[kind].append(text)
    return kept, faults


def _fault(text: str, kind: str, asked: frozenset[str], above: Sequence[str]) -> str:
    """Why a text of a guide cannot be used; "" if nothing shows it."""
    words = content_words(text)
    if re.match(r"[<\[].*[>\]]\W*$|\.\.\.|…", text):
        return "is a placeholder"
    if len(text.split()) < 3 and len(re.findall(r"[\u4e00-\u9fff]", text)) < 6:
        return "is missing or too short to help an interviewer"
    if kind == "point" and len(words - asked) < 2:
        return "only repeats the question; say what a good answer adds"
    if kind == "point" and (len(words - asked - _EMPTY) < 2 or _GENERAL.search(text)):
        return "fits every question; name the mechanism, the figure or the trade-off"
    if kind == "probe" and not re.search(r"[?？]\W*$", text):
        return "is no question"
    if kind == "probe" and re.search(r"\b(?:the|a) candidate\b", text, re.IGNORECASE):
        return "speaks to the interviewer; ask the candidate"
    if kind == "probe" and words <= asked:
        return "asks the question again"
    if any(_are_alike(text, shown) for shown in _EXAMPLES):
        return "is copied from the example"
    if any(text.lower() == other.lower() or (kind != "score" and _are_alike(text, other)) for other in above):
        return "says again what stands above"
    return ""


def _are_alike(one: str, other: str) -> bool:
    first, second = content_words(one), content_words(other)
    return len(first & second) >= ALIKE * max(1, len(first | second))


class GuideCheck(BaseModel):
    """What a judge says of a guide."""

    model_config = ConfigDict(frozen=True)

    reason: str
    right: bool
    specific: bool
    answers: bool

    @property
    def is_passed(self) -> bool:
        """Whether the guide is right, specific, and answers its own question."""
        return self.right and self.specific and self.answers


class KitQuestion(BaseModel):
    """A question of a kit.

    Attributes:
        skill: which skill it was asked to test.
        line: the line of the advertisement that names this skill; None: none does.
        minutes: that an answer takes; None without a guide.
        difficulty: as a judge says; None: no judge was asked, or it did not say.
        checked: what a judge says of the guide.
        score: the question judge's composite, 0 to 10.
        missing: what is not there, and why, a sentence each.
        hints: what lint found, see `lint`.
    """

    question: Text
    skill: Text
    line: str | None = None
    level: str
    difficulty: Difficulty | None = None
    guide: Guide | None = None
    checked: GuideCheck | None = None
    score: float | None = None
    missing: list[str] = Field(default_factory=list)
    hints: list[Hint] = Field(default_factory=list)

    @property
    def minutes(self) -> int | None:
        """Minutes that an answer takes; None without a guide."""
        return self.guide.minutes if self.guide else None

    @property
    def is_on_skill(self) -> bool:
        """Whether the question has a word of its skill or of what belongs to that, or two long ones of the line."""
        known, asked = knowledge(), phrases(stem_phrase(self.question))
        skill, words = stem_phrase(self.skill), content_words(self.question)
        own = {term for term in phrases(skill) if not known.is_common(term)} or {skill}
        belonging = [terms for name, terms in known.concepts.items() if set(stem_phrase(name)) <= set(skill)]
        named = known.named(self.skill)
        about = [known.technologies[name].terms for name in named]
        in_line = {word for word in content_words(self.line or "") & words if len(word) == WORD_LETTERS}
        return (
            bool(own & asked or named & known.named(self.question))
            or (not self.skill.isascii() and bool(content_words(self.skill) & words))
            or any(not known.is_common(term) for terms in belonging for term in terms & asked)
            or any(len(asked.intersection(terms)) > 1 for terms in about)
            or len(in_line) > 1
        )


class Kit(BaseModel):
    """Questions for one role that cover its skills, with guides.

    Attributes:
        language: code of the language it was asked in, see `LANGUAGES`.
        difficulty: as asked for; None: nobody asked.
        left_out: skills that no question tests.
        notes: what came out otherwise than asked, a sentence each.
        model, guide_model: who wrote the questions, and the guides.
        checked_by: who checked difficulty and guides; None: nobody.
    """

    role: Role
    language: Language
    difficulty: Difficulty | None = None
    questions: list[KitQuestion] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    model: str
    guide_model: str
    checked_by: str | None = None
    seed: int = 0

    @property
    def minutes(self) -> int:
        """Minutes that all answers take whose time is known."""
        return sum(question.minutes or 0 for question in self.questions)

    @property
    def is_whole(self) -> bool:
        """Whether every question is there with every part."""
        return not self.notes and not any(question.missing for question in self.questions)
