"""What to do next, as a command that works as it stands: with the data, the model and the keys that are here."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from recruiter.config.paths import WORKSPACE, command_line, model_folder
from recruiter.errors import ConfigError
from recruiter.files import short_path
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.rubric import load_rubric
from recruiter.writers.finding import ALIASES

RAW = WORKSPACE / "data/raw"


def next_evaluation(
    models: list[str],
    *options: str,
    raw: Path = RAW,
    rubric: str | None = None,
    judge_model: str = ALIASES["starter"],
    is_offline: bool = False,
) -> str:
    """The command that evaluates models on the held-out roles.

    Args:
        options: more of them.
        raw: folder of the split data.
        rubric: what is judged by; None: the built-in one.
        judge_model: judges where the rubric judge doesn't know the rubric.
        is_offline: whether to judge on this machine although there is a key.
    """
    judge = [] if os.environ.get("XAI_API_KEY") and not is_offline else _offline_judge(rubric, judge_model)
    roles = ["--roles", short_path(raw / "test.parquet")] if raw.resolve() != RAW.resolve() else []
    arguments = ["--model", *map(_alias, models), *options, *roles, *judge, *(["--rubric", rubric] if rubric else [])]
    prepare = "" if roles or (RAW / "test.parquet").is_file() else f"{command_line('prepare')} && "
    return f"Next: {prepare}{command_line('eval')} {shlex.join(arguments)}"


def next_training(*settings: str) -> str:
    """The command that trains the starter model, which is fetched if it is not here."""
    fetch = "" if model_folder(ALIASES["starter"]) else f"{command_line('download')} --starter && "
    return f"Next: {fetch}{command_line('train')} {shlex.join(['--config-name=quickstart_config', *settings])}"


def _alias(model: str) -> str:
    """The short name of a model that has one."""
    folder = model_folder(model)
    names = {ALIASES["baseline"]: "baseline", ALIASES["starter"]: "starter"}
    return names.get(short_path(folder) if folder else model, model)


def _offline_judge(rubric: str | None, model: str) -> list[str]:
    try:
        RubricJudge(load_rubric(rubric))
    except ConfigError:
        return ["--judge", f"local/{model}"]
    return ["--judge", "rubric"]
