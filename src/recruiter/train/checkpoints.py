"""Checkpoints: `<run>/global_step_N/policy/lora_adapter` (PEFT) beside the optimizer and the trainer's state.

A checkpoint is written beside its place and renamed, so one that is listed is whole. `best.json` names the one with the
best validation score.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recruiter.errors import ConfigError, ModelError

MIN_FREE_BYTES = 500 * 1024**2
_STEP = re.compile(r"global_step_(\d+)")


def checkpoint_steps(run: Path) -> list[int]:
    """Steps of the whole checkpoints in a run's folder, ascending."""
    if not run.is_dir():
        return []
    return sorted(int(match.group(1)) for item in run.iterdir() if (match := _STEP.fullmatch(item.name)))


def checkpoint_folder(run: Path, step: int) -> Path:
    """Where the checkpoint of `step` is kept."""
    return run / f"global_step_{step}"


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file beside its place and rename it."""
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


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

    def __init__(self, run: Path, step: int) -> None:
        self._target = checkpoint_folder(run, step)
        self._beside = run / f".global_step_{step}.tmp"

    def __enter__(self) -> Path:
        shutil.rmtree(self._beside, ignore_errors=True)
        (self._beside / "policy").mkdir(parents=True)
        return self._beside

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            shutil.rmtree(self._beside, ignore_errors=True)
            return
        shutil.rmtree(self._target, ignore_errors=True)
        os.replace(self._beside, self._target)


class BackgroundSaver:
    """Writes checkpoints in a thread of its own, one at a time, while training goes on."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._last: Future[None] | None = None

    def submit(self, write: Callable[[], None]) -> None:
        """Start writing once the previous checkpoint is there; raises what went wrong with that one."""
        self.wait()
        self._last = self._pool.submit(write)

    def wait(self) -> None:
        """Return when everything submitted is written; raise what went wrong."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        """Finish writing and end the thread."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()


def prune(run: Path, keep: int) -> None:
    """Delete the oldest checkpoints beyond `keep` (-1: none); the best one stays."""
    if keep < 0:
        return
    best = best_step(run)
    for step in checkpoint_steps(run)[: -keep or None]:
        if step != best:
            shutil.rmtree(checkpoint_folder(run, step))


def best_step(run: Path) -> int | None:
    """Step of the best checkpoint by the validation slice, if one was marked."""
    path = run / "best.json"
    return int(json.loads(path.read_text())["global_step"]) if path.is_file() else None


def resolve_checkpoint(name: str, root: Path) -> Path:
    """The checkpoint folder that a `--checkpoint` option means.

    Args:
        name: a folder, or `latest` or `best` of the most recently written run below `root`.

    Raises:
        ModelError: nothing is there; the message lists what exists.
    """
    runs = sorted(
        (run for run in {p.parent for p in root.rglob("global_step_*")} if checkpoint_steps(run)), key=_last_written
    )
    if name in ("latest", "best"):
        if not runs:
            raise ModelError(f"There is no checkpoint under {root}; train one first, for example with: make quickstart")
        step = best_step(runs[-1]) if name == "best" else checkpoint_steps(runs[-1])[-1]
        if step is None:
            raise ModelError(
                f"No checkpoint of {runs[-1]} is marked as best: validation was off, or never better than at the start; "
                f"use `latest`."
            )
        return checkpoint_folder(runs[-1], step)
    folder = Path(name)
    for candidate in (folder, folder.parent.parent if folder.name == "lora_adapter" else folder):
        if (candidate / "policy" / "lora_adapter").is_dir():
            return candidate
    if folder.is_dir() and checkpoint_steps(folder):
        return checkpoint_folder(folder, best_step(folder) or checkpoint_steps(folder)[-1])
    there = [str(checkpoint_folder(run, step)) for run in runs for step in checkpoint_steps(run)]
    listing = ", ".join(there) if there else f"none under {root}"
    raise ModelError(f"There is no checkpoint at {name}; existing ones: {listing}.")


def trainer_state(checkpoint: Path) -> dict[str, Any]:
    """What the trainer stored in a checkpoint.

    Raises:
        ModelError: the folder is no whole checkpoint.
    """
    try:
        state: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{checkpoint} is no whole checkpoint: {error}.") from None
    return state


def logged_step(checkpoint: Path) -> int:
    """The last step whose metrics were logged when a checkpoint was taken: its own, or the one before."""
    state = trainer_state(checkpoint)
    return int(state["step"]) - (state["unlogged"] is not None)


def adapter_folder(checkpoint: Path) -> Path:
    """Where a checkpoint keeps its adapter."""
    return checkpoint / "policy" / "lora_adapter"


def _last_written(run: Path) -> float:
    return max(checkpoint_folder(run, step).stat().st_mtime for step in checkpoint_steps(run))
