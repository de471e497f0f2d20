"""Evaluate models on held-out roles: every model writes a question for each role, the judge scores them.

Models: `starter`, `baseline`, `rl` (with --checkpoint), a folder, or a Hub id. Differences are to the first one named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from recruiter.command import command, shown
from recruiter.config import REPOSITORY, SamplingParams, load_config
from recruiter.dataset import read_raw
from recruiter.evaluation import Contestant, evaluate, find_contestant, training_run
from recruiter.judges import make_judge, named_judge
from recruiter.roles import Role, load_roles
from recruiter.rubric import CRITERION_NAMES


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--checkpoint", metavar="FOLDER", help="of `rl`: a checkpoint, a run, `latest` or `best`")
    parser.add_argument(
        "--judge", default="rubric", metavar="NAME", help="rubric (default), a provider, or provider/model"
    )
    parser.add_argument("--base-url", metavar="URL", help="address of the judge's server instead of its provider's")
    parser.add_argument("--roles", type=Path, metavar="FILE", help="roles as JSON instead of the held-out split")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="questions a role (default 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the questions for N roles side by side")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "results/eval_results.json", metavar="FILE")
    options = parser.parse_args()
    if options.samples < 1:
        parser.error(f"--samples {options.samples} must be 1 or more")

    roles = load_roles(options.roles) if options.roles else read_raw(REPOSITORY / "data/raw/test.parquet")
    contestants = [find_contestant(name, options.checkpoint) for name in options.model]
    runs = [run for run in map(training_run, contestants) if run]
    trained_with = runs[0]["config"]["generator"]["sampling_params"] if runs else {}
    sampling = SamplingParams(**trained_with) if runs else load_config("train_config").generator.sampling_params
    judge = make_judge(named_judge(options.judge, options.base_url))
    console = Console()
    with Progress(console=console) as bars:
        tasks = {contestant.name: bars.add_task(contestant.name, total=len(roles)) for contestant in contestants}

        def progress(contestant: Contestant, done: int) -> None:
            bars.update(tasks[contestant.name], completed=done)

        results = evaluate(contestants, judge, roles, sampling, options.seed, options.samples, options.output, progress)
    print_table(console, results, len(roles))
    if any(run["judge"] == judge.name for run in runs):
        console.print(f"Note: '{judge.name}' also judged the training; a different judge is stronger evidence.")
    print_questions(
        console, results, roles[:: max(1, len(roles) // options.show)][: options.show] if options.show else []
    )
    console.print(f"\nEvery question and judgement: {shown(options.output)}")
    console.print("Next: python scripts/analyze_results.py draws the plots")


def print_table(console: Console, results: dict, roles: int) -> None:
    """One row a model: scores with intervals, and the paired difference to the first model. Fits 80 columns."""
    title = f"{roles} held-out roles, judge {results['judge']}: scores 0–10, 95% intervals over roles"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("model", *CRITERION_NAMES, "composite", "difference"):
        table.add_column(column, justify="left" if column == "model" else "right", no_wrap=True)
    for name, model in results["models"].items():
        scores = model["summary"]["scores"]
        table.add_row(
            name,
            *(f"{scores[criterion]['mean']:.2f}" if scores[criterion] else "–" for criterion in CRITERION_NAMES),
            interval(scores["composite"]),
            interval(model["difference"], "+") if model["difference"] else "",
        )
    console.print(table)
    for name, model in results["models"].items():
        summary = model["summary"]
        below = summary["share_below_5"]
        console.print(
            f"{name}: {'–' if below is None else f'{below:.0%}'} below 5, wording shared with another role's question "
            f"{summary['overlap_median']:.2f} (median), {summary['tokens_mean']:.0f} tokens, "
            f"{summary['unscored']} of {summary['questions']} unscored",
            highlight=False,
        )


def interval(figure: dict | None, sign: str = "") -> str:
    """A mean with its interval on two lines."""
    if figure is None:
        return "–"
    return f"{figure['mean']:{sign}.2f}\n[dim]{figure['low']:{sign}.2f} … {figure['high']:{sign}.2f}[/dim]"


def print_questions(console: Console, results: dict, roles: list[Role]) -> None:
    """What each model asked for the same roles."""
    for role in roles:
        console.print(f"\n[bold]{role.title}[/bold] ({role.level}; {', '.join(role.stack)})")
        for name, model in results["models"].items():
            row = next(row for row in model["rows"] if row["role_id"] == role.id)
            score = f"{row['scores']['composite']:.1f}" if row["scores"] else "unscored"
            console.print(f"  {name} ({score}): {row['question']}", highlight=False, markup=False)


if __name__ == "__main__":
    main()
