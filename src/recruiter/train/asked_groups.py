"""Pending rollouts: what was sampled for a step, on disk before anybody is asked about it.

A step that people judge takes hours, one may be sampled while the step before it is trained, and the process may end in the
middle of either. The samples (text, tokens, log-probabilities) and the ids of the groups lie in
`<run>/pending/step_N.json`, so that whoever continues the run, on whatever device, goes on with the same questions and
asks nobody twice. A file goes once a checkpoint holds what its step taught.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from recruiter.engines import Sample
from recruiter.errors import DataError
from recruiter.files import write_json
from recruiter.roles import Role
from recruiter.train.layout import RunFolder


@dataclass(frozen=True)
class AskedGroup:
    """One role's samples under the id by which the group is known elsewhere; `asked`: people are to rate it."""

    id: str
    role: Role
    samples: list[Sample]
    asked: bool = True


class AskedGroups:
    """The folder of a run's pending steps."""

    def __init__(self, run: RunFolder) -> None:
        self._folder = run.asked_groups

    @property
    def steps(self) -> list[int]:
        """Steps that have a file, ascending."""
        return sorted(int(path.stem.removeprefix("step_")) for path in self._folder.glob("step_*.json"))

    def store(
        self, step: int, sampled: Iterable[tuple[Role, list[Sample]]], asked: Collection[int] | None = None
    ) -> list[AskedGroup]:
        """Give each group of a step an id and write them all down.

        Args:
            asked: the indices of those that people rate; None: all.
        """
        token = secrets.token_hex(6)
        groups = [
            AskedGroup(f"step-{step}-{token}-{index}", role, samples, asked is None or index in asked)
            for index, (role, samples) in enumerate(sampled)
        ]
        self._folder.mkdir(exist_ok=True)
        rows = [{**asdict(group), "role": group.role.model_dump(mode="json")} for group in groups]
        write_json(self._path(step), rows)
        return groups

    def load(self, step: int) -> list[AskedGroup]:
        """The groups of a step; none if it was not sampled yet.

        Raises:
            DataError: the file is damaged.
        """
        path = self._path(step)
        if not path.is_file():
            return []
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            return [
                AskedGroup(
                    row["id"],
                    Role.model_validate(row["role"]),
                    [Sample(**sample) for sample in row["samples"]],
                    row.get("asked", True),
                )
                for row in rows
            ]
        except (OSError, ValueError, LookupError, TypeError):
            raise DataError(
                f"{path} is damaged: delete it to have the questions of step {step} written and rated anew."
            ) from None

    def forget_until(self, step: int) -> None:
        """Delete the files of `step` and all before it."""
        for known in self.steps:
            if known <= step:
                self._path(known).unlink(missing_ok=True)

    def _path(self, step: int) -> Path:
        return self._folder / f"step_{step}.json"
