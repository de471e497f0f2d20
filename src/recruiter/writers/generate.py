"""Questions for roles: written, judged, the best ones kept, none of them twice.

`QuestionWriter` (`question_writer.py`) is the way in for programs, `generate` for whoever shows progress or may be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from recruiter.config import JudgeConfig, SamplingParams
from recruiter.config.loading import load_config
from recruiter.errors import ConfigError
from recruiter.judges import Judge
from recruiter.judges.lists import judge_all
from recruiter.judges.local import LocalJudge
from recruiter.judges.making import make_judge, named_judge
from recruiter.judges.overlap import masked_trigrams
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.roles.languages import LANGUAGES, Language, detect_language
from recruiter.roles.schedule import sampling_seed
from recruiter.rubric import Judgement, Rubric
from recruiter.writers import Writer, Written
from recruiter.writers.local import LocalWriter

LEAST_ROOM = 128  # tokens of a question
BEST_OF = 8  # questions written for one that is kept, where the judge costs nothing: docs/log.md has what readers say
ROUNDS = 3  # times that questions are written anew for roles that have too few
SAME_FROM = 0.5  # share of the shorter question's masked trigrams from which two questions are the same

Report = Callable[[str, float], None]  # what is being done, and the share of it that is done; may raise to cancel


class Cancelled(Exception):
    """For `Report` to raise. What was written until then is lost, but for what an API's cache holds."""


@dataclass(frozen=True)
class Question:
    """A question, what its judge said (None: nobody was asked), and how it was written."""

    text: str
    judgement: Judgement | None
    written: Written


@dataclass
class QuestionSet:
    """The questions for one role, the best first where a judge was asked.

    Attributes:
        shortfall: why there are fewer than asked for; "" if there are not.
        drawn: questions that were written for it.
    """

    role: Role
    questions: list[Question] = field(default_factory=list)
    shortfall: str = ""
    drawn: int = 0


def generate(
    writer: Writer,
    roles: Sequence[Role],
    n: int,
    sampling: SamplingParams,
    *,
    best_of: int = 1,
    judge: Judge | None = None,
    seed: int = 0,
    language: Language | None = None,
    report: Report = lambda *_: None,
) -> list[QuestionSet]:
    """Write `n` different questions for each role.

    `best_of` times as many are drawn and the judge keeps the best. Where too few are left (repeated, cut off, failed), more
    are drawn, up to `ROUNDS` times in all.

    Args:
        language: a code of `LANGUAGES`; None: that of each role's description.

    Raises:
        ConfigError: `n` or `best_of` is below 1, or there is nobody to say which is best.
        ModelError, ApiError: writer or judge cannot be used.
    """
    if n < 1 or best_of < 1:
        raise ConfigError(f"n={n} and best_of={best_of} must be 1 or more.")
    if best_of > 1 and judge is None:
        raise ConfigError(f"best_of={best_of} needs a judge to say which are best; name one, for example rubric.")
    report(f"loading {writer.name}", 0.0)
    writer.prepare()
    sets = [QuestionSet(role) for role in roles]
    drawn: list[list[Question]] = [[] for _ in roles]
    failed: list[list[str]] = [[] for _ in roles]
    for attempt in range(ROUNDS):
        short = [index for index, question_set in enumerate(sets) if len(question_set.questions) < n]
        if not short:
            break
        samples = best_of * max(n - len(sets[i].questions) for i in short)
        written = _write(
            writer, [roles[i] for i in short], samples, sampling, sampling_seed(seed, attempt), language, report
        )
        usable = [(i, w) for i, group in zip(short, written, strict=True) for w in group if w.finished and not w.error]
        for i, group in zip(short, written, strict=True):
            sets[i].drawn += len(group)
            failed[i] += [w.error or "cut off at the length limit" for w in group if w.error or not w.finished]
        judgements = judge_written(judge, [(roles[i], w.text) for i, w in usable], report)
        for (i, w), judgement in zip(usable, judgements, strict=True):
            drawn[i].append(Question(w.text, judgement, w))
        for i in short:
            sets[i].questions = choose(roles[i], drawn[i], n)
    for question_set, questions, reasons in zip(sets, drawn, failed, strict=True):
        if len(question_set.questions) < n:
            question_set.shortfall = _shortfall(question_set, n, len(questions), reasons)
    return sets


def choose(role: Role, questions: Sequence[Question], n: int) -> list[Question]:
    """The `n` best questions, none of which says what a better one says. Unscored ones come last."""
    chosen: list[Question] = []
    for question in sorted(questions, key=best_first):
        if len(chosen) == n:
            break
        if not any(is_same(role, question.text, other.text) for other in chosen):
            chosen.append(question)
    return chosen


