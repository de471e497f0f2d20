"""Several processes that share a run: the parameters of one, whoever samples and trains what, and however it ends."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.workload import FixedTimeJudge
from recruiter.config import Config, SamplingParams
from recruiter.engines.local import LocalPolicy
from recruiter.engines.parallel import ParallelPolicy, deal, open_model, open_policy
from recruiter.engines.ranks import Ranks
from recruiter.errors import EngineError
from recruiter.files import read_jsonl
from recruiter.main import run as train
from recruiter.metrics_logger import RunLog
from recruiter.prompts import Message
from recruiter.roles import Role
from recruiter.roles.schedule import total_steps
from recruiter.rubric import Judgement
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer
from recruiter.train.layout import RunFolder
from tests import REPOSITORY
from tests.conftest import MakeRole, known
from tests.engines.conftest import tiny_model, tiny_tokenizer
from tests.scoring import scored
from tests.train.test_identity import kept_signals, settings, tiny  # noqa: F401

WEIGHTS = "policy/lora_adapter/adapter_model.safetensors"
ROUNDING = 1e-6  # relative


@pytest.fixture(scope="module")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("qwen3").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


class HashJudge(FixedTimeJudge):
    """Finds nothing to choose between in the group of the third role, and has no score for one question of the second."""

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        judged = await super().score(role, questions)
        if role.id.endswith("2"):
            return [Judgement(scored(5)) for _ in questions]
        return [Judgement.unscored("timed out"), *judged[1:]] if role.id.endswith("1") else judged


def apart(first: Path, second: Path) -> float:
    """The relative distance of two adapters."""
    ours, theirs = (load_file(str(folder / WEIGHTS)) for folder in (first, second))
    assert ours.keys() == theirs.keys()
    flat = [torch.cat([tensors[name].flatten() for name in sorted(ours)]) for tensors in (ours, theirs)]
    return float((flat[0] - flat[1]).norm() / flat[1].norm())


def without_times(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in read_jsonl(run / "metrics.jsonl")]


def assert_same_run(run: Path, other: Path, step: int) -> None:
    """Equal up to the rounding of sums: adapter and figures; the questions are equal."""
    assert apart(run / f"global_step_{step}", other / f"global_step_{step}") < ROUNDING
    rows, others = without_times(run), without_times(other)
    assert [row.keys() for row in rows] == [row.keys() for row in others]
    for row, expected in zip(rows, others, strict=True):
        for name, value in expected.items():
            close = pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value
            assert row[name] == close, name
    assert read_jsonl(run / "rollouts.jsonl") == read_jsonl(other / "rollouts.jsonl")


def fail_elsewhere(_policy: LocalPolicy) -> None:
    if multiprocessing.parent_process() is not None:
        raise ZeroDivisionError(0)


def changed(config: Config, **changes: Any) -> Config:
    for name, value in changes.items():
        setattr(config.trainer if hasattr(config.trainer, name) else config.trainer.algorithm, name, value)
    return config


@pytest.mark.parametrize(
    "changes",
    [
        {"train_batch_size": 3, "use_kl_loss": True, "kl_loss_coef": 0.1},  # the last step of an epoch has one role
        {
            "train_batch_size": 7,
            "policy_mini_batch_size": 4,
            "update_epochs_per_batch": 2,
            "micro_train_batch_size_per_gpu": 6,
        },
    ],
    ids=["KL", "mini-batches"],
)
def test_two_processes_give_the_parameters_of_one(
    tiny_qwen: Path, tmp_path: Path, role: MakeRole, changes: dict[str, Any]
) -> None:
    roles, held_back = [role(i) for i in range(7)], [role(i) for i in range(7, 10)]
    for gpus in (1, 2):
        config = changed(Config(), gpus=gpus, device="cpu", epochs=2, eval_interval=2, ckpt_interval=100, **changes)
        config.trainer.policy.model.path, config.trainer.policy.model.dtype = str(tiny_qwen), "float32"
        config.trainer.policy.optimizer_config.lr, config.trainer.max_training_steps = 1e-3, 4
        config.generator.n_samples_per_prompt, config.judge.max_unscored = 3, 1.0
        config.generator.sampling_params.max_generate_length = 12
        judge = HashJudge(0.1)
        with (
            RunLog(tmp_path / str(gpus), config, judge, total_steps(config, len(roles))) as log,
            Ranks.of_run(config) as ranks,
            open_policy(config, "float32", ranks) as policy,
        ):
            Trainer(config, policy, JudgedGroups(judge), roles, held_back, log).train()
            if isinstance(policy, ParallelPolicy):
                with pytest.raises(EngineError, match=r"^Process 2 has failed \(ZeroDivisionError: 0\)\.$"):
                    policy.apply(fail_elsewhere)
    rows = without_times(tmp_path / "1")
    assert rows[-1]["updates"] > 0
    assert any(row["groups_without_spread"] for row in rows)
    assert_same_run(tmp_path / "2", tmp_path / "1", len(rows))


def test_two_processes_write_what_one_writes(tiny_qwen: Path) -> None:
    prompts = [[Message(role="user", content="Which index? " * (3 + index % 4))] for index in range(9)]
    asked, found = (prompts, 3, SamplingParams(16), 5), []
    for gpus, done in ((1, set[int]()), (2, set[int]()), (2, set(range(8)))):
        with open_model(gpus, str(tiny_qwen), "cpu", "float32") as model:
            portions = list(model.portions(*asked, done, lambda _: None))
        found.append({index: group for part, groups in portions for index, group in zip(part, groups, strict=True)})
    alone, together, rest = found
    assert sorted(together) == sorted(alone) == list(range(9))
    for index, group in alone.items():
        assert [sample.token_ids for sample in together[index]] == [sample.token_ids for sample in group]
        for sample, other in zip(together[index], group, strict=True):
            assert sample.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert rest[8] == together[8]
    assert len(rest) < 9  # the process with nothing to do left its share out


def test_a_run_moves_between_numbers_of_processes(
    settings: Callable[..., Config],  # noqa: F811
    tmp_path: Path,
) -> None:
    more = {"trainer.train_batch_size": 3, "trainer.policy.optimizer_config.lr": 1e-3}
    whole = tmp_path / "whole"
    train(settings(6, **more, **{"trainer.ckpt_path": whole}))
    for steps, gpus in ((2, 1), (4, 2), (6, 1)):
        train(settings(steps, **more, **{"trainer.gpus": gpus}))
    assert RunFolder(tmp_path / "run").steps == RunFolder(whole).steps
    assert_same_run(tmp_path / "run", whole, 6)


def test_a_process_that_is_killed_ends_the_run_saved_and_the_same_command_continues(
    settings: Callable[..., Config],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Trainer.step

    def step(self: Any, step: int) -> Any:
        if step == 3:
            (helper,) = multiprocessing.active_children()
            os.kill(known(helper.pid), signal.SIGKILL)
        return original(self, step)

    several = {"trainer.gpus": 2, "trainer.ckpt_interval": 9}
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", step)
        with pytest.raises(EngineError) as caught:
            train(settings(4, **several))
    assert str(caught.value) == (
        "Process 2 of 2 has ended (killed by SIGKILL): run the same command again to continue from what is stored, on any "
        "number of GPUs."
    )
    assert RunFolder(tmp_path / "run").steps == [2]
    assert not multiprocessing.active_children()
    train(settings(4, **{**several, "trainer.gpus": 1}))
    assert [row["step"] for row in read_jsonl(tmp_path / "run/metrics.jsonl")] == [1, 2, 3, 4]


def command_of(config: Config, *more: str) -> list[str]:
    """The command under torchrun, with two processes."""
    asked = {
        "trainer.policy.model.path": config.trainer.policy.model.path,
        "trainer.ckpt_path": config.trainer.ckpt_path,
        "data.raw_dir": config.data.raw_dir,
        "data.processed_dir": config.data.processed_dir,
        "data.val_size": 0,
        "trainer.device": "cpu",
        "trainer.policy.model.dtype": "float32",
        "trainer.train_batch_size": config.trainer.train_batch_size,
        "trainer.max_training_steps": config.trainer.max_training_steps,
        "trainer.eval_interval": 0,
        "trainer.ckpt_interval": 1,
        "generator.sampling_params.max_generate_length": 4,
        "trainer.algorithm.zero_variance_filter": "false",
    }
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "src.recruiter.main"]
    return [sys.executable, *launch, "--config-name=quickstart_config", *(f"{k}={v}" for k, v in asked.items()), *more]


def test_torchrun_continues_a_run_with_as_many_processes_as_it_starts(
    settings: Callable[..., Config],  # noqa: F811
    tmp_path: Path,
) -> None:
    whole = tmp_path / "whole"
    train(settings(3, **{"trainer.ckpt_path": whole}))
    train(settings(1))
    done = subprocess.run(command_of(settings(3)), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 processes share each step" in done.stdout
    assert done.stdout.count("continuing after step 1") == 1
    assert_same_run(tmp_path / "run", whole, 3)


@pytest.mark.soak
def test_torchrun_s_processes_end_with_the_first_of_them(
    settings: Callable[..., Config],  # noqa: F811
    tmp_path: Path,
) -> None:
    train(settings(1))
    for steps, more, says in ((1, (), "already holds all 1 steps"), (2, ("trainer.epochs=x",), "cannot work")):
        done = subprocess.run(
            command_of(settings(steps), *more), cwd=REPOSITORY, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode != 0) == bool(more)
        assert (done.stdout + done.stderr).count(says) == 1


def test_work_is_dealt_out_evenly() -> None:
    weights = [random.Random(index).randint(100, 400) for index in range(64)]
    for ranks in (1, 2, 3, 8):
        shares = deal(weights, ranks)
        assert sorted(index for share in shares for index in share) == list(range(64))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        for share in shares:
            assert share == sorted(share)
            assert all(index // ranks == turn for turn, index in enumerate(share))
        loads = [sum(weights[index] for index in share) for share in shares]
        assert max(loads) - min(loads) <= max(weights)
    assert deal([5, 1, 1], 2) == [[0], [1, 2]]
    assert deal([1], 3) == [[0], [], []]
