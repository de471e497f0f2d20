from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from recruiter.config import (
    Config,
    LoraConfig,
    ModelConfig,
    OptimizerConfig,
    PolicyConfig,
    SamplingParams,
    TrainerConfig,
)
from recruiter.engines import Sample, TrainGroup, torch_seed
from recruiter.engines.local import LocalPolicy
from recruiter.engines.lora import refresh_adapters
from recruiter.engines.plain import generate_plain
from recruiter.errors import ModelError
from recruiter.objective import token_losses
from recruiter.prompts import Message
from recruiter.roles.schedule import sampling_seed
from tests.engines.conftest import Dtype, tiny_model
from tests.engines.test_model import sequence_logprobs

MESSAGES = [Message(role="user", content="Which index?")]


def policy_for(
    folder: Path, rank: int = 4, lr: float = 1e-3, dtype: Dtype = "float32", **algorithm: object
) -> LocalPolicy:
    model = ModelConfig(path=str(folder), dtype=dtype)
    lora, optimizer = LoraConfig(rank=rank), OptimizerConfig(lr=lr)
    trainer = TrainerConfig(policy=PolicyConfig(model=model, lora=lora, optimizer_config=optimizer), device="cpu")
    for name, value in algorithm.items():
        setattr(trainer.algorithm, name, value)
    config = Config(trainer=trainer)
    config.generator.sampling_params = SamplingParams(12, temperature=0.9)
    return LocalPolicy(config)