def is_same(role: Role, question: str, other: str) -> bool:
    """Whether two questions for a role share half of their word trigrams, the role's own words set aside."""
    first, second = masked_trigrams(role, question), masked_trigrams(role, other)
    if not first or not second:
        return question.strip().lower() == other.strip().lower()
    return len(first & second) >= SAME_FROM * min(len(first), len(second))


def sampling_of(writer: Writer) -> SamplingParams:
    """The settings a writer was trained with; for others, those that its makers recommend, else those this project trains
    such a model with.

    Where training cut answers off early, there is more room: that changes nothing in those that end before.
    """
    mode = "quickstart_config" if writer.name == "starter" else "train_config"
    trained = writer.trained_with or load_config(mode).generator.sampling_params
    if writer.name != "starter" and not writer.trained_with and isinstance(writer, LocalWriter):
        trained = writer.recommended or trained
    return replace(trained, max_generate_length=max(trained.max_generate_length, LEAST_ROOM))


def spoken_in(role: Role, language: Language | None) -> tuple[Language, str]:
    """The code of the language to write in, and its name for a model; English, which training uses, needs none."""
    code = language or detect_language(role.description)
    return code, "" if code == "en" else LANGUAGES[code]


def _shortfall(question_set: QuestionSet, n: int, usable: int, reasons: Sequence[str]) -> str:
    repeated = usable - len(question_set.questions)
    parts = [f"{repeated} repeating others"] if repeated else []
    parts += [f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons)]
    return f"{len(question_set.questions)} of {n}; of {question_set.drawn} written, {'; '.join(parts)}"


def best_first(question: Question) -> float:
    """A key that sorts the best first and unscored ones last."""
    scores = question.judgement.scores if question.judgement else None
    return -scores.composite if scores else 0.0


def _write(
    writer: Writer,
    roles: Sequence[Role],
    samples: int,
    sampling: SamplingParams,
    seed: int,
    language: Language | None,
    report: Report,
) -> list[list[Written]]:
    """What was written for each role, in the order of the samples."""

    def progress(share: float) -> None:
        report("writing", share)

    progress(0.0)
    spoken = [spoken_in(role, language)[1] for role in roles]
    if any(spoken):
        asked = {role.id: generator_messages(role, language=name) for role, name in zip(roles, spoken, strict=True)}
        everything = list(writer.answer(asked, samples, sampling, seed, progress=progress))
    else:
        everything = list(writer.write(roles, samples, sampling, seed, progress=progress))
    order = sorted(everything, key=lambda written: written.sample)
    return [[written for written in order if written.role_id == role.id] for role in roles]


def judge_beside(writer: Writer, judge: JudgeConfig, rubric: Rubric) -> Judge:
    """The judge that settings name. One that reads with a language model reads with the writer's base, if it names no other.

    Raises:
        ConfigError, ModelError, ApiError: see `make_judge`.
    """
    made = make_judge(judge, rubric=rubric)
    if isinstance(writer, LocalWriter):
        made.read_with(writer.base)
    return made


def fitted_judge(writer: Writer, rubric: Rubric) -> Judge | None:
    """The judge `local` with the writer's base, if that is on this machine and its head is fitted already.

    Raises:
        ModelError: the writer cannot be loaded.
    """
    if not isinstance(writer, LocalWriter):
        return None
    local = LocalJudge(named_judge("local"), rubric)
    local.read_with(writer.base)
    return local if local.is_fitted else None


def who_picks(writer: Writer, best_of: int | None, judge: Judge | None, rubric: Rubric) -> tuple[int, Judge | None]:
    """How many questions to write for each that is kept, and who picks them.

    Where nobody is named it is the `fitted_judge`: then `BEST_OF` are written for each, unless `best_of` says otherwise. Else
    the rules of the rubric pick, if they have to.

    Raises:
        ConfigError: the rules do not know the rubric.
        ModelError: the writer cannot be loaded.
    """
    if judge is not None or best_of == 1:
        return best_of or 1, judge
    if local := fitted_judge(writer, rubric):
        return best_of or BEST_OF, local
    return (best_of, make_judge(named_judge("rubric"), rubric=rubric)) if best_of else (1, None)


def judge_written(
    judge: Judge | None, entries: Sequence[tuple[Role, str]], report: Report
) -> Sequence[Judgement | None]:
    """What the judge says of each question; None where nobody is asked."""
    if judge is None or not entries:
        return [None] * len(entries)
    done = 0

    def progress() -> None:
        nonlocal done
        done += 1
        report(f"judging with {judge.name}", done / len(entries))

    return judge_all(judge, entries, progress)
