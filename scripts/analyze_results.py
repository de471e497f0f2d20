"""Draw what a training run and an evaluation left behind: reward over steps, and scores with intervals."""

from __future__ import annotations

import argparse
from pathlib import Path

from recruiter.command import command, shown
from recruiter.config import REPOSITORY
from recruiter.plots import plot_scores, plot_training


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="of a training run: draws its metrics")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results/eval_results.json", metavar="FILE")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "results", metavar="FOLDER")
    options = parser.parse_args()
    drawn = [plot_training(options.run, options.output / "training.png")] if options.run else []
    if options.results.is_file() or not drawn:
        drawn.append(plot_scores(options.results, options.output / "scores.png"))
    print("Drew " + " and ".join(shown(path) for path in drawn))


if __name__ == "__main__":
    main()
