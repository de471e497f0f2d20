"""Checkpoints are written beside their place and renamed, and old ones make room.

`layout.py` says what a checkpoint holds and where it lies.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from recruiter.errors import ConfigError, ModelError
from recruiter.train.layout import Checkpoint, RunFolder

MIN_FREE_BYTES = 500 * 1024**2


def check_free_space(folder: Path) -> None:
    """Refuse to start where a checkpoint would not fit.

    Raises:
        ConfigError: less than `MIN_FREE_BYTES` are free, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"trainer.ckpt_path={folder} cannot be written: {error.strerror}.") from None
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise ConfigError(
            f"Only {free / 1e6:.0f} MB are free at trainer.ckpt_path={folder}; a run needs "
            f"{MIN_FREE_BYTES / 1e6:.0f} MB: free some, or choose another folder."
        )


class CheckpointWriter:
    """Context in which a checkpoint is written; it appears under its final name when the block ends well."""

    def __init__(self, run: RunFolder, step: int) -> None:
        self._target = run.checkpoint(step).path
        self._beside = Checkpoint(run.path / f".global_step_{step}.tmp")

    def __enter__(self) -> Checkpoint:
        shutil.rmtree(self._beside.path, ignore_errors=True)
        self._beside.policy.mkdir(parents=True)
        return self._beside

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            shutil.rmtree(self._beside.path, ignore_errors=True)
            return
        shutil.rmtree(self._target, ignore_errors=True)
        os.replace(self._beside.path, self._target)


def prune(run: RunFolder, keep: int) -> None:
    """Delete the oldest checkpoints beyond `keep` (-1: none); the best one stays."""
    if keep >= 0:
        delete(run, run.steps[: -keep or None])


def delete(run: RunFolder, steps: Iterable[int]) -> None:
    """Delete checkpoints, but for the best one. What cannot be deleted stays, whole: that ends no run."""
    try:
        best = run.best_step
    except ModelError:
        return  # any of them may be the best
    for step in steps:
        target = run.checkpoint(step).path
        beside = target.with_name(f".{target.name}.old")
        if step != best:
            shutil.rmtree(beside, ignore_errors=True)
            with suppress(OSError):
                os.replace(target, beside)  # a crash in the middle leaves nothing that looks whole
            shutil.rmtree(beside, ignore_errors=True)
