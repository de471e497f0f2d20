"""Frozen weights in 8 bits: the policy is, in sampling, training and reading, the one whose weights are the rounded ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from recruiter.config import Config
from recruiter.engines.local import LocalPolicy
from recruiter.engines.model import LocalModel
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from tests.engines.conftest import Dtype, tiny_tokenizer
from tests.engines.test_local import random_adapter
from tests.engines.test_mismatch import flat, roles, rollouts, settings  # noqa: F401


@pytest.fixture
def rounded(tiny_folder: Path, tmp_path: Path) -> Path:
    """The same model with each linear weight moved to the nearest of 255 multiples of its channel's largest / 127."""
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    for module in model.get_decoder().modules():
        if isinstance(module, nn.Linear):
            step = module.weight.data.abs().amax(dim=1, keepdim=True) / 127
            module.weight.data = (module.weight.data / step).round() * step
    model.save_pretrained(tmp_path / "rounded")
    tiny_tokenizer().save_pretrained(tmp_path / "rounded")
    return tmp_path / "rounded"


def pair(settings: Config, rounded: Path) -> tuple[LocalPolicy, LocalPolicy]:  # noqa: F811
    """The policy in 8 bits, and the oracle in full over the rounded weights, with equal adapters."""
    policies, path = [], settings.trainer.policy.model.path
    for quantization, folder in (("int8", path), (None, str(rounded))):
        settings.trainer.policy.model.quantization, settings.trainer.policy.model.path = quantization, folder  # type: ignore[assignment]
        policies.append(LocalPolicy(settings))
        random_adapter(policies[-1])
    return policies[0], policies[1]


@contextmanager
def noting(kept: list[torch.Tensor]) -> Iterator[None]:
    """What forward passes keep for their backward passes."""

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "down_proj"]])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_sampling_gradients_and_update_are_those_over_the_rounded_weights(
    settings: Config,  # noqa: F811
    roles: list[Role],  # noqa: F811
    rounded: Path,
    targets: Any,
    checkpointing: bool,
) -> None:
    settings.trainer.policy.lora.target_modules = targets
    settings.trainer.gradient_checkpointing = checkpointing
    settings.trainer.algorithm.use_kl_loss, settings.trainer.algorithm.kl_loss_coef = True, 0.1
    quantised, oracle = pair(settings, rounded)
    groups, expected = rollouts(quantised, roles), rollouts(oracle, roles)
    for group, other in zip(groups, expected, strict=True):
        assert [s.token_ids for s in group.samples] == [s.token_ids for s in other.samples]
        logprobs, others = (flat([s.logprobs for s in g.samples]) for g in (group, other))
        assert (logprobs - others).abs().max() < 1e-4
        assert (flat(quantised.logprobs([group])[0]) - logprobs).abs().max() < 1e-4
    for policy in (quantised, oracle):
        policy.forward_backward(groups)
    for ours, theirs in zip(quantised.parameters, oracle.parameters, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad - theirs.grad).norm() < 1e-4 * theirs.grad.norm()
    assert quantised.optim_step(100).grad_norm == pytest.approx(oracle.optim_step(100).grad_norm, rel=1e-4)


def test_in_bfloat16_rollouts_and_training_agree_and_weights_take_a_byte(
    settings: Config,  # noqa: F811
    roles: list[Role],  # noqa: F811
) -> None:
    settings.trainer.policy.model.dtype = "bfloat16"
    full = LocalPolicy(settings)
    settings.trainer.policy.model.quantization = "int8"
    policy = LocalPolicy(settings)
    random_adapter(policy)
    groups = rollouts(policy, roles)
    rollout = flat([sample.logprobs for group in groups for sample in group.samples])
    training = torch.cat([flat(policy.logprobs([group])[0]) for group in groups])
    assert (training - rollout).exp().mean().item() == pytest.approx(1.0, abs=0.02)

    layers = [m.weight for m in policy.local.causal_lm.get_decoder().modules() if hasattr(m, "quantise")]
    assert len(layers) == 14
    kept = list[torch.Tensor]()
    with noting(kept):
        policy.forward_backward(groups)
    shapes = {weight.shape for weight in layers}
    assert {tensor.dtype for tensor in kept if tensor.shape in shapes} == {torch.int8}
    saved = sum(weight.numel() for weight in layers)
    before, after = (each.local.weight_bytes for each in (full, policy))
    assert saved * 0.7 < before - after < saved  # a byte of two, less the scales and the padding of small layers


def test_the_compiled_pass_keeps_no_weights_in_full(settings: Config, roles: list[Role]) -> None:  # noqa: F811
    settings.trainer.policy.model.quantization = "int8"
    policies, gradients = [LocalPolicy(settings), LocalPolicy(settings)], []
    groups = rollouts(policies[0], roles)
    layers = policies[1].local.causal_lm.get_decoder().layers
    policies[1].local.causal_lm.enable_input_require_grads()
    for layer in layers:
        layer.compile(backend="aot_eager_decomp_partition", dynamic=True)
    kept = list[torch.Tensor]()
    for policy in policies:
        random_adapter(policy)
        with noting(kept):
            policy.forward_backward(groups)
        gradients.append(torch.cat([p.grad.flatten() for p in policy.parameters if p.grad is not None]))
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[0].norm()
    assert {tensor.dtype for tensor in kept if tensor.shape == (64, 32)} == {torch.int8}


def test_its_adapter_goes_on_over_the_full_weights(
    settings: Config,  # noqa: F811
    roles: list[Role],  # noqa: F811
    tiny_folder: Path,
    tmp_path: Path,
) -> None:
    settings.trainer.policy.model.quantization = "int8"
    policy = LocalPolicy(settings)
    random_adapter(policy)
    policy.snapshot()(tmp_path)
    (group, *_) = rollouts(policy, roles)
    settings.trainer.policy.model.quantization = None
    full = LocalPolicy(settings)
    full.load(tmp_path)
    apart = (flat(full.logprobs([group])[0]) - flat(policy.logprobs([group])[0])).abs()
    assert 1e-5 < apart.mean() < 0.1
    LocalModel(str(tiny_folder), "cpu", "float32", tmp_path / "lora_adapter")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropout_and_the_untrained_model_work_too(settings: Config, roles: list[Role], dtype: Dtype) -> None:  # noqa: F811
    settings.trainer.policy.model.dtype, settings.trainer.policy.lora.dropout = dtype, 0.5
    readers = []
    for quantization in (None, "int8"):
        settings.trainer.policy.model.quantization = quantization
        policy = LocalPolicy(settings)
        with policy.base() as reader:
            readers.append(
                (reader.fingerprint, flat(reader.answer_logprobs([generator_messages(roles[0])], [["How?"]])[0]))
            )
    assert readers[0][0] != readers[1][0]
    assert 0 < (readers[0][1] - readers[1][1]).abs().mean() < 0.2
    policy.forward_backward(rollouts(policy, roles))
    assert policy.optim_step(10).was_applied
