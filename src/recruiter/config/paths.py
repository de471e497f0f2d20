"""Where things are: what comes with the package, and what a user's commands read and write.

In a checkout both are the repository, wherever a command runs. Installed, what comes with the package lies inside it
(setup.py puts it there), and data, checkpoints, exports and results are in the folder where the command runs.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "files"
IS_INSTALLED = _INSTALLED.is_dir()
_SHIPPED = _INSTALLED if IS_INSTALLED else _PACKAGE.parents[1]

CONFIGS = _SHIPPED / "configs"
ROLES = _SHIPPED / "data/backend_roles.json"
PAGES = _SHIPPED / "feedback-ui"
WORKSPACE = Path.cwd() if IS_INSTALLED else _SHIPPED


_SCRIPTS = {
    "train": "-m src.recruiter.main",
    "analyze": "scripts/analyze_results.py",
    "download": "scripts/download_model.py",
    "export": "scripts/export_merged_model.py",
    "prepare": "scripts/prepare_dataset.py",
}  # the others are called as the command is


def command(name: str) -> str:
    """How a user runs a command of `recruiter`, such as `eval`."""
    return f"recruiter {name}" if IS_INSTALLED else f"python {_SCRIPTS.get(name, f'scripts/{name}.py')}"
