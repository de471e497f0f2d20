"""Write screening questions for a role, or for many.

  recruiter generate --model starter --title "Senior Backend Engineer, Payments" --stack "Go, Kafka, PostgreSQL"
  recruiter generate --description - --best_of 8 --judge xai < job_ad.txt
  recruiter generate --roles roles.csv -n 5 --output questions.md
  recruiter generate --kit --description - -n 5 --difficulty hard --output kit.html < job_ad.txt

What a role lacks is taken from its title and description; what had to be assumed is said. Roles of a file need a title
and a stack. Without --model the best model on this machine writes: the trained export, the newest run's best checkpoint,
or the starter. The exit status is 2 when a role got fewer questions than asked for.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from recruiter.cli import kit
from recruiter.cli.command import (
    add_gpus,
    add_judge_address,
    add_price,
    argument_parser,
    command,
    read_prices,
)
from recruiter.cli.options import (
    address,
    dollars,
    format_of,
    input_file,
    number,
    output_file,
    rubric_file,
    seed,
    text,
    whole,
)
from recruiter.cli.terminal import make_console
from recruiter.config import SamplingParams
from recruiter.config.paths import ROLES
from recruiter.errors import ConfigError, DataError, RecruiterError
from recruiter.files import short_path
from recruiter.judges import Judge
from recruiter.judges.lists import find_role, is_table, read_advertisement_file
from recruiter.judges.making import named_judge
from recruiter.prompts import PROMPT_HASH
from recruiter.roles import load_roles
from recruiter.roles.completing import CompletedRole, Reading, complete_role, read_roles
from recruiter.rubric import load_rubric
from recruiter.writers import Writer
from recruiter.writers.advertisements import read_advertisement
from recruiter.writers.finding import ALIASES, default_writer, find_writer
from recruiter.writers.formats import ENDINGS, FORMATS, format_sets, text_lines
from recruiter.writers.generate import BEST_OF, QuestionSet, generate, judge_beside, sampling_of, who_picks
from recruiter.writers.local import LocalWriter

TOGETHER = 128  # questions on their way at a time, for each GPU; what is finished before is shown when a run ends early
FIELDS = ("title", "level", "focus", "stack", "skills", "description")


@command
def main() -> None:
    """See above."""
    options = parse_options()
    messages = make_console(stderr=True)
    writer = writer_of(options)
    judge, rubric = judge_of(options, writer), load_rubric(options.rubric)
    with messages.status(f"loading {writer.name}"):
        options.best_of, judge = who_picks(writer, options.best_of, judge, rubric)
    completed = roles_of(options, lambda text: read_advertisement(writer, text))
    sampling = sampling_of(writer)
    if options.temperature is not None:
        sampling = dataclasses.replace(sampling, temperature=options.temperature)
    for each in completed if len(completed) == 1 else ():
        if each.assumed:
            messages.print(f"Assumed: {'; '.join(each.assumed)}.")
    if judge and not options.judge:
        messages.print(
            f"Of {options.best_of} questions for each, {judge.name} picks the best; --judge names another judge."
        )

    if options.kit:
        make_kits(options, completed, writer, judge, sampling, messages)
        return
    sets, stopped = write(writer, completed, options, sampling, judge, messages)
    if stopped and not sets:
        raise stopped
    rubric = judge.rubric if judge else rubric
    made_with = {
        "model": writer.name,
        "fingerprint": writer.fingerprint,
        "notes": writer.notes,
        "judge": judge.name if judge else None,
        "best_of": options.best_of,
        "seed": options.seed,
        "sampling": dataclasses.asdict(sampling),
        "prompt_hash": PROMPT_HASH,
        "rubric_hash": rubric.hash,
        "criteria": list(rubric.names),
    }
    show(sets, options, made_with, messages)
    if stopped:
        messages.print(f"These are {len(sets)} of {len(completed)} roles.")
        raise stopped
    finish(sets, options, writer, judge, messages)


def make_kits(
    options: argparse.Namespace,
    completed: list[CompletedRole],
    writer: Writer,
    judge: Judge | None,
    sampling: SamplingParams,
    messages: Console,
) -> None:
    """Kits for all roles, instead of bare questions."""
    helpers = kit.helpers_of(options, writer)
    with progress_bar(messages) as bar:
        task = bar.add_task("", total=1.0)

        def report(doing: str, share: float) -> None:
            bar.update(task, description=doing, completed=share)

        kits, stopped = kit.make_kits(
            options, [each.role for each in completed], writer, helpers, judge, sampling, report
        )
    if stopped and not kits:
        raise stopped
    if stopped:
        messages.print(f"These are {len(kits)} of {len(completed)} roles: {stopped}", soft_wrap=True)
    asked = {model.name: model.usage for model in (writer, *helpers) if model}
    kit.show_kits(kits, options, [*asked.items(), *([(judge.name, judge.usage)] if judge else [])])


def write(
    writer: Writer,
    completed: list[CompletedRole],
    options: argparse.Namespace,
    sampling: SamplingParams,
    judge: Judge | None,
    messages: Console,
) -> tuple[list[QuestionSet], BaseException | None]:
    """The questions for all roles, some roles at a time; and what ended it before the last one, if anything did."""
    sets: list[QuestionSet] = []
    size = max(1, TOGETHER * options.gpus // (options.n * options.best_of))
    with progress_bar(messages) as bar:
        task = bar.add_task("", total=1.0)
        for first in range(0, len(completed), size):
            part = [each.role for each in completed[first : first + size]]
            where = f" (roles {first + 1} to {first + len(part)} of {len(completed)})" if len(completed) > size else ""

            def report(doing: str, share: float, where: str = where) -> None:
                bar.update(task, description=doing + where, completed=share)

            try:
                sets += generate(
                    writer,
                    part,
                    options.n,
                    sampling,
                    best_of=options.best_of,
                    judge=judge,
                    seed=options.seed,
                    language=options.language,
                    report=report,
                )
            except (KeyboardInterrupt, RecruiterError) as error:
                return sets, error
    return sets, None


def progress_bar(messages: Console) -> Progress:
    """What is being done, how far it is, and for how long; nothing where nobody watches."""
    what = TextColumn("{task.description}", markup=False)
    columns = what, BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    return Progress(*columns, console=messages, transient=True, disable=not messages.is_interactive)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    role = parser.add_argument_group("one role")
    role.add_argument("--title", type=text, help='such as "Senior Backend Engineer, Payments"')
    role.add_argument("--level", type=text, help="junior, mid, senior, staff or principal (default: from the title)")
    role.add_argument("--stack", type=text, help='such as "Go, Kafka, PostgreSQL" (default: from the description)')
    role.add_argument("--skills", type=text, help="what the role needs most (default: from the description)")
    role.add_argument("--focus", type=text, help="its area (default: from the title or description)")
    role.add_argument(
        "--description", type=text, metavar="TEXT", help="the job description or its file; - reads standard input"
    )
    role.add_argument(
        "--role", type=text, metavar="ID|FILE", help="id of the data set, or a file with one role or advertisement"
    )
    parser.add_argument("--roles", type=input_file, metavar="FILE", help="many roles: CSV, JSON or JSONL")
    parser.add_argument("-n", type=whole(ge=1, le=1000), default=3, metavar="N", help="questions a role (default 3)")
    parser.add_argument(
        "--best_of",
        "--best-of",
        type=whole(ge=1, le=100),
        metavar="N",
        help=f"write N times as many and keep those the judge likes best (default {BEST_OF} where the model before its "
        f"training can judge, else 1)",
    )
    parser.add_argument(
        "--judge",
        type=text,
        metavar="NAME",
        help="local (the model before training reads), rubric, a provider, or provider/model: shows scores and why",
    )
    parser.add_argument(
        "--rubric",
        type=rubric_file,
        metavar="FILE",
        help="what the judge scores by, in the form of configs/rubric.yaml (default: that one)",
    )
    parser.add_argument(
        "--model",
        type=text,
        metavar="NAME",
        help=f"{', '.join(ALIASES)}, endpoint, latest, best, a folder, a Hub id, provider/model or an "
        f"address (default: the best one here)",
    )
    parser.add_argument(
        "--checkpoint", type=text, metavar="FOLDER", help="of --model rl: a checkpoint, a run, latest or best"
    )
    parser.add_argument(
        "--base-url", type=address, metavar="URL", help="address of the model's server instead of its provider's"
    )
    add_judge_address(parser)
    parser.add_argument("--budget-usd", type=dollars, metavar="USD", help="what the model's calls may cost")
    add_price(parser)
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="another one gives other questions (default 0)"
    )
    parser.add_argument(
        "--temperature", type=number(ge=0, le=10), metavar="T", help="higher is more varied (default: as in training)"
    )
    kit.add_language(parser)
    add_gpus(parser)
    parser.add_argument(
        "--format",
        choices=(*FORMATS, "html"),
        help="default text (a kit: markdown), or what the name of --output says",
    )
    parser.add_argument("--output", type=output_file, metavar="FILE", help="write there instead of to the terminal")
    kit.add_options(parser)
    options = parser.parse_args()
    kit.check_options(parser, options)
    given = [f"--{name}" for name in (*FIELDS, "role", "roles") if getattr(options, name)]
    if not given:
        parser.error("say for which role: --title and --stack, --description, --role or --roles")
    if (options.roles and len(given) > 1) or (options.role and len(given) > 1):
        parser.error(f"{' and '.join(given)} do not go together: --role and --roles hold whole roles")
    endings, without = (kit.ENDINGS, "markdown") if options.kit else (ENDINGS, "text")
    options.format = format_of(parser, options.output, endings, without, options.format)
    if options.temperature == 0:
        options.best_of = options.best_of or 1
    if options.temperature == 0 and options.n * options.best_of > 1 and not options.kit:
        parser.error(
            "--temperature 0 cannot work with several questions a role, which would all be the same; write 0.1, or -n 1"
        )
    if options.checkpoint and options.model not in (None, "rl"):
        parser.error(f"--checkpoint belongs to --model rl, not to {options.model}; name the checkpoint as --model")
    options.price = read_prices(parser, options.price)
    return options


def roles_of(options: argparse.Namespace, read: Callable[[str], Reading]) -> list[CompletedRole]:
    """The roles that the options name; `read` reads advertisements that the rules do not understand."""
    if options.roles:
        return read_roles(options.roles)
    if options.role and (text := read_advertisement_file(options.role)):
        options.role, options.description = None, text
    if options.role:
        known = {role.id: role for role in load_roles(ROLES)}
        return [CompletedRole(find_role(options.role, known), ())]
    fields = {name: getattr(options, name) for name in FIELDS}
    if options.description == "-":
        fields["description"] = sys.stdin.read()
    elif options.description and (text := read_advertisement_file(options.description)):
        fields["description"] = text
    elif options.description and is_table(options.description):
        raise ConfigError(f"--description {options.description} is a table; name it with --role or --roles.")
    try:
        return [complete_role(fields, read=read if options.kit else None)]
    except DataError:  # the rules do not know enough
        return [complete_role(fields, read=read)]


def writer_of(options: argparse.Namespace) -> Writer:
    """The model that the options name; says which one if they name none."""
    name = options.model or ("rl" if options.checkpoint else None)
    if name:
        writer = find_writer(name, options.checkpoint, options.base_url, options.budget_usd, options.price)
    else:
        writer = default_writer()
        print(f"Model: {writer.name}, the best one here; --model names another.", file=sys.stderr)
    if isinstance(writer, LocalWriter):
        writer.gpus = options.gpus
    return writer


def judge_of(options: argparse.Namespace, writer: Writer) -> Judge | None:
    """The judge that the options name."""
    if options.judge is None:
        return None
    return judge_beside(writer, named_judge(options.judge, options.judge_base_url), load_rubric(options.rubric))


def show(sets: list[QuestionSet], options: argparse.Namespace, made_with: dict[str, Any], messages: Console) -> None:
    """Print or write the questions."""
    width = min(messages.width, 100) if options.output is None else None
    if options.output is None and options.format == "text" and sys.stdout.isatty():
        for line, style in text_lines(sets, width or 100):
            make_console().print(Text(line, style))
        return
    shown = format_sets(sets, options.format, made_with, width)
    if options.output is None:
        print(shown, end="")
        return
    try:
        options.output.write_text(shown, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output {options.output} cannot be written: {error.strerror}.") from None
    count = sum(len(each.questions) for each in sets)
    plural = ["s" if number != 1 else "" for number in (count, len(sets))]
    messages.print(
        f"Wrote {count} question{plural[0]} for {len(sets)} role{plural[1]} to {short_path(options.output)}.",
        soft_wrap=True,
    )


def finish(
    sets: list[QuestionSet], options: argparse.Namespace, writer: Writer, judge: Judge | None, messages: Console
) -> None:
    """What it took, what fell short, what can be done next."""
    for name, usage in [(writer.name, writer.usage), *([(judge.name, judge.usage)] if judge else [])]:
        if summary := usage.summary():
            messages.print(f"{name}: {summary}", soft_wrap=True)
    messages.print(
        f"Read them before you ask them. Other questions: --seed {options.seed + 1}"
        + ("." if options.best_of > 1 else "; better ones: --best_of 4."),
        soft_wrap=True,
    )
    if short := sum(bool(each.shortfall) for each in sets):
        messages.print(f"{short} of {len(sets)} roles got fewer than {options.n} questions.")
        sys.exit(2)
