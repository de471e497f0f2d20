"""Where things are: what comes with the package, and what a user's commands read and write.

In a checkout both are the repository, wherever a command runs. Installed, what comes with the package lies inside it
(setup.py puts it there), and data, checkpoints, exports and results are in the folder where the command runs.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "shipped"
IS_INSTALLED = _INSTALLED.is_dir()
_SHIPPED = _INSTALLED if IS_INSTALLED else _PACKAGE.parents[1]

CONFIGS = _SHIPPED / "configs"
ROLES = _SHIPPED / "data/backend_roles.json"
PAGES = _SHIPPED / "feedback-ui"
WORKSPACE = Path.cwd() if IS_INSTALLED else _SHIPPED


_IN_A_CHECKOUT = {
    "train": "-m src.recruiter.main",
    "analyze": "scripts/analyze_results.py",
    "download": "scripts/download_model.py",
    "endpoint-test": "scripts/test_endpoint.py",
    "eval": "scripts/eval.py",
    "export": "scripts/export_merged_model.py",
    "generate": "scripts/generate.py",
    "judge": "scripts/judge.py",
    "prepare": "scripts/prepare_dataset.py",
    "raters": "-m feedback.accounts",
}


def command_line(name: str, *arguments: str) -> str:
    """How a user runs a command of `recruiter`, such as `eval`: with this environment, whether it is activated or not.

    Args:
        arguments: quoted for a shell where they need it.
    """
    door = None if IS_INSTALLED else _IN_A_CHECKOUT.get(name)
    program = f"{_program('python')} {door}" if door else f"{_program('recruiter')} {name}"
    return " ".join([program, *map(shlex.quote, arguments)])


def _program(name: str) -> str:
    """A program of this environment: its name where a shell finds it by that, else its path."""
    here, found = Path(sys.executable).absolute().parent, shutil.which(name)
    path = here / name
    if not path.is_file() or (found and Path(found).absolute().parent == here):
        return name
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


QUICKSTART = (
    "recruiter download --starter && recruiter prepare && recruiter train --config-name=quickstart_config"
    if IS_INSTALLED
    else "make quickstart"
)


def model_folder(name: str) -> Path | None:
    """The folder that a model's name means, from where the command runs or from `WORKSPACE`; None: there is none."""
    return next((path for path in (Path(name).resolve(), WORKSPACE / name) if path.is_dir()), None)


def is_hub_id(name: str) -> bool:
    """Whether a model's name can only mean a repository of the Hub."""
    is_path = name.startswith(("exports/", "checkpoints/", ".", "/"))
    return name.count("/") == 1 and not is_path and model_folder(name) is None


def model_source(name: str) -> str:
    """What a loader is given for a model's name: its folder, or its id at the Hub."""
    return str(model_folder(name) or name)
