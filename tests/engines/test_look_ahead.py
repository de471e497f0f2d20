"""Forward passes that are computed while the judge is busy: the same numbers, sooner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from benchmarks.workload import FixedTimeJudge
from recruiter.config import Config
from recruiter.engines import TrainGroup
from recruiter.engines.local import LocalPolicy
from recruiter.engines.model import group_logprobs
from recruiter.files import read_jsonl
from recruiter.metrics_logger import RunLog
from recruiter.prompts import Message
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer
from tests.engines.test_local import gradients, policy_for, random_adapter
from tests.scoring import scored


def groups_of(policy: LocalPolicy, count: int = 3) -> list[TrainGroup]:
    prompts = [[Message(role="user", content=f"Which index, {i}?")] for i in range(count)]
    sampled = policy.sample(prompts, 3, policy.config.generator.sampling_params, 0)
    return [
        TrainGroup(messages, samples, [1.0, -0.5, -0.5]) for messages, samples in zip(prompts, sampled, strict=True)
    ]


def without_advantages(groups: list[TrainGroup]) -> list[TrainGroup]:
    return [TrainGroup(group.messages, group.samples, []) for group in groups]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Groups of every forward pass; a test clears what came before."""
    seen: list[int] = []

    def counted(model: PreTrainedModel, prompts: list[list[int]], *others: Any) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(len(prompts))
        return group_logprobs(model, prompts, *others)

    monkeypatch.setattr("recruiter.engines.local.group_logprobs", counted)
    return seen


@pytest.mark.parametrize("use_kl", [False, True])
def test_a_pass_computed_ahead_gives_the_very_same_gradients(
    tiny_folder: Path, passes: list[int], use_kl: bool
) -> None:
    policy = policy_for(tiny_folder, use_kl_loss=use_kl)
    random_adapter(policy)
    first, second, third = groups_of(policy)
    sums = [policy.forward_backward(part) for part in ([first, second], [third])]
    expected = gradients(policy)
    policy.optimizer.zero_grad()
    passes.clear()
    assert policy.look_ahead(without_advantages([first, second]))
    assert policy.look_ahead(without_advantages([third]))
    assert policy.look_ahead(without_advantages([third]))
    assert passes == [2, 1]
    again = [policy.forward_backward(part) for part in ([first, second], [third])]
    assert passes == [2, 1, *([2, 1] if use_kl else [])]  # the reference's passes are its own
    assert [float(s.loss) for s in again] == [float(s.loss) for s in sums]
    for name, gradient in gradients(policy).items():
        assert torch.equal(gradient, expected[name]), name


def test_other_samples_discard_what_was_computed_ahead(tiny_folder: Path, passes: list[int]) -> None:
    policy = policy_for(tiny_folder)
    first, second, third = groups_of(policy)
    policy.look_ahead(without_advantages([first, second]))
    passes.clear()
    policy.forward_backward([first, third])
    policy.forward_backward([first, second])
    assert passes == [2, 2]


def test_nothing_outlives_an_update(tiny_folder: Path, passes: list[int]) -> None:
    policy = policy_for(tiny_folder)
    first, second, _ = groups_of(policy)
    policy.look_ahead(without_advantages([second]))
    policy.forward_backward([first])
    policy.look_ahead(without_advantages([second]))
    policy.optim_step(first.tokens)
    passes.clear()
    policy.forward_backward([second])
    assert passes == [1]


def test_memory_bounds_how_far_it_looks(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recruiter.engines.model.KEPT_BYTES", 0)
    policy = policy_for(tiny_folder)
    first, second, _ = groups_of(policy)
    assert policy.look_ahead(without_advantages([first]))
    assert not policy.look_ahead(without_advantages([second]))


class SlowJudge(FixedTimeJudge):
    """Gives all questions of the third role the same scores, and takes its time."""

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        judged = await super().score(role, questions)
        if role.id.endswith("2"):
            return [Judgement(scored(5)) for _ in questions]
        return judged


@pytest.mark.parametrize("filters", [False, True])
def test_a_run_with_a_slow_judge_ends_with_the_same_parameters(
    tiny_folder: Path, tmp_path: Path, role: Callable[..., Role], monkeypatch: pytest.MonkeyPatch, filters: bool
) -> None:
    """With `filters`, one group of each step drops out, and what was computed ahead with it."""

    def adapter_after(latency: float, name: str) -> tuple[dict[str, torch.Tensor], int, list[dict[str, object]]]:
        policy = policy_for(tiny_folder)
        config: Config = policy.config
        config.trainer.train_batch_size, config.trainer.max_training_steps, config.trainer.eval_interval = 6, 2, 0
        config.trainer.micro_train_batch_size_per_gpu, config.generator.n_samples_per_prompt = 6, 3
        config.reward.overlap_window = 0
        ahead = 0
        look_ahead = policy.look_ahead

        def counted(groups: list[TrainGroup]) -> bool:
            nonlocal ahead
            ahead += 1
            return look_ahead(groups)

        monkeypatch.setattr(policy, "look_ahead", counted)
        judge = (SlowJudge if filters else FixedTimeJudge)(latency)
        with RunLog(tmp_path / name, config, judge, 2) as log:
            Trainer(config, policy, JudgedGroups(judge), [role(i) for i in range(6)], [], log).train()
        rows = [{k: v for k, v in row.items() if not k.startswith("seconds")}
                for row in read_jsonl(tmp_path / name / "metrics.jsonl")]  # fmt: skip
        return {name: p.detach().clone() for name, p in policy.model.named_parameters()}, ahead, rows

    instant, _, rows = adapter_after(0.0, "instant")
    late, ahead, late_rows = adapter_after(0.3, "late")
    assert ahead >= 2
    assert late_rows == rows
    for name, parameter in instant.items():
        assert torch.equal(parameter, late[name]), name
