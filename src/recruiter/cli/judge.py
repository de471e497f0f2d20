"""Judge questions by the rubric: from the command line, or from CSV and JSONL files.

  recruiter judge --role ad-serving-01 "How would you find the query that holds the lock?"
  recruiter judge --file questions.csv --judge xai --format csv --output judged.csv

  recruiter judge --calibrate ratings.jsonl --judge rubric xai --output team.json

A file has a column `question`, and `role_id` (or `id`) of a role of the data set, or the role's fields: title, level,
focus, stack, description, key_skills. Judgements are cached: a run that was stopped goes on where it was. The exit status
is 2 when questions stayed without a score. With `--calibrate`, ratings that people gave (an export of the feedback server)
say how much each judge counts on each criterion; what is written is a judge, `--judge calibrated/team.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from recruiter.cli.command import add_cache, add_judge_address, argument_parser, command
from recruiter.cli.options import format_of, input_file, output_file, rubric_file, text
from recruiter.cli.terminal import make_console
from recruiter.config.paths import ROLES
from recruiter.errors import DataError
from recruiter.evaluation import calibration
from recruiter.evaluation.calibration import RatedGroup
from recruiter.files import short_path, write_json
from recruiter.judges import Judge
from recruiter.judges.calibrated import calibrated_file
from recruiter.judges.lists import Entry, find_role, judge_all, read_questions
from recruiter.judges.making import make_judge, named_judge
from recruiter.judges.ratings import read_ratings
from recruiter.roles.completing import read_roles
from recruiter.rubric import Judgement, load_rubric
from recruiter.writers.formats import LIST_ENDINGS, LIST_FORMATS, format_list


@command
def main() -> None:
    """See above."""
    options = parse_options()
    if options.calibrate:
        calibrate(options)
        return
    roles = {each.role.id: each.role for each in read_roles(options.roles)}
    role = find_role(options.role, roles) if options.role else None
    entries = [(role, question) for question in options.questions if role is not None]
    for path in options.file:
        entries += read_questions(path, roles, role)
    judge = find_judge(options, options.judge[0])
    messages = make_console(stderr=True)
    judgements = judged(judge, entries, messages)
    shown = format_list(entries, judgements, options.format, judge.rubric.names)
    if options.output:
        options.output.write_text(shown, encoding="utf-8")
        messages.print(f"Wrote {len(entries)} judgements to {short_path(options.output)}.")
    else:
        print(shown, end="")
    if usage := judge.usage.summary():
        messages.print(usage, soft_wrap=True)
    if failed := sum(judgement.scores is None for judgement in judgements):
        messages.print(f"{failed} of {len(entries)} questions have no score; run it again to ask for them.")
        sys.exit(2)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("questions", nargs="*", type=text, metavar="QUESTION", help="needs --role")
    parser.add_argument(
        "--role", type=text, metavar="ID|FILE", help="id of a role of the data set, or a file with one role"
    )
    parser.add_argument(
        "--file", type=input_file, nargs="+", default=[], metavar="FILE", help="CSV, JSON, JSONL or parquet"
    )
    parser.add_argument(
        "--roles",
        type=input_file,
        default=ROLES,
        metavar="FILE",
        help="where ids are looked up (default data/backend_roles.json)",
    )
    parser.add_argument(
        "--judge",
        type=text,
        default=["xai"],
        nargs="+",
        metavar="NAME",
        help="rubric, a provider, provider/model, or calibrated/FILE (default xai); several with --calibrate",
    )
    parser.add_argument("--calibrate", type=input_file, metavar="FILE", help="ratings, as the page Owner exports them")
    parser.add_argument(
        "--rubric",
        type=rubric_file,
        metavar="FILE",
        help="what to judge by, in the form of configs/rubric.yaml (default: that one)",
    )
    add_judge_address(parser, "--base-url")
    add_cache(parser)
    parser.add_argument("--format", choices=LIST_FORMATS, help="default table, or what the name of --output says")
    parser.add_argument("--output", type=output_file, metavar="FILE", help="write there instead of to the terminal")
    options = parser.parse_args()
    if options.calibrate:
        if options.questions or options.file or not options.output:
            parser.error("--calibrate takes --judge and --output, the file of the judge that is made, and no questions")
        if options.output.suffix != ".json":
            parser.error(
                f"--output {options.output} cannot work; name a .json file, which holds the judge that is made"
            )
        return options
    options.format = format_of(parser, options.output, LIST_ENDINGS, "table", options.format)
    if not options.questions and not options.file:
        parser.error("give questions, or --file")
    if len(options.judge) > 1:
        parser.error("several judges are for --calibrate; name one")
    if options.questions and not options.role:
        parser.error("questions on the command line need --role")
    return options


def find_judge(options: argparse.Namespace, name: str) -> Judge:
    """The judge of that name.

    Raises:
        ConfigError: there is none.
    """
    settings = named_judge(name, options.judge_base_url)
    settings = dataclasses.replace(settings, cache_path=options.cache) if options.cache else settings
    return make_judge(settings, rubric=load_rubric(options.rubric))


def judged(judge: Judge, entries: Sequence[Entry], messages: Console) -> list[Judgement]:
    """A judgement for each question, with a bar that shows how far it is."""
    with Progress(console=messages, transient=True) as bar:
        task = bar.add_task(escape(f"judging with {judge.name}"), total=len(entries))
        return judge_all(judge, entries, lambda: bar.advance(task))


def calibrate(options: argparse.Namespace) -> None:
    """Find how much each judge counts, and write the judge that is made of them, if it agrees better with people.

    Raises:
        DataError: the ratings cannot be used, or there are too few.
    """
    messages = make_console(stderr=True)
    messages.soft_wrap = True
    rubric = load_rubric(options.rubric)
    ratings = read_ratings(options.calibrate, rubric, {each.role.id: each.role for each in read_roles(options.roles)})
    entries = [(group.role, question) for group in ratings for question in group.questions]
    said = {name: judged(find_judge(options, name), entries, messages) for name in options.judge}
    groups, place = [], 0
    for group in ratings:
        here = slice(place, place + len(group.questions))
        place = here.stop
        scores = [[judgement.scores for judgement in said[name][here]] for name in options.judge]
        kept = [n for n in range(len(group.questions)) if all(of_judge[n] is not None for of_judge in scores)]
        if len(kept) > 1:
            people = np.array([group.means(question, rubric) for question in group.questions])[kept]
            judges = np.array(
                [[[s[c] for c in rubric.names] for n in kept if (s := of_judge[n])] for of_judge in scores]
            )
            groups.append(RatedGroup(people, judges))
    if orders := sum(len(group.comparisons) for group in ratings):
        messages.print(
            f"Comparisons of two texts without scores (orders, pairs, better wordings, edits): {orders}. They say nothing by "
            f"criterion, so the weights do without them."
        )
    found = calibration.calibrate(rubric, groups)
    if found is None:
        raise DataError(
            f"{len(groups)} groups are rated and judged; at least {calibration.FEWEST_GROUPS} are needed in which people see "
            f"a difference. Nothing was written: have more rated."
        )
    shown = {"before": found.before, "after": found.after, "gain": found.gain}
    for name, each in shown.items():
        messages.print(f"{name}: {each.mean:.3f} ({each.low:.3f} to {each.high:.3f})")
    messages.print(f"Mean Kendall tau-b with people within {found.groups} groups, 95% intervals, by cross-validation.")
    if found.more is not None:
        messages.print(f"Twice as many ratings would add about {found.more:.3f}.")
    if not found.helps:
        messages.print("Calibration does not agree better with people beyond chance, so nothing was written.")
        sys.exit(2)
    address = {name: own_address(name, options.judge_base_url) for name in options.judge}
    file = calibrated_file(
        rubric, list(address.items()), found.weights.weights, found.weights.offsets, groups=found.groups,
        agreement={name: [each.mean, each.low, each.high] for name, each in shown.items()},
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    write_json(options.output, file.model_dump())
    messages.print(f"Wrote {short_path(options.output)}: use it as --judge calibrated/{short_path(options.output)}")


def own_address(name: str, base_url: str | None) -> str | None:
    """`--judge-base-url` for a judge that is named as a server of one's own."""
    return base_url if name.partition("/")[0] == "openai_compatible" else None
