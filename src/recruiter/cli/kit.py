"""The part of `recruiter generate --kit` that makes kits and writes their sheets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import get_args

from recruiter.cli.options import text
from recruiter.cli.terminal import make_console
from recruiter.config import SamplingParams
from recruiter.errors import ConfigError, RecruiterError
from recruiter.files import short_path
from recruiter.judges import Judge
from recruiter.llm.usage import NO_USAGE, Budget, Usage
from recruiter.roles import Role
from recruiter.roles.languages import LANGUAGES
from recruiter.roles.rows import split_list
from recruiter.writers import Writer
from recruiter.writers.finding import find_checker, find_writer
from recruiter.writers.generate import Report
from recruiter.writers.kit import Difficulty, Kit, making
from recruiter.writers.kit.sheets import ENDINGS as ENDINGS
from recruiter.writers.kit.sheets import FORMATS, render_kits

TOGETHER = 128  # questions on their way at a time, for each GPU
OPTIONS = ("cover", "difficulty", "guide_model", "candidate")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a kit. `recruiter kit` is `recruiter generate --kit`."""
    group = parser.add_argument_group("a kit: questions with guides, as sheets for interviewers")
    group.add_argument(
        "--kit",
        action="store_true",
        default=parser.prog.endswith(" kit"),
        help="cover the role's skills without overlap; each question with what a good answer contains and a scale",
    )
    group.add_argument(
        "--cover", type=text, metavar="SKILLS", help='skills to test first, such as "idempotency, Kafka"'
    )
    group.add_argument("--difficulty", choices=get_args(Difficulty), help="at the role's level; checked by a model")
    group.add_argument(
        "--guide-model",
        type=text,
        metavar="NAME",
        help="who writes the guides, as --model takes it (default: whoever writes the questions). A language model named "
        "as --judge checks guides and difficulty, else the guide's model does",
    )
    group.add_argument("--candidate", action="store_true", help="the sheet for the candidate: questions only")


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with one sentence where options do not go together."""
    if not options.kit:
        for name in OPTIONS:
            if getattr(options, name):
                parser.error(f"--{name.replace('_', '-')} belongs to --kit")
        if options.format == "html":
            parser.error("--format html belongs to --kit")
    elif options.n > making.MOST_QUESTIONS:
        parser.error(f"-n {options.n} cannot work; a kit has at most {making.MOST_QUESTIONS} questions")
    elif options.format == "text":
        parser.error(f"--format text cannot work; a kit is written as {', '.join(FORMATS)}")


def helpers_of(options: argparse.Namespace, writer: Writer) -> tuple[Writer, Writer | None]:
    """Who writes the guides, and which judge checks them. What all models cost counts towards one budget."""
    paid = {"budget_usd": options.budget_usd, "prices": options.price}
    guide_writer = find_writer(options.guide_model, **paid) if options.guide_model else writer
    checker = find_checker(options.judge, base_url=options.judge_base_url, **paid)
    budget = Budget(options.budget_usd, "--budget-usd")
    for usage in {id(model.usage): model.usage for model in (writer, guide_writer, checker) if model}.values():
        if usage is not NO_USAGE:
            usage.share(budget)
    return guide_writer, checker


def make_kits(
    options: argparse.Namespace,
    roles: Sequence[Role],
    writer: Writer,
    helpers: tuple[Writer, Writer | None],
    judge: Judge | None,
    sampling: SamplingParams,
    report: Report,
) -> tuple[list[Kit], BaseException | None]:
    """A kit for each role, some roles at a time; and what ended it before the last one, if anything did.

    What is finished is in the file of --output at once.
    """
    kits: list[Kit] = []
    size = max(1, TOGETHER * options.gpus // (options.n * options.best_of))
    for first in range(0, len(roles), size):
        part = roles[first : first + size]
        where = f" (roles {first + 1} to {first + len(part)} of {len(roles)})" if len(roles) > size else ""

        def report_here(doing: str, share: float, where: str = where) -> None:
            report(doing + where, share)

        try:
            kits += making.make_kits(
                writer,
                part,
                options.n,
                cover=split_list(options.cover) or (),
                difficulty=options.difficulty,
                language=options.language,
                guide_writer=helpers[0],
                checker=helpers[1],
                best_of=options.best_of,
                judge=judge,
                sampling=sampling,
                seed=options.seed,
                report=report_here,
            )
        except (KeyboardInterrupt, RecruiterError) as error:
            return kits, error
        if options.output:
            _write(kits, options)
    return kits, None


def _write(kits: Sequence[Kit], options: argparse.Namespace) -> None:
    try:
        options.output.write_text(render_kits(kits, options.format, options.candidate), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output {options.output} cannot be written: {error.strerror}.") from None


def show_kits(kits: Sequence[Kit], options: argparse.Namespace, usages: Sequence[tuple[str, Usage]]) -> None:
    """Print the sheets or say where they are, and what they lack."""
    messages = make_console(stderr=True)
    if options.output is None:
        print(render_kits(kits, options.format, options.candidate), end="")
    else:
        messages.print(
            f"Wrote {len(kits)} kit{'s' * (len(kits) != 1)} to {short_path(options.output)}.", soft_wrap=True
        )
    for name, usage in usages:
        if summary := usage.summary():
            messages.print(f"{name}: {summary}", soft_wrap=True)
    questions = [made for kit in kits for made in kit.questions]
    guides = sum(made.guide is not None for made in questions)
    messages.print(f"{len(questions)} questions, {guides} with a guide.", soft_wrap=True)
    for reason in dict.fromkeys(
        why for kit in kits for why in (*kit.notes, *(m for q in kit.questions for m in q.missing))
    ):
        messages.print(f"  {reason}", soft_wrap=True)
    for hint in dict.fromkeys(hint.reason for made in questions for hint in made.hints):
        messages.print(f"  Read again: {hint}.", soft_wrap=True)
    if not all(kit.is_whole for kit in kits):
        sys.exit(2)


def add_language(parser: argparse.ArgumentParser) -> None:
    """The option --language."""
    shown = ", ".join(f"{code} ({name})" for code, name in LANGUAGES.items())
    parser.add_argument(
        "--language", choices=LANGUAGES, help=f"of what is written: {shown} (default: the description's)"
    )
