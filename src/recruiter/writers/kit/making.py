"""Making a kit: skills are chosen, a question is written for each, then its guide, and a judge looks at both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel

from recruiter.config import SamplingParams
from recruiter.errors import ApiError, ConfigError
from recruiter.judges import Judge
from recruiter.prompts import (
    Message,
    difficulty_messages,
    generator_messages,
    guide_check_messages,
    guide_messages,
    points_messages,
)
from recruiter.roles import Role
from recruiter.roles.languages import LANGUAGES, Language, content_words, detect_language
from recruiter.roles.schedule import sampling_seed
from recruiter.writers import Writer, Written
from recruiter.writers.forms import Form, fill_forms
from recruiter.writers.generate import (
    ROUNDS,
    Question,
    Report,
    best_first,
    is_same,
    judge_written,
    sampling_of,
    spoken_in,
)
from recruiter.writers.kit import Difficulty, Guide, GuideCheck, GuideForm, Kit, KitQuestion, PointsForm
from recruiter.writers.kit.lint import lint

MOST_QUESTIONS = 20
CHECK_SAMPLING = SamplingParams(max_generate_length=300, temperature=0.3)


class Difficulties(BaseModel):
    """What a judge says of a question's difficulty."""

    reason: str
    difficulty: Difficulty


def make_kit(writer: Writer, role: Role, n: int = 5, **wishes: Any) -> Kit:
    """A set of `n` questions with guides for a role; see `make_kits` for the wishes.

    Raises:
        ConfigError, ModelError, ApiError: see `make_kits`.
    """
    return make_kits(writer, [role], n, **wishes)[0]


def make_kits(
    writer: Writer,
    roles: Sequence[Role],
    n: int = 5,
    *,
    cover: Sequence[str] = (),
    difficulty: Difficulty | None = None,
    language: Language | None = None,
    guide_writer: Writer | None = None,
    checker: Writer | None = None,
    best_of: int = 1,
    judge: Judge | None = None,
    sampling: SamplingParams | None = None,
    seed: int = 0,
    report: Report = lambda *_: None,
) -> list[Kit]:
    """A set of `n` questions with guides for each role. The models are asked for all roles together.

    Args:
        cover: skills to be tested first; then come the role's own.
        language: a code of `LANGUAGES`; None: that of each role's description.
        guide_writer: who writes the guides; None: whoever writes the questions.
        checker: who says how difficult questions are and whether guides are right; None: whoever writes the guides, but a
            model of one's own does not check its own guides.
        best_of: questions written for each that is kept; more than one need a `judge`.

    Raises:
        ConfigError: an impossible number of questions, or nobody to say which are best.
        ModelError, ApiError: there is not one question.
    """
    if not 1 <= n <= MOST_QUESTIONS or best_of < 1:
        raise ConfigError(
            f"A kit has 1 to {MOST_QUESTIONS} questions, each the best of 1 or more; not {n} of {best_of}."
        )
    if len(cover) > n:
        raise ConfigError(f"{len(cover)} skills to cover need as many questions, and {n} were asked for; raise -n.")
    if best_of > 1 and judge is None:
        raise ConfigError(f"best_of={best_of} needs a judge to say which are best; name one, for example rubric.")
    guide_writer = guide_writer or writer
    kits, slots = [], []
    for role in roles:
        skills, left_out = choose_skills(role, cover, n)
        kit = Kit(
            role=role, language=spoken_in(role, language)[0], difficulty=difficulty, left_out=left_out,
            model=writer.name, guide_model=guide_writer.name, seed=seed,
        )  # fmt: skip
        kits.append(kit)
        slots += [_Slot(kit, skill) for skill in skills]
    report(f"loading {writer.name}", 0.0)
    writer.prepare()
    maker = _Maker(
        slots, writer, checker or guide_writer, sampling or sampling_of(writer), best_of, judge, seed, report
    )
    maker.write_questions(difficulty)
    if guide_writer is not writer:
        writer.release()
    maker.write_guides(guide_writer, has_check=checker is not None or guide_writer.is_service)
    for kit in kits:
        kit.questions = [slot.made for slot in slots if slot.kit is kit and slot.made]
        kit.notes += [f"No question on {slot.skill}: {slot.why}" for slot in slots if slot.kit is kit and not slot.made]
        tested = {made.skill for made in kit.questions if made.is_on_skill}
        kit.left_out = _distinct([*kit.left_out, *(s.skill for s in slots if s.kit is kit and s.skill not in tested)])
        for made in kit.questions:
            if not made.is_on_skill:
                made.missing.append(f"It was asked for on {made.skill}, and has no word of that.")
            written = detect_language(made.question)
            if written != kit.language:
                made.missing.append(f"It was asked for in {LANGUAGES[kit.language]} and came in {LANGUAGES[written]}.")
    return kits