def random_adapter(policy: LocalPolicy) -> None:
    """Give B a value: it starts at zero, where A has no gradient."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    refresh_adapters(policy.local.causal_lm)


def sampled_group(policy: LocalPolicy, seed: int = 0) -> TrainGroup:
    samples = next(policy.sample([MESSAGES], 3, policy.config.generator.sampling_params, seed))
    return TrainGroup(MESSAGES, samples, [1.0, -0.5, -0.5])


def gradients(policy: LocalPolicy) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("use_kl", [False, True])
def test_gradient_equals_autograd_through_each_whole_sequence(tiny_folder: Path, use_kl: bool) -> None:
    policy = policy_for(tiny_folder, use_kl_loss=use_kl, kl_loss_coef=0.1)
    random_adapter(policy)
    group = sampled_group(policy)
    sums = policy.forward_backward([group])
    got = gradients(policy)
    policy.optimizer.zero_grad()

    model, prompt = policy.local.causal_lm, policy.local.encode(MESSAGES)
    model.set_attn_implementation("sdpa")

    def scaled(answer: list[int]) -> torch.Tensor:
        logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1] / 0.9
        return logits.log_softmax(dim=-1).gather(1, torch.tensor(answer)[:, None]).squeeze(1)

    total, untrained = torch.zeros(()), 0.0
    for sample, advantage in zip(group.samples, group.advantages, strict=True):
        logprobs = scaled(sample.token_ids)
        with torch.no_grad(), policy.model.disable_adapter():
            reference = scaled(sample.token_ids) if use_kl else None
        untrained += 0.0 if reference is None else reference.sum().item()
        advantages = torch.full_like(logprobs, advantage)
        total = total + token_losses(logprobs, logprobs.detach(), advantages, 0.2, 0.2, reference, 0.1).loss_T.sum()
    total.backward()
    expected = gradients(policy)
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (got[name] - gradient).norm() <= 1e-4 * gradient.norm(), name
    assert sums.loss == pytest.approx(total.item(), rel=1e-4)
    assert (sums.kl > 0) == use_kl
    assert float(sums.reference) == pytest.approx(untrained, rel=1e-4)


def test_groups_add_up_and_are_normalised_once(tiny_folder: Path) -> None:
    policy = policy_for(tiny_folder)
    random_adapter(policy)
    first, second = sampled_group(policy, 0), sampled_group(policy, 1)
    policy.forward_backward([first])
    alone = gradients(policy)
    policy.forward_backward([second])
    both = gradients(policy)
    policy.optimizer.zero_grad()
    policy.forward_backward([second])
    for name, gradient in gradients(policy).items():
        assert torch.allclose(both[name], alone[name] + gradient, atol=1e-6)
    tokens = first.tokens + second.tokens
    norm = torch.stack([gradient.norm() for gradient in both.values()]).norm().item() / tokens
    policy.forward_backward([first])
    assert policy.optim_step(tokens).grad_norm == pytest.approx(norm, rel=1e-4)


def test_an_update_is_seen_by_the_next_rollouts_at_once(tiny_folder: Path) -> None:
    policy = policy_for(tiny_folder, lr=1e-5)
    random_adapter(policy)
    group = sampled_group(policy)
    before = policy.logprobs([group])[0]
    policy.forward_backward([group])
    policy.optim_step(group.tokens)
    after = policy.logprobs([group])[0]
    assert before != after
    sums = policy.forward_backward([sampled_group(policy)])
    assert sums.ratio / sums.tokens == pytest.approx(1.0, abs=1e-4)
    assert max(sums.max_ratios) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("like_a_gpu", [False, True])
def test_bfloat16_samples_and_trains_within_its_rounding(tiny_folder: Path, like_a_gpu: bool) -> None:
    policy = policy_for(tiny_folder, dtype="bfloat16")
    random_adapter(policy)
    if like_a_gpu:  # there, rollouts run in the very modules that are trained
        policy.local._shared = policy.local.causal_lm
    group = sampled_group(policy)
    sums = policy.forward_backward([group])
    assert policy.optim_step(sums.tokens).grad_norm > 0
    assert {parameter.dtype for parameter in policy.parameters} == {torch.float32}
    assert sums.ratio / sums.tokens == pytest.approx(1.0, abs=0.05)


def test_stale_and_fresh_groups_share_a_pass(tiny_folder: Path) -> None:
    """A group with log-probabilities of its own is compared with those, the others with the policy as it is."""
    policy = policy_for(tiny_folder)
    random_adapter(policy)
    fresh, stale = sampled_group(policy, 1), sampled_group(policy, 2)
    fresh.advantages, stale.advantages = [1.0, 0.5, 0.2], [0.3, -0.5, 1.0]
    stale.old_logprobs = [[value - 0.1 for value in row] for row in policy.logprobs([stale])[0]]
    apart = [policy.forward_backward([group]) for group in (fresh, stale)]
    expected = gradients(policy)
    for parameter in policy.parameters:
        parameter.grad = None
    together = policy.forward_backward([fresh, stale])
    assert float(together.loss) == pytest.approx(float(sum(sums.loss for sums in apart)), rel=1e-4)
    assert together.loss != pytest.approx(0.0, abs=1e-3)
    for name, gradient in gradients(policy).items():
        assert (gradient - expected[name]).abs().max() <= 1e-4 * expected[name].abs().max(), name


def test_old_logprobs_give_the_clipped_ratio(tiny_folder: Path) -> None:
    policy = policy_for(tiny_folder)
    group = sampled_group(policy)
    shifted = [[p - 1.0 for p in row] for row in policy.logprobs([group])[0]]
    sums = policy.forward_backward([TrainGroup(group.messages, group.samples, group.advantages, shifted)])
    positive = len(group.samples[0].token_ids)
    assert sums.clipped == positive  # ratio e: beyond the range, and only a positive advantage is held back


def test_training_moves_probability_towards_what_was_rewarded(tiny_folder: Path) -> None:
    policy = policy_for(tiny_folder, lr=5e-3)
    group = sampled_group(policy)
    before = [sum(row) for row in policy.logprobs([group])[0]]
    for _ in range(5):
        policy.forward_backward([group])
        policy.optim_step(group.tokens)
    after = [sum(row) for row in policy.logprobs([group])[0]]
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_save_and_load_continue_exactly(tiny_folder: Path, tmp_path: Path) -> None:
    policy = policy_for(tiny_folder)
    group = sampled_group(policy)
    policy.forward_backward([group])
    policy.optim_step(group.tokens)
    (tmp_path / "policy").mkdir()
    policy.snapshot()(tmp_path / "policy")
    other = policy_for(tiny_folder)
    other.load(tmp_path / "policy")
    for each in (policy, other):
        each.forward_backward([group])
        each.optim_step(group.tokens)
    assert policy.logprobs([group])[0] == other.logprobs([group])[0]
    assert [s.text for s in sampled_group(policy, 5).samples] == [s.text for s in sampled_group(other, 5).samples]


def test_an_adapter_of_another_rank_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    policy_for(tiny_folder, rank=4).snapshot()(tmp_path)
    with pytest.raises(ModelError, match=r"does not fit .* with LoRA rank 2"):
        policy_for(tiny_folder, rank=2).load(tmp_path)


def test_a_checkpoint_of_the_other_engine_is_one_sentence_and_changes_nothing(
    tiny_folder: Path, tmp_path: Path
) -> None:
    trained = policy_for(tiny_folder)
    random_adapter(trained)
    trained.snapshot()(tmp_path)
    torch.save({"optimizer": {}, "scheduler": {}}, tmp_path / "optimizer.pt")  # as SkyRL's workers write it
    policy = policy_for(tiny_folder)
    before = {name: parameter.clone() for name, parameter in policy.model.named_parameters()}
    with pytest.raises(ModelError, match=r"^\S+ was written by SkyRL; engine=skyrl continues it\.$"):
        policy.load(tmp_path)
    assert all(torch.equal(parameter, before[name]) for name, parameter in policy.model.named_parameters())
    (tmp_path / "optimizer.pt").unlink()
    with pytest.raises(ModelError, match=r"holds no optimizer's state"):
        policy.load(tmp_path)


def test_policy_without_adapter_training_is_the_base_model(tiny_folder: Path) -> None:
    policy = policy_for(tiny_folder)
    policy.local.causal_lm.set_attn_implementation("sdpa")
    prompt = policy.local.encode(MESSAGES)
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    answer = [40, 50, 60]
    expected = sequence_logprobs(base, prompt, answer)
    assert torch.allclose(sequence_logprobs(policy.local.causal_lm, prompt, answer), expected, atol=1e-6)


def test_sampling_is_repeatable_and_text_has_no_special_tokens(tiny_folder: Path) -> None:
    policy = policy_for(tiny_folder)
    first, again = sampled_group(policy, 7).samples, sampled_group(policy, 7).samples
    assert first == again
    assert all(isinstance(sample, Sample) and "<|end|>" not in sample.text for sample in first)


def test_recomputed_layers_give_the_same_gradients(tiny_folder: Path) -> None:
    def gradients_with(checkpointing: bool) -> dict[str, torch.Tensor]:
        config = policy_for(tiny_folder).config
        config.trainer.gradient_checkpointing = checkpointing
        policy = LocalPolicy(config)
        random_adapter(policy)
        policy.forward_backward([sampled_group(policy)])
        return gradients(policy)

    kept, recomputed = gradients_with(False), gradients_with(True)
    assert kept.keys() == recomputed.keys()
    assert all(torch.allclose(kept[name], recomputed[name], rtol=1e-5, atol=1e-7) for name in kept)


def test_longer_prompts_make_passes_of_fewer_groups(tiny_folder: Path) -> None:
    policy = policy_for(tiny_folder)
    prompts = [[Message(role="user", content=f"{i} " + "x" * length)] for length in (100, 900) for i in range(4)]
    room = policy.local.tokens_per_pass(gradient_checkpointing=False)
    short, long = (policy.groups_per_pass(part, 3) for part in (prompts[:4], prompts[4:]))
    assert 1 <= long < short
    assert short * (3 * 12 + 100) <= room


def adapter_of(policy: LocalPolicy) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in policy.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_gradient_that_is_not_finite_changes_nothing_and_is_cleared(tiny_folder: Path, value: float) -> None:
    policy, undisturbed = policy_for(tiny_folder), policy_for(tiny_folder)
    for each in (policy, undisturbed):
        random_adapter(each)
    group = sampled_group(policy)
    before = adapter_of(policy)
    policy.forward_backward([group])
    grad = policy.parameters[0].grad
    assert grad is not None
    grad[0, 0] = value
    assert not policy.optim_step(group.tokens).was_applied
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapter_of(policy).items())
    assert policy.updates == 0
    for each in (policy, undisturbed):
        each.forward_backward([group])
        assert each.optim_step(group.tokens).was_applied
    expected = adapter_of(undisturbed)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in adapter_of(policy).items())


@pytest.mark.parametrize("seed", [20261130141500, 2**63, -(2**63), 10**30, -(10**30)])
def test_any_integer_is_a_seed(tiny_folder: Path, seed: int) -> None:
    policy = policy_for(tiny_folder)
    config = policy.config
    config.trainer.seed = seed
    again = LocalPolicy(config)
    drawn = sampling_seed(seed, 1)
    assert sampled_group(policy, drawn).samples == sampled_group(again, drawn).samples
    model = tiny_model("llama")
    plain = [generate_plain(model, [[5, 6, 7]], 2, SamplingParams(4, temperature=1.0), [2], [drawn]) for _ in range(2)]
    assert plain[0] == plain[1]


@pytest.mark.parametrize("seed", [0, 42, 2**64 - 1, -1, -(2**63)])
def test_seeds_that_torch_takes_stay_as_they_are(seed: int) -> None:
    assert torch_seed(seed) == seed
