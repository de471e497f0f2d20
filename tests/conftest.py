"""Fixtures that several test files share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from recruiter.config import Config
from recruiter.roles import LEVELS, Role

# Tests that run side by side share the cores. Before torch is imported, and for the commands that tests run.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
# As if the environment were activated: commands that are told to the user are then as short as in the documents.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
MakeRole = Callable[..., Role]
T = TypeVar("T")


def known(value: T | None) -> T:
    """A value that a test counts on."""
    assert value is not None
    return value


@pytest.fixture(scope="module", autouse=True)
def leaves_nothing_open() -> Iterator[None]:
    """What a file of tests forgot to close is an error of its last test."""
    yield
    gc.collect()


@pytest.fixture
def role() -> MakeRole:
    """A factory of valid roles: `role(3)` is always the same role, keyword arguments change fields."""

    def make(index: int = 0, **changes: object) -> Role:
        record: dict[str, object] = {
            "id": f"role-{index:03d}",
            "title": f"Backend Engineer, Area {index}",
            "level": LEVELS[index % len(LEVELS)],
            "focus": f"focus {index % 7}",
            "stack": ["Python", "PostgreSQL"],
            "description": f"Own service number {index} and keep its queue short.",
            "key_skills": ["index design", "backpressure"],
        }
        return Role.model_validate({**record, **changes})

    return make


@pytest.fixture
def config() -> Config:
    """Default settings with the one value that has no default."""
    settings = Config()
    settings.trainer.policy.model.path = "exports/starter"
    return settings
