"""Tests with SkyRL itself; `make test-skyrl` runs them in an environment of their own."""

import os
import typing

import typing_extensions

# pydantic reads SkyRL's typed dictionaries, and needs these below Python 3.12.
typing.TypedDict = typing_extensions.TypedDict
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from recruiter.engines.skyrl import prepare_imports  # noqa: E402

prepare_imports()
