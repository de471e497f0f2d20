"""Evaluate models on held-out roles: each writes a question for each role, and judges score them.

  recruiter eval --model starter rl --checkpoint checkpoints/quickstart --judge rubric
  recruiter eval --model baseline rl grok-4-1 --judge xai anthropic --pairwise --budget-usd 5
  recruiter eval --model starter --judge rubric --simulate-candidates anthropic
  recruiter eval --blind-sheet sheets/first --sheet-roles 40
  recruiter eval --readings anna.csv ben.csv --reader anthropic
  recruiter eval --people http://127.0.0.1:8000 --people-task rank

Models: baseline, rl, starter, grok-4-1, claude-4-5-haiku, gpt-5-mini, a folder, a checkpoint, a Hub id, or
provider/model. Differences are to `baseline` if it takes part, else to the first one. An evaluation that was stopped goes
on where it was when the same command is given again. The exit status is 2 if questions or scores are missing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import get_args

from rich import box
from rich.console import Console
from rich.table import Table

from recruiter.cli.blind import STORE, read_blind, with_earlier_reads
from recruiter.cli.command import (
    add_cache,
    add_gpus,
    add_judge_address,
    add_price,
    argument_parser,
    command,
    read_prices,
    shown_progress,
)
from recruiter.cli.options import (
    address,
    dollars,
    input_file,
    number,
    output_folder,
    results_file,
    rubric_file,
    seed,
    text,
    whole,
)
from recruiter.cli.terminal import make_console
from recruiter.config import NamedCandidateConfig
from recruiter.config.paths import WORKSPACE, command_line
from recruiter.errors import ConfigError
from recruiter.evaluation.contestants import OWN_SERVER, Setup, common_sampling, find_contestants
from recruiter.evaluation.inspect_log import require_inspect, write_inspect_logs
from recruiter.evaluation.model_reader import ModelReader
from recruiter.evaluation.records import Plan, ReaderKind
from recruiter.evaluation.results import Results, load_results
from recruiter.evaluation.runner import Evaluation
from recruiter.evaluation.spending import limit_spending, usages
from recruiter.evaluation.store import RecordStore
from recruiter.evaluation.tables import markdown, tables, warnings
from recruiter.files import short_path
from recruiter.judges import Judge
from recruiter.judges.making import make_judge, named_judge
from recruiter.judges.simulated import SimulatedJudge
from recruiter.llm.usage import Usage
from recruiter.prompts import PROMPT_HASH
from recruiter.report import write_report
from recruiter.roles.completing import read_roles
from recruiter.roles.dataset import read_raw
from recruiter.rubric import Rubric, load_rubric
from recruiter.writers.finding import ALIASES
from recruiter.writers.formats import heading
from recruiter.writers.local import LocalWriter

HELD_OUT = WORKSPACE / "data/raw/test.parquet"


@command
def main() -> None:
    """See above."""
    options = parse_options()
    if options.inspect_log:
        require_inspect()
    console = make_console()
    readers = [ModelReader(name, own_address(name, options.base_url)) for name in options.reader]
    if options.model:
        results, called, problems = evaluate(options, readers, console)
        results.save(options.output)
    else:
        results, called, problems = load_results(options.output), [reader.usage for reader in readers], []
        limit_spending([], [], options.budget_usd, options.price, called)
    results, unread = read_blind(results, options, readers, console)
    results.save(options.output)
    tables_file, report = options.output.with_suffix(".md"), options.output.with_suffix(".html")
    tables_file.write_text(markdown(results), encoding="utf-8")
    write_report(options.output, report)
    if options.inspect_log:
        write_inspect_logs(results, options.inspect_log)
    print_results(console, results, options.show)
    for usage in called:
        console.print(f"{usage.name}: {usage.summary()}", soft_wrap=True)
    console.print(
        f"\nWrote {short_path(report)} (to read and filter), {short_path(tables_file)} (tables), "
        f"{short_path(options.output)} (everything)",
        soft_wrap=True,
    )
    if options.inspect_log:
        console.print(f"Inspect logs: inspect view --log-dir {short_path(options.inspect_log)}", soft_wrap=True)
    console.print(_next(options, results), soft_wrap=True)
    for problem in [*problems, *unread]:
        print(problem, file=sys.stderr)
    has_gaps = any(sample.question is None for sample in results.samples) or any(
        figures.unscored for each in results.figures.values() for figures in each.values()
    )
    has_gaps = has_gaps or bool(results.simulated and any(results.simulated.missing.values()))
    if unread or (options.model and has_gaps):
        print(
            "Some questions, scores or readings are missing; run the same command again to ask for them.",
            file=sys.stderr,
        )
        sys.exit(2)


def evaluate(
    options: argparse.Namespace, readers: Sequence[ModelReader], console: Console
) -> tuple[Results, list[Usage], list[str]]:
    """Have the models write and the judges judge.

    Returns:
        The results, the usage of all that is called, and what went wrong.
    """
    roles = [each.role for each in read_roles(options.roles)] if options.roles else read_raw(HELD_OUT)
    contestants, left_out = find_contestants(
        options.model, options.checkpoint, options.base_url, options.skip_missing_keys
    )
    for contestant in contestants:
        if isinstance(contestant.writer, LocalWriter):
            contestant.writer.gpus = options.gpus
    rubric = load_rubric(options.rubric)
    judges = find_judges(options.judge, rubric, options.judge_base_url or options.base_url, options.cache)
    simulated = find_candidates(options)
    reading = [reader.usage for reader in readers] + list(simulated.usage.parts if simulated else ())
    limit_spending(contestants, judges, options.budget_usd, options.price, reading)
    plan = Plan(
        baseline=contestants[0].name,
        roles_from=short_path(options.roles or HELD_OUT),
        samples=options.samples,
        seed=options.seed,
        sampling=asdict(common_sampling(contestants)),
        trim=options.trim,
        twice=options.twice,
        pairwise=options.pairwise,
        budget_usd=options.budget_usd,
        prompt_hash=PROMPT_HASH,
        rubric_hash=rubric.hash,
    )
    store = RecordStore(options.output.parent / STORE)
    setup = Setup(plan, roles, contestants, judges, simulated, rubric, left_out)
    with shown_progress(console) as progress:
        evaluation = Evaluation(setup, store, progress)
        for line in evaluation.probe_judges():
            console.print(line, soft_wrap=True)
        results = evaluation.run()
    return (
        with_earlier_reads(results, options.output, console),
        [*usages(contestants, judges), *reading],
        evaluation.problems,
    )


def _next(options: argparse.Namespace, results: Results) -> str:
    if results.sheet is None and len(options.model or []) > 1:
        sheet = command_line(
            "eval", "--output", short_path(options.output), "--blind-sheet", f"sheets/{options.output.stem}"
        )
        return f"Which model is better, readers say who do not know who wrote what.\nNext: {sheet}"
    if results.sheet is None or results.sheet.readings:
        return "Next: " + command_line("analyze", "--results", short_path(options.output))
    again = command_line("eval", "--output", short_path(options.output), "--readings")
    return f"Have the sheet read. Its readers' CSV files go in with: {again} FILE …"


def own_address(name: str, base_url: str | None) -> str | None:
    """`--base-url` for a model that is named as a server of one's own."""
    return base_url if name.partition("/")[0] == OWN_SERVER else None


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add(
        "--model",
        type=text,
        nargs="+",
        metavar="NAME",
        help="without it the results in --output are taken as they are, to make a sheet of them or to take readings in",
    )
    add(
        "--checkpoint",
        type=text,
        metavar="FOLDER",
        help="of `rl`: a checkpoint, a run, `latest` or `best`, or a merged model",
    )
    add(
        "--judge",
        type=text,
        nargs="+",
        metavar="NAME",
        help="rubric, a provider, or provider/model; several to compare them; none for blind reads alone (default xai, as in "
        "training)",
    )
    add(
        "--rubric",
        type=rubric_file,
        metavar="FILE",
        help="what judges score by, in the form of configs/rubric.yaml (default: that one)",
    )
    add(
        "--base-url",
        type=address,
        metavar="URL",
        help="address of the models and readers named openai_compatible/…, and of such judges without --judge-base-url",
    )
    add_judge_address(parser)
    add_cache(parser)
    add(
        "--roles",
        type=input_file,
        metavar="FILE",
        help="other roles than the held-out split: CSV, JSON, JSONL or parquet",
    )
    add_gpus(parser)
    add("--samples", type=whole(ge=1, le=1000), default=2, metavar="N", help="questions a role (default 2)")
    add("--seed", type=seed, default=0, metavar="N")
    add(
        "--twice",
        type=whole(ge=0),
        default=20,
        metavar="N",
        help="questions that each judge is asked about twice (default 20)",
    )
    add("--simulate-candidates", type=text, nargs="+", metavar="NAME", help="have a weak and a strong candidate answer "
        "each question, and say how surely their answers tell them apart: a folder, a Hub id or provider/model, told to be "
        "the one and the other; "
        "two: a weak and a strong model; a third grades (default the strong one)")  # fmt: skip
    add(
        "--candidate-answers",
        type=whole(ge=1, le=32),
        default=4,
        metavar="N",
        help="of each candidate to each question (default 4)",
    )
    add("--pairwise", action="store_true", help="have the judges compare every two models' questions, in both orders")
    add(
        "--trim",
        type=number(gt=0, le=0.49),
        metavar="SHARE",
        help="also give figures without this share of the lowest and of the highest roles",
    )
    add("--budget-usd", type=dollars, metavar="USD", help="stop calling models and judges before it costs more")
    add_price(parser)
    add("--skip-missing-keys", action="store_true", help="leave out models whose key is missing")
    add(
        "--blind-sheet",
        type=output_folder,
        metavar="FOLDER",
        help="write the questions without names, for people to read; the key stays beside the folder",
    )
    add("--sheet-roles", type=whole(ge=1), metavar="N", help="roles on the sheet, chosen by --seed (default all)")
    add(
        "--readings",
        type=input_file,
        nargs="+",
        default=[],
        metavar="FILE",
        help="CSV of readers: ID,score or ID,score,X",
    )
    add(
        "--readings-kind",
        choices=get_args(ReaderKind),
        default="not stated",
        help="what readers are whose file does not say",
    )
    add(
        "--reader",
        type=text,
        nargs="+",
        default=[],
        metavar="NAME",
        help="provider or provider/model that reads the sheet blind",
    )
    add("--people", type=address, metavar="URL", help="have people read the sheet on this feedback server, such as "
        "http://127.0.0.1:8000; the same command again takes in what they have read")  # fmt: skip
    add("--people-each", type=whole(ge=1, le=16), default=2, metavar="N", help="people who read each role (default 2)")
    add(
        "--people-task",
        choices=("score", "rank", "best_worst", "pairs"),
        default="score",
        help="what they do (default score)",
    )
    add(
        "--inspect-log",
        type=output_folder,
        metavar="FOLDER",
        help="also write logs for the viewer of Inspect AI, one a model",
    )
    add("--show", type=whole(ge=0), default=0, metavar="N", help="print the questions for N roles side by side")
    add("--output", type=results_file, default=WORKSPACE / "results/eval_results.json", metavar="FILE")
    options = parser.parse_args()
    if not (options.model or options.blind_sheet or options.readings or options.reader or options.people):
        parser.error("give --model, or --blind-sheet, --readings, --reader or --people for results that are there")
    if options.checkpoint and "rl" not in (options.model or []):
        parser.error("--checkpoint belongs to --model rl; name the checkpoint itself after --model, or add rl")
    if options.pairwise and len(options.model or []) == 1:
        parser.error("--pairwise compares models; name two or more after --model")
    candidates = options.simulate_candidates or []
    if len(candidates) > 3:
        parser.error(f"--simulate-candidates takes one to three models, not {len(candidates)}")
    named = [*(options.model or []), *(options.judge or []), *options.reader, *candidates]
    if options.base_url and not any(name.startswith(OWN_SERVER) for name in named):
        parser.error(f"--base-url is for models, judges and readers named {OWN_SERVER}/…, and none is")
    if options.judge_base_url and not any(name.startswith(OWN_SERVER) for name in options.judge or []):
        parser.error(f"--judge-base-url is for judges named {OWN_SERVER}/…, and none is")
    options.price = read_prices(parser, options.price)
    return options


