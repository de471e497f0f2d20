"""`run.json`: what made a run, and whether settings would still continue that run."""

from __future__ import annotations

import secrets
import subprocess
from typing import Any

from recruiter import __version__
from recruiter.config import Config, may_change, to_dict
from recruiter.config.paths import IS_INSTALLED, WORKSPACE
from recruiter.errors import ConfigError
from recruiter.files import write_json
from recruiter.judges import Judge
from recruiter.prompts import PROMPT_HASH
from recruiter.rubric import stored_rubric
from recruiter.train.layout import RunFolder
from recruiter.train.rows import RunDescription


def describe_run(
    run: RunFolder,
    config: Config,
    judge: Judge,
    is_continued: bool,
    data_hash: str | None = None,
    dtype: str | None = None,
) -> tuple[RunDescription, list[str]]:
    """Write `run.json`; return what it says, and what has changed that a run may go on with, in words.

    Args:
        is_continued: whether the run that is in the folder goes on; it keeps its id.
        data_hash: of the training split.
        dtype: what the model computes in.

    Raises:
        ConfigError: the folder holds a run with other settings, data, prompt or rubric.
    """
    before = run.read_description() if is_continued else None
    description = RunDescription(
        id=before["id"] if before and "id" in before else f"{run.path.name[:100]}-{secrets.token_hex(3)}",
        config=to_dict(config),
        judge=judge.name,
        judge_version=judge.version,
        judge_notes=[f"{part.name}: {note}" for part in judge.usage.parts for note in part.notes],
        prompt_hash=PROMPT_HASH,
        rubric_hash=judge.rubric.hash,
        rubric=judge.rubric.model_dump(mode="json"),
        data_hash=data_hash,
        dtype=dtype,
        version=__version__,
        revision=git_revision(),
    )
    changes = []
    if before:
        _check_same_run(run, before, description)
        if before["judge_version"] != judge.version:
            changes.append(
                f"The judge has changed since the run began (version {before['judge_version']}, now {judge.version}): "
                f"rewards of earlier steps are not quite comparable with those from here on."
            )
    write_json(run.description, description)
    return description, changes


def _check_same_run(run: RunFolder, before: RunDescription, description: RunDescription) -> None:
    old, new = _flatten(before["config"]), _flatten(description["config"])
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key) and not may_change(key):
            raise ConfigError(
                f"{run.path} holds a run with {key}={old.get(key)}, not {new.get(key)}: set it back to continue that run, "
                f"or choose another trainer.ckpt_path to start a new one."
            )
    if "rubric" in before and before["rubric_hash"] != description["rubric_hash"]:  # older runs say only the hash
        raise ConfigError(
            f"{run.path} holds a run by another rubric ({', '.join(stored_rubric(before['rubric']).names)}): give that rubric "
            f"back with rubric=<file> to continue it, or choose another trainer.ckpt_path to start a new one."
        )
    was, now = before.get("data_hash"), description.get("data_hash")
    if was and now and was != now:
        raise ConfigError(
            f"{run.path} holds a run on other training data: roles that were held out may be among these. Prepare the "
            f"data again as they were when it began, or choose another trainer.ckpt_path to start a new one."
        )
    if before["prompt_hash"] != description["prompt_hash"]:
        raise ConfigError(
            f"{run.path} holds a run with another prompt (version {before['version']}, revision {before['revision']}): "
            f"continue it with that version of the code, or choose another trainer.ckpt_path to start a new one."
        )


def _flatten(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, list) and all(isinstance(part, dict) for part in value):
            value = {str(index): part for index, part in enumerate(value)}
        flat.update(_flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat


def git_revision() -> str | None:
    """The revision of this code, with `-dirty` if it was changed; None outside a clone."""
    if IS_INSTALLED:
        return None
    try:
        command = ["git", "-C", str(WORKSPACE), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
