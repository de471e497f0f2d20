"""`run.json`: what made a run, and whether settings would still continue that run."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from typing import Any

from recruiter import __version__
from recruiter.config import Config, may_change, to_dict
from recruiter.config.paths import IS_INSTALLED, WORKSPACE, command_line
from recruiter.errors import ConfigError
from recruiter.files import free_beside, short_path, write_json
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
    origin: RunFolder | None = None,
) -> tuple[RunDescription, list[str]]:
    """Write `run.json`; return what it says, and what has changed that a run may go on with, in words.

    Args:
        is_continued: whether the run that is in the folder goes on; it keeps its id.
        data_hash: of the training split.
        dtype: what the model computes in.
        origin: the run whose checkpoint this one starts from.

    Raises:
        ConfigError: the folder holds a run with other settings, data, prompt or rubric.
    """
    before = run.read_description() if is_continued else None
    description = _describe(run, before, config, judge, data_hash, dtype)
    changes = []
    if before:
        _check_same_run(run, before, description)
        if before["judge_version"] != judge.version:
            changes.append(
                f"The judge has changed since the run began (version {before['judge_version']}, now {judge.version}): "
                f"rewards of earlier steps are not quite comparable with those from here on."
            )
    elif origin and (first := origin.read_description()):
        for what, _ in _differences(first, description):
            changes.append(f"The checkpoint that this run starts from is of a run {what} ({short_path(origin.path)}).")
    write_json(run.description, description)
    return description, changes


def check_same_run(run: RunFolder, config: Config, judge: Judge, data_hash: str) -> None:
    """See that settings, data, prompt and rubric are those of the run in the folder, if one is there; nothing is written.

    Raises:
        ConfigError: they would make another run.
    """
    if before := run.read_description():
        _check_same_run(run, before, _describe(run, before, config, judge, data_hash, None))


def _describe(
    run: RunFolder,
    before: RunDescription | None,
    config: Config,
    judge: Judge,
    data_hash: str | None,
    dtype: str | None,
) -> RunDescription:
    return RunDescription(
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


def _check_same_run(run: RunFolder, before: RunDescription, description: RunDescription) -> None:
    for what, remedy in _differences(before, description):
        raise ConfigError(
            f"{run.path} holds a run {what}: {remedy}, or start a new one with "
            f"trainer.ckpt_path={short_path(free_beside(run.path))}."
        )


def _differences(before: RunDescription, now: RunDescription) -> Iterator[tuple[str, str]]:
    """In what a run was another one, and what would make this one the same."""
    was, now_is = before.get("data_hash"), now.get("data_hash")
    if was and now_is and was != now_is:
        yield (
            "on other training data: roles that were held out may be among these",
            f"prepare the data again as they were when it began (`{command_line('prepare')}`, with the --roles, --test-size "
            "and --seed of then), or name their folder with data.raw_dir=<folder>",
        )
    if "rubric" in before and before["rubric_hash"] != now["rubric_hash"]:  # older runs say only the hash
        names = ", ".join(stored_rubric(before["rubric"]).names)
        yield f"by another rubric ({names})", "give that rubric back with rubric=<file> to continue it"
    if before["prompt_hash"] != now["prompt_hash"]:
        version = f"version {before['version']}, revision {before['revision']}"
        yield f"with another prompt ({version})", "continue it with that version of the code"
    old, new = _flatten(before["config"]), _flatten(now["config"])
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key) and not may_change(key):
            yield f"with {key}={old.get(key)}, not {new.get(key)}", "set it back to continue that run"


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
