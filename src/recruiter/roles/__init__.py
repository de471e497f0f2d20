"""Roles: the validated records that go in.

A role is what a hiring manager knows before a question is written. `load_roles` reads and checks a file of whole roles;
`completing.py` makes roles of what people type, `rows.py` reads the files of both, `dataset.py` splits them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from recruiter.errors import DataError
from recruiter.roles.rows import read_rows

Level = Literal["junior", "mid", "senior", "staff", "principal"]
LEVELS: tuple[Level, ...] = get_args(Level)

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class Role(BaseModel):
    """One role description. Immutable, so it can be a dictionary key and be shared between threads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Term
    title: Term
    level: Level
    focus: Term
    stack: tuple[Term, ...] = Field(min_length=1)
    description: Text
    key_skills: tuple[Term, ...] = Field(min_length=1)


def parse_roles(records: object, source: str) -> list[Role]:
    """Validate `records` (the parsed JSON of `source`) and return the roles.

    Raises:
        DataError: naming the index and the field of the first bad record.
    """
    if not isinstance(records, list) or not records:
        raise DataError(f"{source} must hold a non-empty JSON list of role records.")
    roles: list[Role] = []
    seen: dict[str, int] = {}
    for index, record in enumerate(records):
        try:
            role = Role.model_validate(record)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "record"
            raise DataError(f"{source}: record {index}, field '{field}': {first['msg']}.") from None
        if role.id in seen:
            raise DataError(f"{source}: record {index}, field 'id': '{role.id}' is already record {seen[role.id]}.")
        seen[role.id] = index
        roles.append(role)
    return roles


def load_roles(path: Path) -> list[Role]:
    """Read and validate a file of roles.

    Raises:
        DataError: if the file is missing, cannot be read, or holds a bad record.
    """
    if not path.is_file():
        raise DataError(f"There is no role file at {path}; give one with --roles.")
    return parse_roles([row for _, row in read_rows(path)], str(path))
