"""The layout of a run's folder: the one place that knows how files and folders of a run are called.

    checkpoints/<run>/  run.json  metrics.jsonl  rollouts.jsonl  best.json  judge_usage.json  pending/  logs/
                        global_step_N/  trainer_state.json  policy/  lora_adapter/  optimizer.pt

A checkpoint is written beside its place and renamed, so one that is listed is whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from recruiter.engines import ADAPTER
from recruiter.errors import ModelError
from recruiter.files import read_jsonl, write_json
from recruiter.train.rows import MetricsRow, RolloutRow, RunDescription, StoredState

_STEP = re.compile(r"global_step_(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """The folder of one checkpoint."""

    path: Path

    @classmethod
    def of_adapter(cls, adapter: Path) -> Checkpoint:
        """The checkpoint whose adapter a folder would be; an adapter from elsewhere has no description in its `run`."""
        return cls(adapter.resolve().parents[1])

    @property
    def step(self) -> int | None:
        """The step after which it was taken, as its name says."""
        match = _STEP.fullmatch(self.path.name)
        return int(match.group(1)) if match else None

    @property
    def run(self) -> RunFolder:
        """The run that it belongs to."""
        return RunFolder(self.path.parent)

    @property
    def policy(self) -> Path:
        """What the engine stores: the adapter and the optimizer's state."""
        return self.path / "policy"

    @property
    def adapter(self) -> Path:
        """The adapter, in PEFT's format."""
        return self.policy / ADAPTER

    @property
    def trainer_state(self) -> Path:
        """What the trainer stores."""
        return self.path / "trainer_state.json"

    def read_state(self) -> StoredState:
        """What the trainer stored.

        Raises:
            ModelError: the folder is no whole checkpoint.
        """
        try:
            return cast(StoredState, json.loads(self.trainer_state.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.path} is no whole checkpoint: {error}.") from None

    def logged_step(self) -> int:
        """The last step whose metrics were logged when it was taken: its own, or the one before.

        Raises:
            ModelError: the folder is no whole checkpoint.
        """
        state = self.read_state()
        return state["step"] - (state["unlogged"] is not None)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def description(self) -> Path:
        """What made the run: configuration, revision, judge."""
        return self.path / "run.json"

    @property
    def lock(self) -> Path:
        """Which process has the folder."""
        return self.path / ".lock"

    @property
    def metrics(self) -> Path:
        """One line a step."""
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """One line a sampled question."""
        return self.path / "rollouts.jsonl"

    @property
    def best(self) -> Path:
        """Which checkpoint has the best validation."""
        return self.path / "best.json"

    @property
    def judge_usage(self) -> Path:
        """What judging has taken. It is beside the checkpoints, since going back to one gives no money back."""
        return self.path / "judge_usage.json"

    @property
    def asked_groups(self) -> Path:
        """Questions that people are asked about."""
        return self.path / "pending"

    @property
    def logs(self) -> Path:
        """What the processes of a cluster say."""
        return self.path / "logs"

    def checkpoint(self, step: int) -> Checkpoint:
        """Where the checkpoint of a step is kept."""
        return Checkpoint(self.path / f"global_step_{step}")

    @property
    def steps(self) -> list[int]:
        """Steps of the whole checkpoints, ascending."""
        if not self.path.is_dir():
            return []
        return sorted(int(match.group(1)) for item in self.path.iterdir() if (match := _STEP.fullmatch(item.name)))

    @property
    def latest(self) -> Checkpoint | None:
        """The checkpoint of the last step, if there is one."""
        return self.checkpoint(self.steps[-1]) if self.steps else None

    @property
    def best_step(self) -> int | None:
        """Step of the best checkpoint by the validation slice, if one was marked.

        Raises:
            ModelError: the mark is damaged.
        """
        try:
            return int(json.loads(self.best.read_text(encoding="utf-8"))["global_step"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise ModelError(
                f"{self.best}, which says which checkpoint is the best, cannot be read: delete it; the next validation "
                f"that is the best so far writes it again."
            ) from None

    def mark_best(self, step: int, value: float, of: str = "validation_reward") -> None:
        """Note that the checkpoint of a step has the best validation, and by what."""
        write_json(self.best, {"global_step": step, of: value})

    def read_description(self) -> RunDescription | None:
        """What `run.json` says; None where no run left one.

        Raises:
            ModelError: it is damaged.
        """
        try:
            return cast(RunDescription, json.loads(self.description.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{self.description} cannot be read ({error}): put a copy of it back, or delete it; the run then goes on "
                f"without being compared with how it began."
            ) from None

    def read_metrics(self) -> list[MetricsRow]:
        """The lines of `metrics.jsonl`, if there are any."""
        return cast(list[MetricsRow], read_jsonl(self.metrics) if self.metrics.is_file() else [])

    def read_rollouts(self) -> list[RolloutRow]:
        """The lines of `rollouts.jsonl`, if there are any."""
        return cast(list[RolloutRow], read_jsonl(self.rollouts) if self.rollouts.is_file() else [])

    def trained_roles(self) -> Set[str]:
        """Ids of the roles that the run has asked questions for."""
        return {row["role_id"] for row in self.read_rollouts()}