def choose_skills(role: Role, cover: Sequence[str], n: int) -> tuple[list[str], list[str]]:
    """The skills that `n` questions test, and those of the role that none does: `cover`, then the role's skills, its stack,
    and from the beginning again where there are more questions than skills."""
    own = _distinct([*cover, *role.key_skills])
    pool = _distinct([*own, *role.stack])
    return [pool[i % len(pool)] for i in range(n)], own[n:]


def _distinct(terms: Sequence[str]) -> list[str]:
    """Each term once, as it is first written."""
    found: dict[str, str] = {}
    for term in terms:
        found.setdefault(term.lower(), term)
    return list(found.values())


def line_of(skill: str, description: str) -> str | None:
    """The line or sentence of a description that says most of a skill; None: none has half of its words."""
    wanted = content_words(skill) or frozenset([skill.lower()])
    lines = [
        line.strip(" \t-*•·") for line in re.split(r"\n|(?<=[.!?。！？])\s*", description) if line.strip(" \t-*•·")
    ]
    found = [
        (len(wanted & content_words(line)) / len(wanted) + (skill.lower() in line.lower()), line) for line in lines
    ]
    share, line = max(found, key=lambda each: each[0], default=(0.0, ""))
    return line if share >= 0.5 else None


@dataclass
class _Slot:
    """A place for a question: on which skill, the question once there is one, and else why there is none."""

    kit: Kit
    skill: str
    made: KitQuestion | None = None
    why: str = ""

    @property
    def role(self) -> Role:
        return self.kit.role

    @property
    def language(self) -> str:
        """For a model; "" for English."""
        return spoken_in(self.role, self.kit.language)[1]


