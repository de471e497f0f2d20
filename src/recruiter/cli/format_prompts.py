"""Write the chat prompts that training reads: data/raw -> data/processed. Training does this by itself when needed."""

from __future__ import annotations

import argparse
from pathlib import Path

from recruiter.cli.command import argument_parser, command
from recruiter.cli.options import output_folder
from recruiter.config.paths import WORKSPACE
from recruiter.files import short_path
from recruiter.roles.dataset import format_prompts


@command
def main() -> None:
    """See above."""
    options = parse_options()
    for split, written in format_prompts(options.raw, options.output).items():
        print(f"{short_path(options.output / split)}.parquet: {'written' if written else 'already current'}")


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--raw", type=Path, default=WORKSPACE / "data/raw", metavar="FOLDER")
    parser.add_argument("--output", type=output_folder, default=WORKSPACE / "data/processed", metavar="FOLDER")
    return parser.parse_args()