def find_judges(names: list[str] | None, rubric: Rubric, base_url: str | None, cache: str | None) -> list[Judge]:
    """The judges that are named; Grok if none is, nobody if `none` is.

    Raises:
        ConfigError: there is no such judge, its key is missing, or it stands there twice.
    """
    if names == ["none"]:
        return []
    if not names and not os.environ.get("XAI_API_KEY"):
        raise ConfigError(
            "The default judge is Grok, and XAI_API_KEY is not set: set it in the environment or in .env, or name a judge, "
            "for example --judge rubric (offline) or --judge anthropic, or --judge none."
        )
    settings = [named_judge(name, own_address(name, base_url)) for name in names or ["xai"]]
    judges = [make_judge(replace(each, cache_path=cache) if cache else each, rubric=rubric) for each in settings]
    found = [judge.name for judge in judges]
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise ConfigError(f"--judge names {twice} twice.")
    return judges


def find_candidates(options: argparse.Namespace) -> SimulatedJudge | None:
    """Who plays and grades simulated candidates; None if nobody shall.

    Raises:
        ConfigError: a key is missing, or a name means nothing.
        ModelError: there is no such model.
    """
    names = [ALIASES.get(name, name) for name in options.simulate_candidates or []]
    if not names:
        return None
    weak, strong = (names[0], names[1]) if len(names) > 1 else (None, None)
    settings = NamedCandidateConfig(
        provider="simulated",
        model=names[-1],
        weak=weak,
        strong=strong,
        answers=options.candidate_answers,
        base_url=next((found for name in names if (found := own_address(name, options.base_url))), None),
    )
    return SimulatedJudge(replace(settings, cache_path=options.cache) if options.cache else settings)


