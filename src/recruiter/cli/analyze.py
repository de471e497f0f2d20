"""Draw what training, evaluation and raters left behind, as PNG and SVG.

  recruiter analyze --run checkpoints/quickstart --results results/quickstart.json
  recruiter analyze --run checkpoints/one checkpoints/two --output results/compared
  recruiter analyze --ratings ratings.jsonl --judged rubric.json

Without any of these it draws results/eval_results.json.
"""

from __future__ import annotations

import argparse

from recruiter.cli.command import argument_parser, command
from recruiter.cli.options import input_file, input_folder, output_folder, rubric_file, stored_results
from recruiter.config.paths import WORKSPACE
from recruiter.evaluation.results import load_results
from recruiter.files import short_path
from recruiter.report.plots import (
    Contest,
    plot_distributions,
    plot_levels,
    plot_people,
    plot_scores,
    plot_training,
    plot_unscored,
    read_ratings,
    read_runs,
)
from recruiter.rubric import load_rubric

DEFAULT = WORKSPACE / "results/eval_results.json"


@command
def main() -> None:
    """See above."""
    options = parse_options()
    files = options.results or ([DEFAULT] if DEFAULT.is_file() or not (options.run or options.ratings) else [])
    runs, rubric = read_runs(options.run), load_rubric(options.rubric)
    results = [(path.stem, load_results(path)) for path in files]
    ratings = read_ratings(options.ratings, options.judged, rubric) if options.ratings else None
    drawn = []
    if runs:
        drawn += plot_training(runs, options.output / "training", [each for _, each in results])
        if any(row["unscored"] for run in runs for row in run.rows):
            drawn += plot_unscored(runs, options.output / "unscored")
    if results:
        contest = Contest(results)
        drawn += plot_scores(contest, options.output / "scores")
        drawn += plot_distributions(contest, options.output / "distributions")
        drawn += plot_levels(contest, options.output / "levels")
    if ratings is not None:
        drawn += plot_people(ratings, rubric, options.output / "people")
    print(
        f"Drew, as PNG and SVG in {short_path(options.output)}: "
        + ", ".join(dict.fromkeys(path.stem for path in drawn))
    )
    for report in (path.with_suffix(".html") for path in files):
        if report.is_file():
            print(f"To read the questions, open {short_path(report)} in a browser.")


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--run", type=input_folder, nargs="+", default=[], metavar="FOLDER", help="training runs")
    parser.add_argument(
        "--results", type=stored_results, nargs="+", default=[], metavar="FILE", help="of the evaluation"
    )
    parser.add_argument(
        "--ratings", type=input_file, metavar="FILE", help="people's, as the feedback server exports them"
    )
    parser.add_argument(
        "--judged",
        type=input_file,
        nargs="+",
        default=[],
        metavar="FILE",
        help="JSON of the command judge, a judge each",
    )
    parser.add_argument("--rubric", type=rubric_file, metavar="FILE", help="what --ratings and --judged were scored by")
    parser.add_argument("--output", type=output_folder, default=WORKSPACE / "results", metavar="FOLDER")
    options = parser.parse_args()
    if bool(options.judged) != bool(options.ratings):
        parser.error("--ratings and --judged need each other: judges are drawn against people on the same questions")
    return options
