"""The engine on a GPU: `pytest -m gpu tests/gpu`, by hand. Figures go to docs/performance.md."""

from __future__ import annotations

import gc
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from recruiter.config import Config, SamplingParams
from recruiter.engines import TrainGroup, packing
from recruiter.engines.compiling import compile_layers
from recruiter.engines.local import LocalPolicy
from recruiter.engines.lora import refresh_adapters
from recruiter.engines.model import group_logprobs
from recruiter.engines.rollouts import generate_groups
from recruiter.prompts import Message
from tests.engines.conftest import Dtype, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.gpu
SHAPE: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "initializer_range": 0.05,
}


def policy_for(folder: Path, dtype: Dtype, kind: str = "qwen3") -> LocalPolicy:
    if not (folder / "config.json").is_file():
        tiny_model(kind, **SHAPE).save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)
    config = Config()
    config.trainer.policy.model.path, config.trainer.policy.model.dtype = str(folder), dtype
    config.trainer.device = "cuda"
    config.generator.sampling_params = SamplingParams(40)
    policy = LocalPolicy(config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    refresh_adapters(policy.local.causal_lm)
    return policy


def random_groups(seed: int = 0) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts that begin alike and answers of many lengths, one token among them."""
    generator = torch.Generator().manual_seed(seed)

    def tokens(count: int) -> list[int]:
        return torch.randint(5, 290, (count,), generator=generator).tolist()

    common = tokens(30)
    prompts = [common + tokens(count) for count in (50, 33, 90)]
    return prompts, [[tokens(n) for n in row] for row in ((40, 17, 1, 96), (20, 33, 64, 2), (5, 6, 130, 8))]


def logprobs_and_gradients(policy: LocalPolicy) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    policy.model.train()
    logprobs, _ = group_logprobs(policy.local.causal_lm, *random_groups(), 1.0)
    (logprobs * torch.linspace(-1, 1, len(logprobs), device=logprobs.device)).sum().backward()
    gradients = {name: p.grad.float().clone() for name, p in policy.model.named_parameters() if p.grad is not None}
    policy.optimizer.zero_grad()
    return logprobs.detach().float(), gradients


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(((one[name] - other[name]).norm() / other[name].norm()).item() for name in other)


def test_flash_parts_are_as_near_to_float32_as_padded_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact_logprobs, exact = logprobs_and_gradients(policy_for(tmp_path, "float32"))
    policy = policy_for(tmp_path, "bfloat16")
    flash_logprobs, flash = logprobs_and_gradients(policy)
    monkeypatch.setattr(packing, "can_use_flash", lambda *_: False)
    block_logprobs, blocks = logprobs_and_gradients(policy)
    noise = (block_logprobs - exact_logprobs).abs().mean()
    assert (flash_logprobs - exact_logprobs).abs().mean() <= 1.5 * noise
    assert distance(flash, exact) <= 1.5 * distance(blocks, exact)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_compiled_layers_give_the_same_gradients(tmp_path: Path, kind: str) -> None:
    policy = policy_for(tmp_path, "float32", kind)
    logprobs, gradients = logprobs_and_gradients(policy)
    policy.local.causal_lm.enable_input_require_grads()
    compile_layers(policy.local.causal_lm.get_decoder())
    compiled_logprobs, compiled = logprobs_and_gradients(policy)
    assert (logprobs - compiled_logprobs).abs().max() <= 1e-4
    assert distance(compiled, gradients) <= 1e-3


@pytest.mark.parametrize("group_size", [1, 3, 4, 8])
def test_recorded_rollouts_equal_those_step_by_step(tmp_path: Path, group_size: int) -> None:
    local = policy_for(tmp_path, "float32").local
    prompts, _ = random_groups()
    uniforms = torch.rand(len(prompts), group_size, 40, generator=torch.Generator().manual_seed(2))
    arguments = (local.rollout_model, prompts, group_size, SamplingParams(40, temperature=0.7), [2], uniforms)
    recorded, plain = local._generate(*arguments), generate_groups(*arguments)
    for mine, theirs in zip(recorded, plain, strict=True):
        assert [c.token_ids for c in mine] == [c.token_ids for c in theirs]
        for one, other in zip(mine, theirs, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
            assert one.finished == other.finished


def test_an_update_is_seen_by_recorded_rollouts(tmp_path: Path) -> None:
    policy = policy_for(tmp_path, "bfloat16")
    messages, sampling = [Message(role="user", content="a queue")], policy.config.generator.sampling_params
    (before,) = policy.sample([messages], 4, sampling, 0)
    policy.forward_backward([TrainGroup(messages, before, [1.0, -1.0, 0.5, -0.5])])
    policy.optim_step(sum(len(sample.token_ids) for sample in before))
    (after,) = policy.sample([messages], 4, sampling, 0)
    assert [s.logprobs for s in before] != [s.logprobs for s in after]
    (training,) = policy.logprobs([TrainGroup(messages, after, [0.0] * 4)])
    ratios = [torch.tensor(t) - torch.tensor(s.logprobs) for t, s in zip(training, after, strict=True)]
    assert torch.cat(ratios).exp().mean().item() == pytest.approx(1.0, abs=0.02)


def test_memory_does_not_grow_over_200_steps(tmp_path: Path) -> None:
    policy = policy_for(tmp_path, "bfloat16")
    prompts = [[Message(role="user", content=f"role {i} " * (i % 5 + 1))] for i in range(8)]
    sizes: list[tuple[int, int]] = []
    for step in range(200):
        groups = list(policy.sample(prompts, 4, policy.config.generator.sampling_params, step))
        policy.forward_backward(
            [TrainGroup(p, g, [1.0, -1.0, 0.5, -0.5]) for p, g in zip(prompts, groups, strict=True)]
        )
        policy.optim_step(1000)
        if step in (40, 199):
            gc.collect()
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            sizes.append((torch.cuda.memory_allocated(), resident))
    (allocated, resident), (allocated_later, resident_later) = sizes
    assert allocated_later <= 1.02 * allocated
    assert resident_later - resident < 50e6
