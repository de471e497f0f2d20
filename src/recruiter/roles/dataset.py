"""The data set on its way from role records to prompts: `data/raw` (split roles) and `data/processed` (chat prompts).

Whether processed data is current is decided by content, not by file times: each processed file carries the hash of the
raw file and of the prompt it was made with.
"""

from __future__ import annotations

import hashlib
import json
import random
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recruiter.config.paths import WORKSPACE, command_line
from recruiter.errors import DataError
from recruiter.files import replaced, short_path
from recruiter.prompts import PROMPT_HASH, generator_messages
from recruiter.roles import LEVELS, Role, parse_roles
from recruiter.roles.rows import read_rows

SPLITS = ("train", "test")
TEST_SIZE, SEED = 100, 42  # of the split, where nobody says otherwise
ENV_CLASS = "question-gen"
_HASH_KEY = b"recruiter.content_hash"


def split_roles(roles: Sequence[Role], test_size: int = TEST_SIZE, seed: int = SEED) -> tuple[list[Role], list[Role]]:
    """Split into train and test, each level in proportion (largest remainders first). Deterministic in `seed`.

    Raises:
        DataError: if nothing would be left to train or to test on.
    """
    if not 0 < test_size < len(roles):
        raise DataError(
            f"--test-size {test_size} must be between 1 and {len(roles) - 1}: there are {len(roles)} roles."
        )
    by_level: dict[str, list[Role]] = defaultdict(list)
    for role in sorted(roles, key=lambda role: role.id):
        by_level[role.level].append(role)
    shares = {level: len(by_level[level]) * test_size / len(roles) for level in LEVELS}
    counts = {level: int(share) for level, share in shares.items()}
    by_remainder = sorted(LEVELS, key=lambda level: (counts[level] - shares[level], LEVELS.index(level)))
    for level in by_remainder[: test_size - sum(counts.values())]:
        counts[level] += 1
    generator = random.Random(seed)
    test_ids: set[str] = set()
    for level in LEVELS:
        test_ids.update(role.id for role in generator.sample(by_level[level], counts[level]))
    return [role for role in roles if role.id not in test_ids], [role for role in roles if role.id in test_ids]


def _preparing(folder: Path) -> str:
    """The command that makes the data of a folder: for another one than the shipped roles' it needs a file of roles."""
    if folder.resolve() == (WORKSPACE / "data/raw").resolve():
        return command_line("prepare")
    return f"{command_line('prepare')} --roles FILE --output {shlex.quote(short_path(folder))}"


def roles_hash(roles: Sequence[Role]) -> str:
    """Hash of what roles say and of their order."""
    records = json.dumps([role.model_dump(mode="json") for role in roles])
    return hashlib.sha256(records.encode()).hexdigest()[:16]


def write_raw(train: Sequence[Role], test: Sequence[Role], folder: Path) -> list[Path]:
    """Write `train.parquet` and `test.parquet`, one row a role."""
    paths = []
    for name, roles in zip(SPLITS, (train, test), strict=True):
        table = pa.Table.from_pylist([role.model_dump(mode="json") for role in roles])
        paths.append(_write(table, folder / f"{name}.parquet"))
    return paths


def read_raw(path: Path) -> list[Role]:
    """Read one split of the raw data.

    Raises:
        DataError: if the file is missing or holds something else.
    """
    if not path.is_file():
        raise DataError(f"There is no data at {path}; make it with `{_preparing(path.parent)}`.")
    try:
        rows = read_rows(path)
    except DataError as error:
        raise DataError(f"{error} Run `{command_line('prepare')}`.") from None
    return parse_roles([row for _, row in rows], str(path))


def prompt_row(role: Role, index: int, split: str) -> dict[str, Any]:
    """One training row, as TRL (`prompt`) and SkyRL (`prompt`, `env_class`, `reward_spec`, `extra_info`) read it."""
    return {
        "prompt": generator_messages(role),
        "data_source": ENV_CLASS,
        "env_class": ENV_CLASS,
        "reward_spec": {"method": "judge", "ground_truth": ""},
        "extra_info": {"index": index, "split": split, "role": role.model_dump_json()},
    }


def format_prompts(raw: Path, processed: Path) -> dict[str, bool]:
    """Write `processed/*.parquet` where the raw data or the prompt changed; return which splits were written."""
    written = {}
    for split in SPLITS:
        source, target = raw / f"{split}.parquet", processed / f"{split}.parquet"
        roles = read_raw(source)
        current = hashlib.sha256(source.read_bytes() + PROMPT_HASH.encode()).hexdigest()
        written[split] = _stored_hash(target) != current
        if written[split]:
            table = pa.Table.from_pylist([prompt_row(role, index, split) for index, role in enumerate(roles)])
            _write(table.replace_schema_metadata({_HASH_KEY: current.encode()}), target)
    return written


def load_split(processed: Path, split: str) -> list[Role]:
    """The roles of one processed split, in file order."""
    rows = pq.read_table(processed / f"{split}.parquet", columns=["extra_info"]).to_pylist()
    return parse_roles([json.loads(row["extra_info"]["role"]) for row in rows], str(processed / f"{split}.parquet"))


def _stored_hash(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        metadata = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid:
        return None
    stored: bytes = metadata.get(_HASH_KEY, b"")
    return stored.decode()


def _write(table: pa.Table, path: Path) -> Path:
    with replaced(path) as beside:
        pq.write_table(table, beside)
    return path
