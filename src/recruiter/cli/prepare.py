"""Validate the role records and split them: data/backend_roles.json -> data/raw/{train,test}.parquet."""

from __future__ import annotations

from pathlib import Path

from recruiter.cli.command import argument_parser, command
from recruiter.config.paths import ROLES, WORKSPACE, command_line
from recruiter.files import short_path
from recruiter.roles import LEVELS, load_roles
from recruiter.roles.dataset import SEED, TEST_SIZE, split_roles, write_raw


@command
def main() -> None:
    """See above."""
    parser = argument_parser(__doc__)
    parser.add_argument("--roles", type=Path, default=ROLES, metavar="FILE")
    parser.add_argument("--test-size", type=int, default=TEST_SIZE, metavar="N", help="roles held out (default 100)")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N")
    parser.add_argument("--output", type=Path, default=WORKSPACE / "data/raw", metavar="FOLDER")
    options = parser.parse_args()

    roles = load_roles(options.roles)
    train, test = split_roles(roles, options.test_size, options.seed)
    paths = write_raw(train, test, options.output)
    counts = ", ".join(f"{sum(role.level == level for role in test)} {level}" for level in LEVELS)
    print(f"{len(roles)} roles in {len({role.focus for role in roles})} focus areas are valid.")
    print(
        f"Wrote {len(train)} to {short_path(paths[0])} and {len(test)} to {short_path(paths[1])} (held out: {counts})."
    )
    print(f"Next: {command_line('train')} --config-name=quickstart_config")