class _Maker:
    """Fills the places of kits, all of them in each call of a model."""

    def __init__(
        self, slots: Sequence[_Slot], writer: Writer, checker: Writer, sampling: SamplingParams, best_of: int,
        judge: Judge | None, seed: int, report: Report,
    ) -> None:  # fmt: skip
        self.slots, self.writer, self.checker, self.sampling = slots, writer, checker, sampling
        self.best_of, self.judge, self.seed, self.report = best_of, judge, seed, report

    def write_questions(self, difficulty: Difficulty | None) -> None:
        """A question for each place that repeats no other of its kit; where one is lacking, it is written anew.

        Raises:
            ModelError, ApiError: there is not one.
        """
        failure: ApiError | None = None
        for attempt in range(ROUNDS):
            prompts = {
                f"{slot.role.id} {index}": generator_messages(
                    slot.role.model_copy(update={"key_skills": (slot.skill,)}),
                    slot.skill,
                    difficulty or "",
                    slot.language,
                )
                for index, slot in enumerate(self.slots)
                if not slot.made
            }
            if not prompts or failure:
                break
            seed, progress = sampling_seed(self.seed, attempt), partial(self.report, "writing questions")
            drawn: list[tuple[_Slot, Written]] = []
            try:
                for one in self.writer.answer(prompts, self.best_of, self.sampling, seed, progress=progress):
                    drawn.append((self.slots[int(one.role_id.rpartition(" ")[2])], one))
            except ApiError as error:
                failure = error
                for slot in self.slots:
                    slot.why = slot.why or str(error)
            self._place(drawn, difficulty, is_last=attempt == ROUNDS - 1 or failure is not None)
        if failure and not any(slot.made for slot in self.slots):
            raise failure

    def _place(self, drawn: Sequence[tuple[_Slot, Written]], difficulty: Difficulty | None, is_last: bool) -> None:
        """Put the best of what was drawn into its places."""
        usable = [(slot, one) for slot, one in drawn if one.finished and not one.error]
        for slot, one in drawn:
            if (slot, one) not in usable:
                slot.why = f"{one.error or 'cut off at the length limit'}."
        judgements = judge_written(self.judge, [(slot.role, one.text) for slot, one in usable], self.report)
        found = [(slot, Question(one.text, said, one)) for (slot, one), said in zip(usable, judgements, strict=True)]
        levels = self._difficulties([(slot.role, question.text) for slot, question in found]) if difficulty else {}
        for slot, question in sorted(found, key=lambda each: best_first(each[1])):
            level = levels.get((slot.role.id, question.text))
            others = [other.made.question for other in self.slots if other.kit is slot.kit and other.made]
            if slot.made:
                continue
            if any(is_same(slot.role, question.text, other) for other in others):
                slot.why = "what was written repeats another question."
            elif level not in (None, difficulty) and not is_last:
                slot.why = f"what was written is {level}, not {difficulty}."
            else:
                slot.made = self._question(slot, question, level, difficulty)

    def _question(
        self, slot: _Slot, found: Question, level: Difficulty | None, wanted: Difficulty | None
    ) -> KitQuestion:
        scores = found.judgement.scores if found.judgement else None
        made = KitQuestion(
            question=found.text,
            skill=slot.skill,
            line=line_of(slot.skill, slot.role.description),
            level=slot.role.level,
            difficulty=level,
            score=round(scores.composite, 2) if scores else None,
            hints=lint(found.text),
        )
        if wanted and level is None:
            made.missing.append(
                f"Nobody could say whether it is {wanted}: {self.checker.name} did not answer in the form."
            )
        elif wanted and level != wanted:
            made.missing.append(f"It was asked for as {wanted}, and {self.checker.name} finds it {level}.")
        return made

    def _difficulties(self, questions: Sequence[tuple[Role, str]]) -> dict[tuple[str, str], Difficulty]:
        """What the checker says of questions, by the role's id and the text."""
        asked = {str(index): difficulty_messages(*question) for index, question in enumerate(questions)}
        said = self._checked(asked, Difficulties, "checking difficulty")
        return {
            (questions[int(name)][0].id, questions[int(name)][1]): one.difficulty
            for name, one in said.items()
            if isinstance(one, Difficulties)
        }

    def write_guides(self, guide_writer: Writer, has_check: bool) -> None:
        """A guide for each question; with a check, one that is rejected is written anew once."""
        left = {str(index): (slot, slot.made) for index, slot in enumerate(self.slots) if slot.made}
        why: dict[str, list[str]] = {}
        for attempt in range(2 if has_check else 1):
            guides = self._guides(guide_writer, left, sampling_seed(self.seed, attempt), why)
            checks: Mapping[str, GuideCheck | str] = {}
            if has_check:
                shown = {name: guide.model_dump_json(indent=1) for name, guide in guides.items()}
                checking = {
                    name: guide_check_messages(left[name][0].role, left[name][1].question, text)
                    for name, text in shown.items()
                }
                checks = self._checked(checking, GuideCheck, "checking guides")
            for name, guide in guides.items():
                each, check = left[name][1], checks.get(name)
                if isinstance(check, GuideCheck) and not check.is_passed:
                    why[name] = [f"No guide: {self.checker.name} rejected it: {check.reason}"]
                    continue
                each.guide, each.checked = guide, check if isinstance(check, GuideCheck) else None
                if isinstance(check, str):
                    why[name].append(f"Nobody checked the guide: {self.checker.name}: {check}.")
            left = {name: left[name] for name in guides if not left[name][1].guide}
            if not left:
                break
        for name, reasons in why.items():
            made = self.slots[int(name)].made
            if made:
                made.missing += reasons

    def _guides(
        self, writer: Writer, asked: Mapping[str, tuple[_Slot, KitQuestion]], seed: int, why: dict[str, list[str]]
    ) -> dict[str, Guide]:
        """The guides that can be used, the points of a good answer first and then the rest; `why` gets what they lack."""
        points = self._parts(
            writer,
            {name: points_messages(slot.role, each.question, slot.language) for name, (slot, each) in asked.items()},
            PointsForm,
            lambda name, form: form.read(asked[name][1].question, asked[name][0].role),
            seed,
        )
        begun = {name: found for name, found in points.items() if not isinstance(found, str)}
        rest = self._parts(
            writer,
            {
                name: guide_messages(asked[name][0].role, asked[name][1].question, guide.good, asked[name][0].language)
                for name, (guide, _) in begun.items()
            },
            GuideForm,
            lambda name, form: form.read(asked[name][1].question),
            seed,
        )
        for name, said in points.items():
            if isinstance(said, str):
                why[name] = [f"No guide: {writer.name} wrote none that can be used: {said}."]
        guides = {}
        for name, (guide, faults) in begun.items():
            found = rest[name]
            if not isinstance(found, str):
                guide, faults = found[0].model_copy(update={"good": guide.good}), [*faults, *found[1]]
            why[name] = [f"Left out of the guide: {fault}." for fault in faults]
            if isinstance(found, str):
                why[name].append(f"The guide has only points: {writer.name} wrote no rest that can be used: {found}.")
            guides[name] = guide
        return guides

    def _parts(
        self,
        writer: Writer,
        prompts: Mapping[str, list[Message]],
        form: type[Form],
        read: Callable[[str, Form], tuple[Guide, list[str]]],
        seed: int,
    ) -> dict[str, tuple[Guide, list[str]] | str]:
        """For each chat the part of a guide with the fewest faults, and those; or why there is none."""
        best: dict[str, tuple[Guide, list[str]]] = {}

        def fault(name: str, filled: Form) -> str:
            guide, faults = read(name, filled)
            is_better = name not in best or len(faults) < len(best[name][1])
            if is_better and (guide.good or guide.weak or guide.probes or guide.scale):
                best[name] = guide, faults
            return "; ".join(faults)

        if not prompts:
            return {}
        said = fill_forms(writer, prompts, form, fault, seed, partial(self.report, "writing guides"))
        return {name: best.get(name, str(one)) for name, one in said.items()}

    def _checked(self, asked: Mapping[str, list[Message]], form: type[Form], doing: str) -> dict[str, Form | str]:
        """What the checker says, or why it says nothing."""
        if not asked:
            return {}
        progress = partial(self.report, doing)
        said = fill_forms(self.checker, asked, form, seed=self.seed, progress=progress, sampling=CHECK_SAMPLING)
        if any(not isinstance(one, str) for one in said.values()):
            for slot in self.slots:
                slot.kit.checked_by = self.checker.name
        return said
