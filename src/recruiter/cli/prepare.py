"""Validate the role records and split them: data/backend_roles.json -> data/raw/{train,test}.parquet.

Roles of your own (--roles FILE) go to a folder of their own, data/NAME-OF-THE-FILE, so that those of the project stay.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from recruiter.cli.command import argument_parser, command
from recruiter.cli.next_step import RAW, next_training
from recruiter.cli.options import input_file, output_folder, seed, whole
from recruiter.config.paths import ROLES, WORKSPACE
from recruiter.errors import DataError
from recruiter.files import free_beside, short_path
from recruiter.roles import LEVELS, Role
from recruiter.roles.completing import CompletedRole, read_roles, unread_columns
from recruiter.roles.dataset import SEED, SPLITS, TEST_SIZE, read_raw, split_roles, write_raw

MOST_SHOWN = 6  # values that were assumed


@command
def main() -> None:
    """See above."""
    options = parse_options()
    completed = read_roles(options.roles)
    roles = [each.role for each in completed]
    size = min(TEST_SIZE, max(1, len(roles) // 5)) if options.test_size is None else options.test_size
    train, test = split_roles(roles, size, options.seed)
    replaced = _replaced(options.output, {role.id for role in roles})
    paths = write_raw(train, test, options.output)
    counts = ", ".join(f"{sum(role.level == level for role in test)} {level}" for level in LEVELS)
    print(f"{len(roles)} roles in {len({role.focus for role in roles})} focus areas are valid.")
    if unread := unread_columns(options.roles):
        print(f"Columns that nothing was taken from: {', '.join(unread)}.")
    print("".join(_assumptions(completed)), end="")
    print(
        f"Wrote {len(train)} to {short_path(paths[0])} and {len(test)} to {short_path(paths[1])} (held out: {counts})."
    )
    if replaced:
        print(f"They took the place of {replaced} other roles that were there.")
    settings = [] if options.output.resolve() == RAW.resolve() else [f"data.raw_dir={short_path(options.output)}"]
    if options.roles.resolve() != ROLES.resolve():  # a run of its own
        run = WORKSPACE / "checkpoints" / _name_of(options.roles)
        settings.append(f"trainer.ckpt_path={short_path(free_beside(run) if run.exists() else run)}")
    print(next_training(*settings))


def _assumptions(completed: Sequence[CompletedRole]) -> Iterator[str]:
    """Lines on what was assumed, of how many roles, and the values that were assumed most."""
    kinds: dict[str, Counter[str]] = {}
    for text in (text for each in completed for text in each.assumed):
        kind, _, value = text.partition(" ")
        is_value = kind in Role.model_fields or kind == "skills"
        kinds.setdefault(kind if is_value else re.sub(r"\b(?:a line|\d+ lines)\b", "lines", text), Counter())[
            value
        ] += 1
    if kinds:
        yield f"{sum(bool(each.assumed) for each in completed)} of them were completed:\n"
    for kind, values in kinds.items():
        most = values.most_common(MOST_SHOWN) if kind in ("level", "focus") else []
        more = [f"{len(values) - MOST_SHOWN} others"] if most and len(values) > MOST_SHOWN else []
        shown = ", ".join([*(f"{value} {count}" for value, count in most), *more])
        yield f"  {kind}: {values.total()} role{'s' * (values.total() != 1)}{f' ({shown})' if shown else ''}\n"


def _name_of(roles: Path) -> str:
    """What folders for roles of one's own are called."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", roles.stem).strip("-") or "own"
    return f"{name}-roles" if name.lower() in ("raw", "processed") else name


def _replaced(folder: Path, ids: set[str]) -> int:
    """How many roles of a folder's split are not among these."""
    try:
        return len({role.id for split in SPLITS for role in read_raw(folder / f"{split}.parquet")} - ids)
    except DataError:  # there is none, or none that can be read
        return 0


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("--roles", type=input_file, default=ROLES, metavar="FILE", help="CSV, JSON, JSONL or parquet")
    add("--test-size", type=whole(ge=1), metavar="N", help="roles held out (default a fifth, 100 at most)")
    add("--seed", type=seed, default=SEED, metavar="N", help=f"which roles are held out (default {SEED})")
    add("--output", type=output_folder, metavar="FOLDER", help="default data/raw; with --roles data/NAME-OF-THE-FILE")
    options = parser.parse_args()
    is_own = options.roles.resolve() != ROLES.resolve()
    options.output = options.output or (WORKSPACE / "data" / _name_of(options.roles) if is_own else RAW)
    if options.roles.resolve() in [options.output.resolve() / f"{split}.parquet" for split in ("train", "test")]:
        parser.error(
            f"--output {options.output} would write over {options.roles}, which --roles names; name another folder"
        )
    return options
