"""Make, list and end the links with which raters come in: `feedback.accounts`, wherever the server is installed."""

from __future__ import annotations

import importlib

from recruiter.cli.command import command
from recruiter.cli.serve import make_importable


@command
def main() -> None:
    """See above."""
    make_importable()
    importlib.import_module("feedback.accounts").main()
