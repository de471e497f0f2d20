"""The page a newcomer reads first does what the trainer does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.workload import FixedTimeJudge
from examples.loop import train
from recruiter.config import Config
from recruiter.engines.local import LocalPolicy
from recruiter.metrics_logger import RunLog
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer
from tests import REPOSITORY
from tests.engines.conftest import tiny_folder  # noqa: F401
from tests.engines.test_local import policy_for
from tests.test_main import data, tiny  # noqa: F401


class SlowWithGaps(FixedTimeJudge):
    """Takes its time, and has no score for the first question of some groups."""

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        judged = await super().score(role, questions)
        return [Judgement.unscored("timed out"), *judged[1:]] if role.id.endswith(("1", "4")) else judged


@pytest.mark.parametrize("use_kl", [False, True])
def test_the_loop_on_one_page_ends_with_the_very_bytes_of_the_trainer(
    tiny_folder: Path,  # noqa: F811
    tmp_path: Path,
    role: Callable[..., Role],
    use_kl: bool,
) -> None:
    roles = [role(index) for index in range(7)]

    def policy() -> LocalPolicy:
        made = policy_for(tiny_folder, use_kl_loss=use_kl, kl_loss_coef=0.1)
        config: Config = made.config
        config.trainer.train_batch_size, config.trainer.max_training_steps, config.trainer.eval_interval = 5, 3, 0
        config.trainer.epochs, config.generator.n_samples_per_prompt = 2, 3
        config.trainer.micro_train_batch_size_per_gpu, config.judge.max_unscored = 6, 1.0
        return made

    of_loop, of_trainer = policy(), policy()
    train(of_loop.config, of_loop, SlowWithGaps(0.0), roles)
    of_loop.snapshot()(tmp_path / "loop")
    judge = SlowWithGaps(0.02)
    with RunLog(tmp_path / "run", of_trainer.config, judge, 3) as log:
        Trainer(of_trainer.config, of_trainer, JudgedGroups(judge), roles, [], log).train()
    weights = "lora_adapter/adapter_model.safetensors"
    untrained = policy()
    untrained.snapshot()(tmp_path / "untrained")
    trained = (tmp_path / "loop" / weights).read_bytes()
    assert trained == (tmp_path / "run/global_step_3/policy" / weights).read_bytes()
    assert trained != (tmp_path / "untrained" / weights).read_bytes()


def test_the_command_trains_and_says_where_the_adapter_is(tiny: Path, data: Path) -> None:  # noqa: F811
    command = [
        sys.executable, "examples/loop.py", f"trainer.policy.model.path={tiny}", f"data.raw_dir={data / 'raw'}",
        f"data.processed_dir={data / 'processed'}", "trainer.max_training_steps=2", "trainer.train_batch_size=2",
        "generator.sampling_params.max_generate_length=12", "trainer.device=cpu",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("step 1: ")
    assert "--model checkpoints/loop/lora_adapter" in done.stdout
