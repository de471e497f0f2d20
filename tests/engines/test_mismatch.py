"""Rollouts and training see the same policy, an update reaches the rollouts, and the metrics would show if not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from recruiter.config import Config, SamplingParams
from recruiter.engines import Sample, TrainGroup
from recruiter.engines.local import LocalPolicy
from recruiter.files import read_jsonl
from recruiter.judges import Judge
from recruiter.metrics_logger import RunLog
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer
from tests.engines.conftest import Dtype
from tests.engines.test_local import random_adapter
from tests.engines.trl_oracle import save_tiny_model
from tests.scoring import RUBRIC, scored


@pytest.fixture
def settings(config: Config, tiny_folder: Path) -> Config:
    trainer = config.trainer
    trainer.policy.model.path, trainer.policy.model.dtype, trainer.device = str(tiny_folder), "float32", "cpu"
    trainer.train_batch_size, trainer.epochs, trainer.eval_interval = 2, 1, 0
    config.generator.sampling_params = SamplingParams(16, temperature=0.8)
    return config


@pytest.fixture
def roles(role: Callable[..., Role]) -> list[Role]:
    return [role(i, description="queue " * (i + 1)) for i in range(2)]


def rollouts(policy: LocalPolicy, roles: list[Role], seed: int = 0) -> list[TrainGroup]:
    prompts = [generator_messages(role) for role in roles]
    groups = policy.sample(prompts, 4, policy.config.generator.sampling_params, seed)
    return [TrainGroup(m, s, [1.0, 1.0, -1.0, -1.0]) for m, s in zip(prompts, groups, strict=True)]


def flat(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor([value for row in rows for value in row])


def plain_logprobs(path: Path, adapter: Path, group: TrainGroup, policy: LocalPolicy, exact: bool) -> torch.Tensor:
    """The oracle: transformers and PEFT as they come, one whole sequence at a time. `exact` computes in float64."""
    base = AutoModelForCausalLM.from_pretrained(path, dtype=policy.local.dtype)
    model = PeftModel.from_pretrained(base, str(adapter))
    model = model.double() if exact else model
    prompt, temperature = policy.local.encode(group.messages), policy.config.generator.sampling_params.temperature
    parts = []
    for sample in group.samples:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + sample.token_ids])).logits[0, len(prompt) - 1 : -1].double()
        logprobs = (logits / temperature).log_softmax(dim=-1)
        parts.append(logprobs.gather(1, torch.tensor(sample.token_ids)[:, None]).squeeze(1))
    return torch.cat(parts)


def test_rollouts_training_and_a_plain_forward_agree(
    settings: Config, roles: list[Role], tiny_folder: Path, tmp_path: Path
) -> None:
    """Within 1e-5, or within twice what a plain forward in float32 itself is away from float64, which is about that."""
    policy = LocalPolicy(settings)
    random_adapter(policy)
    policy.snapshot()(tmp_path)
    for group in rollouts(policy, roles):
        rollout, training = flat([s.logprobs for s in group.samples]), flat(policy.logprobs([group])[0])
        plain, exact = (
            plain_logprobs(tiny_folder, tmp_path / "lora_adapter", group, policy, exact=e) for e in (False, True)
        )
        bound = max(1e-5, 2 * (plain - exact).abs().max().item())
        assert bound < 4e-5
        assert (training - exact).abs().max() <= bound
        assert (rollout - exact).abs().max() <= bound
        assert (training - plain).abs().mean() <= 1e-5


def test_in_bfloat16_they_agree_within_its_noise(
    settings: Config, roles: list[Role], tiny_folder: Path, tmp_path: Path
) -> None:
    """Noise is what bfloat16 does to a plain forward, measured against float32 on the same weights. Two computations
    that each carry it lie at most twice as far from each other."""
    settings.trainer.policy.model.dtype = "bfloat16"
    policy = LocalPolicy(settings)
    random_adapter(policy)
    policy.snapshot()(tmp_path)
    groups = rollouts(policy, roles)
    plain, exact = (
        torch.cat([plain_logprobs(tiny_folder, tmp_path / "lora_adapter", g, policy, exact=e) for g in groups])
        for e in (False, True)
    )
    noise = (plain - exact).abs().mean()
    rollout = flat([sample.logprobs for group in groups for sample in group.samples])
    training = torch.cat([flat(policy.logprobs([group])[0]) for group in groups])
    assert 0 < noise < 0.1
    assert (rollout - training).abs().mean() <= 2 * noise
    assert (training - rollout).exp().mean().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(("dtype", "share"), [("float32", 0.9), ("bfloat16", 0.2)])
def test_a_first_update_at_the_default_learning_rate_moves_the_rollouts(
    settings: Config, roles: list[Role], dtype: Dtype, share: float
) -> None:
    """An update of 1e-5 is far below the rounding of bfloat16 weights, but the adapter is never merged into them. What
    it adds to bfloat16 activations is still rounded: a part of the tokens of a two-layer model stays where it was."""
    settings.trainer.policy.model.dtype = dtype
    assert settings.trainer.policy.optimizer_config.lr == 1e-5
    policy = LocalPolicy(settings)
    groups = rollouts(policy, roles)
    before = torch.cat([flat(policy.logprobs([group])[0]) for group in groups])
    policy.forward_backward(groups)
    policy.optim_step(sum(group.tokens for group in groups))
    after = torch.cat([flat(policy.logprobs([group])[0]) for group in groups])
    moved = (after - before).abs()
    assert moved.mean() > 1e-5
    assert (moved > 0).float().mean() > share

    changed = compared = 0
    for old, new in zip(groups, rollouts(policy, roles), strict=True):  # the same random numbers
        for was, now in zip(old.samples, new.samples, strict=True):
            for token, next_token, logprob, next_logprob in zip(
                was.token_ids, now.token_ids, was.logprobs, now.logprobs, strict=False
            ):
                if token != next_token:
                    break  # from here on, what they continue differs
                compared, changed = compared + 1, changed + (logprob != next_logprob)
    assert compared > 20
    assert changed > share * compared


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_small_updates_have_their_full_effect_in_bfloat16(
    config: Config, role: Callable[..., Role], kind: str, tmp_path: Path
) -> None:
    """The same update, at 1e-4, moves log-probabilities in bfloat16 as far as in float32, but for noise.

    It does not where an adapter's product is added to an output that lies on bfloat16's grid already: what is below half
    a step of the grid is then lost each time, not rounded up as often as down.
    """
    save_tiny_model(kind, tmp_path)
    trainer = config.trainer
    trainer.policy.model.path, trainer.policy.model.dtype, trainer.device = str(tmp_path), "float32", "cpu"
    trainer.policy.optimizer_config.lr = 1e-4
    config.generator.sampling_params = SamplingParams(24)
    policy = LocalPolicy(config)
    groups = rollouts(policy, [role(i, description="queue " * (i + 1)) for i in range(24)])
    for name in ("before", "after"):
        policy.snapshot()(tmp_path / name)
        if name == "before":
            for group in groups:
                policy.forward_backward([group])
            policy.optim_step(sum(group.tokens for group in groups))

    def effect(dtype: Dtype) -> torch.Tensor:
        trainer.policy.model.dtype = dtype
        policy, logprobs = LocalPolicy(config), []
        for name in ("before", "after"):
            policy.load_adapter(tmp_path / name / "lora_adapter")
            logprobs.append(torch.cat([flat(policy.logprobs([group])[0]) for group in groups]))
        return logprobs[1] - logprobs[0]

    exact = effect("float32")
    assert (effect("bfloat16") @ exact / (exact @ exact)).item() == pytest.approx(1.0, abs=0.25)


class FixedJudge(Judge):
    name, version = "fake", "1"
    rubric = RUBRIC

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        return [Judgement(scored(float(i))) for i in range(len(questions))]


def test_metrics_watch_the_ratio_of_training_to_rollout_probabilities(
    settings: Config, roles: list[Role], tmp_path: Path
) -> None:
    class Mismatched(LocalPolicy):
        """Rollouts that claim a tenth less than training gives, as after a stale or rounded copy of the weights."""

        shift = 0.0

        def sample(self, *args: Any) -> Iterator[list[Any]]:
            for group in super().sample(*args):
                yield [Sample(s.text, s.token_ids, [p - self.shift for p in s.logprobs], s.finished) for s in group]

    rows = []
    for name, shift in (("sound", 0.0), ("broken", 0.1)):
        policy = Mismatched(settings)
        policy.shift = shift
        with RunLog(tmp_path / name, settings, FixedJudge(), 1) as log:
            Trainer(settings, policy, JudgedGroups(FixedJudge()), roles, [], log).train()
        (row,) = read_jsonl(tmp_path / name / "metrics.jsonl")
        rows.append(row)
    sound, broken = rows
    assert sound["rollout_ratio_mean"] == pytest.approx(1.0, abs=1e-5)
    assert sound["rollout_ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert broken["rollout_ratio_mean"] == pytest.approx(math.exp(0.1), abs=1e-4)
    assert broken["rollout_ratio_max"] == pytest.approx(math.exp(0.1), abs=1e-4)