def print_results(console: Console, results: Results, show: int) -> None:
    """What is known, all tables but the long ones, what to know before believing them, and some questions."""
    for line in results.evidence:
        console.print(f"\n{line}", style="bold", soft_wrap=True)
    console.print(f"\n{len(results.roles)} roles from {results.plan.roles_from}; scores 0–10, 95% intervals over roles")
    for each in tables(results):
        if each.is_long:
            continue
        table = Table(
            title=each.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for index, column in enumerate(
            each.columns
        ):  # what is too wide breaks between words, not within names and numbers
            words = [word for cell in (column, *(row[index] for row in each.rows)) for word in cell.split()]
            width = max(map(len, words), default=0)
            table.add_column(column, justify="right" if index else "left", overflow="fold", min_width=width)
        for row in each.rows:
            table.add_row(*row)
        console.print(table)
    for warning in warnings(results):
        console.print(f"Note: {warning}", soft_wrap=True)
    if show:
        print_questions(console, results, show)


def print_questions(console: Console, results: Results, count: int) -> None:
    """What each model asked for some roles."""
    judge = next(iter(results.judges), "")
    for role in results.roles[:: max(1, len(results.roles) // count)][:count]:
        console.print(f"\n{heading(role)}", style="bold")
        for sample in results.samples:
            if sample.role_id == role.id and sample.sample == 0:
                scores = sample.judgements[judge].scores if judge in sample.judgements else None
                score = f" ({scores['composite']:.1f})" if scores else " (unscored)" if judge else ""
                text = f"(nothing: {sample.failure})" if sample.question is None else sample.question
                console.print(f"  {sample.model}{score}: {text}")
