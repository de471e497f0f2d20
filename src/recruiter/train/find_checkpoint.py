"""Which checkpoint a user means by a folder, by `latest` or by `best`."""

from __future__ import annotations

from glob import glob
from pathlib import Path

from recruiter.config.paths import QUICKSTART
from recruiter.engines import ADAPTER
from recruiter.errors import ModelError
from recruiter.train.layout import Checkpoint, RunFolder


def find_checkpoint(name: str, root: Path) -> Checkpoint:
    """The checkpoint that a `--checkpoint` option means.

    Args:
        name: a folder, or `latest` or `best` of the most recently written run below `root`.

    Raises:
        ModelError: nothing is there; the message lists what exists.
    """
    found_steps = glob("**/global_step_*", root_dir=root, recursive=True)  # noqa: PTH207 (rglob follows no links)
    folders = {root / Path(name).parent for name in found_steps}
    runs = sorted((run for run in map(RunFolder, folders) if run.steps), key=_last_written)
    if name in ("latest", "best"):
        if not runs:
            raise ModelError(f"There is no checkpoint under {root}; train one first, for example with: {QUICKSTART}")
        found = runs[-1].latest if name == "latest" else _best(runs[-1])
        if found is None:
            raise ModelError(
                f"No checkpoint of {runs[-1].path} is marked as best: validation was off, or never better than at the "
                f"start; use `latest`."
            )
        return found
    folder = Path(name)
    for candidate in (Checkpoint(folder), Checkpoint(folder.parent.parent if folder.name == ADAPTER else folder)):
        if candidate.adapter.is_dir():
            return candidate
    of_run = _best(RunFolder(folder)) or RunFolder(folder).latest
    if of_run is not None and folder.is_dir():
        return of_run
    there = [str(run.checkpoint(step).path) for run in runs for step in run.steps]
    listing = ", ".join(there) if there else f"none under {root}"
    raise ModelError(f"There is no checkpoint at {name}; existing ones: {listing}.")


def _best(run: RunFolder) -> Checkpoint | None:
    return None if run.best_step is None else run.checkpoint(run.best_step)


def _last_written(run: RunFolder) -> float:
    return max(run.checkpoint(step).path.stat().st_mtime for step in run.steps)
