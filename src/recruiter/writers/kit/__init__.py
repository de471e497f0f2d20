"""Kits: what an interviewer needs beyond the question. `making.py` makes them, `sheets.py` writes them down, `lint.py` looks
for what should not be asked.

A part that could not be had is left empty, and the reason stands beside it: nothing is invented to fill it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from recruiter.roles import Role
from recruiter.roles.languages import Language, content_words
from recruiter.writers.kit.lint import Hint

Difficulty = Literal["easy", "medium", "hard"]


def _sentence(text: str) -> str:
    """A text that says something.

    Raises:
        ValueError: it is a placeholder or a word or two.
    """
    text = " ".join(text.split())
    if re.match(r"[<\[].*[>\]]\W*$|\.\.\.|…", text):
        raise ValueError(f"'{text[:40]}' is a placeholder")
    if len(text.split()) < 3 and len(re.findall(r"[\u4e00-\u9fff]", text)) < 6:
        raise ValueError(f"'{text[:40]}' is too short to help an interviewer")
    return text


Text = Annotated[str, Field(max_length=4000)]
Sentence = Annotated[str, AfterValidator(_sentence), Field(max_length=800)]


def _first(most: int) -> AfterValidator:
    """Keep the first entries of a list; a model that wrote more of them is not asked again."""
    return AfterValidator(lambda texts: texts[:most])


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


class GuideForm(BaseModel):
    """A guide as a model has to write it, see `Guide`: complete, without placeholders, nothing twice.

    Each sentence of the scale has a name of its own: small models miscount a list of four.
    """

    good: Annotated[list[Sentence], _first(5)] = Field(min_length=3)
    weak: Annotated[list[Sentence], _first(4)] = Field(min_length=1)
    probes: Annotated[list[Sentence], _first(2)] = Field(min_length=1)
    score_1: Sentence
    score_2: Sentence
    score_3: Sentence
    score_4: Sentence
    minutes: int = Field(ge=1, le=20)

    @property
    def guide(self) -> Guide:
        """The guide as it is kept."""
        scale = [self.score_1, self.score_2, self.score_3, self.score_4]
        return Guide(good=self.good, weak=self.weak, probes=self.probes, scale=scale, minutes=self.minutes)

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> GuideForm:
        for name in ("good", "scale"):
            texts = [text.lower() for text in getattr(self.guide, name)]
            if len(set(texts)) < len(texts):
                raise ValueError(f"{name} says the same thing twice")
        return self

    def fault(self, question: str, role: Role) -> str:
        """What shows without understanding it that this is no guide to a question; "" if nothing does."""
        asked = content_words(question)
        points = [content_words(point) for point in self.good]
        if 2 * sum(len(point - asked) >= 2 for point in points) <= len(points):
            return "its points only repeat the question; say what a good answer adds"
        known = asked | content_words(" ".join((*role.stack, *role.key_skills, role.description)))
        if not any(point & known for point in points):
            return "its points have nothing to do with the question"
        return ""


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
