"""Judge questions by the rubric: from the command line, or from CSV and JSONL files.

  recruiter judge --role role-017 "How would you find the query that holds the lock?"
  recruiter judge --file questions.csv --judge xai --format csv --output judged.csv

A file has a column `question`, and `role_id` (or `id`) of a role of the data set, or the role's fields: title, level,
focus, stack, description, key_skills. Judgements are cached: a run that was stopped goes on where it was. The exit status
is 2 when questions stayed without a score.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from recruiter.cli.command import argument_parser, command
from recruiter.config.paths import ROLES
from recruiter.files import short_path
from recruiter.judges.lists import find_role, judge_all, read_questions
from recruiter.judges.making import make_judge, named_judge
from recruiter.roles import load_roles
from recruiter.rubric import load_rubric
from recruiter.writers.formats import LIST_FORMATS, format_list


@command
def main() -> None:
    """See above."""
    parser = argument_parser(__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help="needs --role")
    parser.add_argument("--role", metavar="ID|FILE", help="id of a role of the data set, or a JSON file with one role")
    parser.add_argument("--file", type=Path, nargs="+", default=[], metavar="FILE", help="CSV or JSONL files")
    parser.add_argument(
        "--roles",
        type=Path,
        default=ROLES,
        metavar="FILE",
        help="where ids are looked up (default data/backend_roles.json)",
    )
    parser.add_argument(
        "--judge", default="xai", metavar="NAME", help="rubric, a provider, or provider/model (default xai)"
    )
    parser.add_argument(
        "--rubric", metavar="FILE", help="what to judge by, in the form of configs/rubric.yaml (default: that one)"
    )
    parser.add_argument("--base-url", metavar="URL", help="address of the judge's server instead of its provider's")
    parser.add_argument("--cache", metavar="FILE", help="cache of judgements (default data/judge_cache.sqlite)")
    parser.add_argument("--format", choices=LIST_FORMATS, default="table", help="default table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to the terminal")
    options = parser.parse_args()
    if not options.questions and not options.file:
        parser.error("give questions, or --file")
    if options.questions and not options.role:
        parser.error("questions on the command line need --role")

    roles = {role.id: role for role in load_roles(options.roles)}
    role = find_role(options.role, roles) if options.role else None
    entries = [(role, question) for question in options.questions if role is not None]
    for path in options.file:
        entries += read_questions(path, roles, role)
    settings = named_judge(options.judge, options.base_url)
    settings = dataclasses.replace(settings, cache_path=options.cache) if options.cache else settings
    judge = make_judge(settings, rubric=load_rubric(options.rubric))

    messages = Console(stderr=True)
    with Progress(console=messages, transient=True) as bar:
        task = bar.add_task(f"judging with {judge.name}", total=len(entries))
        judgements = judge_all(judge, entries, lambda: bar.advance(task))
    text = format_list(entries, judgements, options.format, judge.rubric.names)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
        messages.print(f"Wrote {len(entries)} judgements to {short_path(options.output)}.", highlight=False)
    else:
        print(text, end="")
    if usage := judge.usage.summary():
        messages.print(usage, highlight=False, soft_wrap=True)
    if failed := sum(judgement.scores is None for judgement in judgements):
        messages.print(f"{failed} of {len(entries)} questions have no score; run it again to ask for them.")
        sys.exit(2)
