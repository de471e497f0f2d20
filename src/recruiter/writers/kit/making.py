"""Making a kit: skills are chosen, a question is written for each, then its guide, and a judge looks at both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

from pydantic import BaseModel

from recruiter.config import SamplingParams
from recruiter.errors import ApiError, ConfigError
from recruiter.judges import Judge
from recruiter.prompts import difficulty_messages, generator_messages, guide_check_messages, guide_messages
from recruiter.roles import Role
from recruiter.roles.languages import LANGUAGES, Language, content_words, detect_language
from recruiter.roles.schedule import sampling_seed
from recruiter.writers import Writer, Written
from recruiter.writers.forms import fill_forms
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
from recruiter.writers.kit import Difficulty, Guide, GuideCheck, GuideForm, Kit, KitQuestion
from recruiter.writers.kit.lint import lint

MOST_QUESTIONS = 20


class Difficulties(BaseModel):
    """What a judge says of a question's difficulty."""

    reason: str
    difficulty: Difficulty


def make_kit(
    writer: Writer,
    role: Role,
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
) -> Kit:
    """A set of `n` questions with guides for a role.

    Args:
        cover: skills to be tested first; then come the role's own.
        language: a code of `LANGUAGES`; None: that of the role's description.
        guide_writer: who writes the guides; None: whoever writes the questions.
        checker: who says how difficult questions are and whether guides are right; None: whoever writes the guides.
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
    checker = checker or guide_writer
    code, spoken = spoken_in(role, language)
    skills, left_out = choose_skills(role, cover, n)
    kit = Kit(
        role=role, language=code, difficulty=difficulty, left_out=left_out, model=writer.name,
        guide_model=guide_writer.name, seed=seed,
    )  # fmt: skip
    report(f"loading {writer.name}", 0.0)
    writer.prepare()
    maker = _Maker(kit, writer, checker, sampling or sampling_of(writer), best_of, judge, seed, report)
    maker.write_questions(skills, difficulty, spoken)
    if guide_writer is not writer:
        writer.release()
    if kit.questions:
        maker.write_guides(guide_writer, spoken)
    for question in kit.questions:
        written = detect_language(question.question)
        if written != code:
            question.missing.append(f"It was asked for in {LANGUAGES[code]} and came in {LANGUAGES[written]}.")
    return kit


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


class _Maker:
    """Fills a kit."""

    def __init__(
        self, kit: Kit, writer: Writer, checker: Writer, sampling: SamplingParams, best_of: int, judge: Judge | None,
        seed: int, report: Report,
    ) -> None:  # fmt: skip
        self.kit, self.writer, self.checker, self.sampling = kit, writer, checker, sampling
        self.best_of, self.judge, self.seed, self.report = best_of, judge, seed, report

    def write_questions(self, skills: Sequence[str], difficulty: Difficulty | None, language: str) -> None:
        """A question for each skill that repeats no other; where one is lacking, it is written anew.

        Raises:
            ModelError, ApiError: there is not one.
        """
        role, chosen = self.kit.role, dict[int, tuple[Question, Difficulty | None]]()
        why = dict.fromkeys(range(len(skills)), "")
        failure: ApiError | None = None
        for attempt in range(ROUNDS):
            open_slots = [slot for slot in range(len(skills)) if slot not in chosen]
            if not open_slots or failure:
                break
            prompts = {
                f"{role.id} {slot}": generator_messages(
                    role.model_copy(update={"key_skills": (skills[slot],)}), skills[slot], difficulty or "", language
                )
                for slot in open_slots
            }
            seed, progress = sampling_seed(self.seed, attempt), partial(self.report, "writing questions")
            written: list[Written] = []
            try:
                for one in self.writer.answer(prompts, self.best_of, self.sampling, seed, progress=progress):
                    written.append(one)
            except ApiError as error:
                failure = error
            usable = [one for one in written if one.finished and not one.error]
            for one in written:
                if one not in usable:
                    why[_slot(one.role_id)] = one.error or "cut off at the length limit"
            judgements = judge_written(self.judge, [(role, one.text) for one in usable], self.report)
            questions = [Question(one.text, said, one) for one, said in zip(usable, judgements, strict=True)]
            found = self._difficulties(questions) if difficulty else {}
            is_last = attempt == ROUNDS - 1 or failure is not None
            for question in sorted(questions, key=lambda q: (_slot(q.written.role_id), best_first(q))):
                slot, level = _slot(question.written.role_id), found.get(question.text)
                if slot in chosen:
                    continue
                if any(is_same(role, question.text, other.text) for other, _ in chosen.values()):
                    why[slot] = "what was written repeats another question"
                elif level not in (None, difficulty) and not is_last:
                    why[slot] = f"what was written is {level}, not {difficulty}"
                else:
                    chosen[slot] = (question, level)
        if failure and not chosen:
            raise failure
        for slot, skill in enumerate(skills):
            if slot in chosen:
                self.kit.questions.append(self._question(*chosen[slot], skill, difficulty))
            else:
                self.kit.notes.append(
                    f"No question on {skill}: {str(failure) if failure else why[slot]}.".replace("..", ".")
                )
                self.kit.left_out.append(skill)

    def _question(
        self, found: Question, level: Difficulty | None, skill: str, wanted: Difficulty | None
    ) -> KitQuestion:
        role, scores = self.kit.role, found.judgement.scores if found.judgement else None
        made = KitQuestion(
            question=found.text,
            skill=skill,
            line=line_of(skill, role.description),
            level=role.level,
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

    def _difficulties(self, questions: Sequence[Question]) -> dict[str, Difficulty]:
        prompts = {question.text: difficulty_messages(self.kit.role, question.text) for question in questions}
        said = fill_forms(
            self.checker, prompts, Difficulties, seed=self.seed, progress=partial(self.report, "checking difficulty")
        )
        if any(isinstance(one, Difficulties) for one in said.values()):
            self.kit.checked_by = self.checker.name
        return {text: one.difficulty for text, one in said.items() if isinstance(one, Difficulties)}

    def write_guides(self, guide_writer: Writer, language: str) -> None:
        """A guide for each question, checked; one that is rejected is written anew once."""
        questions = {str(index): made for index, made in enumerate(self.kit.questions)}
        asked = {name: guide_messages(self.kit.role, made.question, language) for name, made in questions.items()}

        def fault(name: str, guide: GuideForm) -> str:
            return guide.fault(questions[name].question, self.kit.role)

        why: dict[str, str] = {}
        for attempt in range(2):
            seed = sampling_seed(self.seed, attempt)
            said = fill_forms(guide_writer, asked, GuideForm, fault, seed, partial(self.report, "writing guides"))
            checks = self._check(
                {name: guide for name, guide in said.items() if isinstance(guide, GuideForm)}, questions
            )
            for name, guide in said.items():
                made, check = questions[name], checks.get(name)
                if isinstance(guide, str):
                    why[name] = f"No guide: {guide_writer.name} wrote none that can be used: {guide}."
                elif isinstance(check, GuideCheck) and not check.is_passed:
                    why[name] = f"No guide: {self.checker.name} rejected it: {check.reason}"
                else:
                    made.guide, made.checked = (
                        Guide(**guide.model_dump()),
                        check if isinstance(check, GuideCheck) else None,
                    )
                    why[name] = "" if made.checked else f"Nobody checked the guide: {self.checker.name}: {check}."
            asked = {name: asked[name] for name, check in checks.items() if not questions[name].guide}
            if not asked:
                break
        for name, reason in why.items():
            questions[name].missing += filter(None, [reason])

    def _check(
        self, guides: Mapping[str, GuideForm], questions: Mapping[str, KitQuestion]
    ) -> dict[str, GuideCheck | str]:
        """What the checker says of guides, or why it says nothing."""
        prompts = {
            name: guide_check_messages(self.kit.role, questions[name].question, guide.model_dump_json(indent=1))
            for name, guide in guides.items()
        }
        if not prompts:
            return {}
        said = fill_forms(
            self.checker, prompts, GuideCheck, seed=self.seed, progress=partial(self.report, "checking guides")
        )
        if any(isinstance(one, GuideCheck) for one in said.values()):
            self.kit.checked_by = self.checker.name
        return said


def _slot(name: str) -> int:
    return int(name.rpartition(" ")[2])
