"""What computed an evaluation: versions of this package, Python, and the libraries that figures could depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from recruiter import __version__
from recruiter.train.description import git_revision

LIBRARIES = ("torch", "transformers", "peft", "numpy", "openai", "anthropic")


def versions() -> dict[str, str | None]:
    """Versions by name; None for what is not installed."""
    found: dict[str, str | None] = {"recruiter": __version__, "revision": git_revision()}
    found["python"] = platform.python_version()
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = None
    return found
