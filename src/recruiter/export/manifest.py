"""`export.json`: what an exported folder was made of, and the hashes of its files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from recruiter.errors import ExportError
from recruiter.files import sha256_of, write_json

NAME = "export.json"
_NOT_HASHED = (NAME, "README.md", "training.png")  # written again whenever more is known


@dataclass(frozen=True)
class Manifest:
    """An exported folder.

    Attributes:
        base: the base model as its users know it; `hub_base` the same where that is a Hub id.
        checkpoint: the adapter's folder, relative to the repository where it lies inside.
        kept: share of the adapter's change that is left after rounding.
        files: SHA-256 by name.
    """

    base: str
    hub_base: str | None
    licence: str | None
    checkpoint: str
    adapter_sha256: str
    dtype: str
    max_model_len: int
    prompt_hash: str
    rubric_hash: str
    kept: float
    files: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The manifest of a folder, or None if it is no export of this project."""
        try:
            data: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
            return cls(**{field.name: data[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def licence_of(folder: Path) -> str | None:
        """The licence in the manifest of a folder that this project made, an export or the starter model."""
        for name, key in ((NAME, "licence"), ("starter.json", "licence")):
            if (folder / name).is_file():
                stated = json.loads((folder / name).read_text(encoding="utf-8")).get(key)
                return str(stated) if stated else None
        return None

    def write(self, folder: Path) -> None:
        """Store it in the folder."""
        write_json(folder / NAME, asdict(self))

    def other_files(self, folder: Path) -> list[str]:
        """Names in the folder that no export has put there."""
        return sorted({path.name for path in folder.iterdir()} - {*self.files, *_NOT_HASHED})

    def check(self, folder: Path) -> None:
        """Compare the folder with the hashes.

        Raises:
            ExportError: a file is missing or changed.
        """
        for name, digest in self.files.items():
            path = folder / name
            if not path.is_file() or sha256_of(path) != digest:
                state = "changed" if path.is_file() else "missing"
                raise ExportError(f"{path} is {state} since it was exported: export again with --overwrite.")


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that belongs to the model."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name not in _NOT_HASHED}
