"""Tests with SkyRL itself; `make test-skyrl` runs them in an environment of their own."""

import os
from pathlib import Path

from tests.skyrl.interpreter import sitecustomize  # noqa: F401

_AT_START = str(Path(__file__).with_name("interpreter"))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_AT_START, os.environ.get("PYTHONPATH", "")]))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from recruiter.skyrl import prepare_imports  # noqa: E402

prepare_imports()
