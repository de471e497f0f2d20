"""A real feedback server for each test, small settings, and a way to train beside it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.files import read_jsonl
from recruiter.human_feedback import HumanJudge
from recruiter.metrics_logger import RunLog
from recruiter.roles.schedule import total_steps
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer
from recruiter.train.layout import RunFolder
from recruiter.train.rated_groups import RatedGroups
from tests.conftest import MakeRole
from tests.fake_policy import FakePolicy
from tests.train.online.people import Server
from tests.train.running import Train, finish

PATIENCE = 60.0  # seconds, for tests in which nobody gives up
SAME = ("step", "reward_mean", "reward_std", "composite", "unscored", "groups_without_spread", "trained_tokens", "loss")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEEDBACK_API_KEY", raising=False)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not end it; each works its own groups off."""
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server
    server.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, which it may end and start."""
    server = Server(tmp_path).start()
    yield server
    server.close()


@pytest.fixture
def online(config: Config, shared_server: Server) -> Config:
    """Three steps of four groups of four, judged by people on the shared server."""
    trainer, human = config.trainer, config.human_feedback
    trainer.train_batch_size, trainer.epochs, trainer.max_training_steps = 4, 3, 3
    trainer.eval_interval, trainer.ckpt_interval, trainer.max_ckpts_to_keep = 0, 1, -1
    config.judge.provider = "human"
    human.api_url, human.timeout, human.poll_interval = shared_server.url, PATIENCE, 0.3
    return config


@pytest.fixture
def train(tmp_path: Path, role: MakeRole) -> Train:
    """Train on twelve roles in a folder, continuing what is there; returns the policy, the metrics and the folder."""
    roles, held_back = [role(i) for i in range(12)], [role(i) for i in range(12, 14)]

    def run(
        config: Any,
        judge: Any = None,
        name: str = "run",
        policy: Any = None,
        stop: Any = lambda: False,
        raises: Any = None,
        people: Any = None,
    ) -> tuple[Any, ...]:
        folder, policy = tmp_path / name, policy or FakePolicy()
        start = RunFolder(folder).latest
        made = judge or people or HumanJudge(config.human_feedback)
        total = total_steps(config, len(roles))
        resumed = start.logged_step() if start else 0
        with RunLog(folder, config, made, total, resumed, folder.is_dir()) as log:
            source = JudgedGroups(judge) if judge else RatedGroups(config, made, log, total, stop)
            trainer = Trainer(config, policy, source, roles, held_back, log, stop)
            finish(trainer, policy, start, raises)
        rows = read_jsonl(folder / "metrics.jsonl")
        return policy, rows, folder

    return run


def same(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in SAME} for row in rows]


def pending(folder: Any) -> dict[str, list[str]]:
    """Group ids by step file."""
    return {
        path.name: [group["id"] for group in json.loads(path.read_text())] for path in folder.glob("pending/*.json")
    }


def when(condition: Any, act: Any) -> threading.Thread:
    """Do something in a thread as soon as a condition holds."""

    def work() -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
