"""Ten roles, small steps, and a way to train on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.files import read_jsonl
from recruiter.metrics_logger import RunLog
from recruiter.roles.schedule import total_steps
from recruiter.train.groups import GroupsAhead, JudgedGroups
from recruiter.train.grpo import Trainer
from recruiter.train.layout import RunFolder
from tests.conftest import MakeRole
from tests.fake_policy import FakeJudge, FakePolicy
from tests.train.running import Train, finish


@pytest.fixture
def small(config: Config) -> Config:
    trainer = config.trainer
    trainer.train_batch_size, trainer.epochs, trainer.max_training_steps = 4, 3, 6
    trainer.eval_interval, trainer.ckpt_interval, trainer.max_ckpts_to_keep = 0, 100, -1
    config.generator.n_samples_per_prompt = 4
    return config


@pytest.fixture
def train(tmp_path: Path, role: MakeRole) -> Train:
    """Train on ten roles in folder `name`; returns the policy, the metrics without times, and the run's folder."""
    roles, held_back = [role(i) for i in range(10)], [role(i) for i in range(10, 13)]

    def run(
        config: Any,
        judge: Any = None,
        name: str = "run",
        policy: Any = None,
        resume: Any = None,
        stop: Any = lambda: False,
        raises: Any = None,
    ) -> tuple[Any, ...]:
        folder = tmp_path / name
        policy = policy or FakePolicy()
        start = RunFolder(folder).checkpoint(resume) if resume else None
        judge, total = judge or FakeJudge(), total_steps(config, len(roles))
        with RunLog(folder, config, FakeJudge(), total, resume or 0) as log:
            source = GroupsAhead(judge, log.run, total) if config.trainer.max_staleness_steps else JudgedGroups(judge)
            trainer = Trainer(config, policy, source, roles, held_back, log, stop)
            finish(trainer, policy, start, raises)
        rows = read_jsonl(folder / "metrics.jsonl")
        return policy, [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows], folder

    return run


def saved_weight(folder: Any, step: int) -> float:
    return json.loads((folder / f"global_step_{step}/policy/weight.json").read_text())
