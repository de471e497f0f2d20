"""Our step is TRL's: loss, gradients, clipping, advantages and updates. What each is called there: `trl_oracle.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recruiter.config import Config, SamplingParams
from recruiter.objective import group_advantages
from recruiter.prompts import generator_messages
from recruiter.roles.schedule import step_roles
from tests.engines.trl_oracle import END, Script, ScriptedPolicy, Update, save_tiny_model, train_ours, train_trl

pytestmark = pytest.mark.filterwarnings("ignore:.*(deprecated|experimental)")
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp(request.param)
    save_tiny_model(request.param, path)
    return path


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Path:
    """An adapter whose B is not zero: otherwise A would have no gradient and the KL would be 0."""
    config = Config()
    config.trainer.policy.model.path, config.trainer.policy.model.dtype = str(folder), "float32"
    config.trainer.device, config.trainer.policy.lora.rank = "cpu", 4
    policy = ScriptedPolicy(config, Script(config, []))
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    policy.snapshot()(folder)
    return folder / "lora_adapter"


@pytest.fixture
def settings(config: Config, folder: Path) -> Config:
    """Four roles, four answers each, one update; the clipping range is lopsided so that its ends cannot be mixed up."""
    trainer = config.trainer
    trainer.policy.model.path, trainer.policy.model.dtype, trainer.device = str(folder), "float32", "cpu"
    trainer.policy.lora.rank = 4
    trainer.policy.optimizer_config.lr, trainer.policy.optimizer_config.max_grad_norm = 1e-2, 1e9
    trainer.train_batch_size, trainer.epochs, trainer.eval_interval = 4, 1, 0
    trainer.algorithm.zero_variance_filter = False
    trainer.algorithm.eps_clip_high, trainer.algorithm.kl_loss_coef = 0.28, 0.1
    config.generator.sampling_params = SamplingParams(12, temperature=0.7)
    config.reward.overlap_window = 0
    return config


@pytest.fixture
def script(settings: Config, role: Callable[..., Any]) -> Script:
    return Script(settings, [role(i, description="queue " * (i + 1)) for i in range(settings.trainer.train_batch_size)])


def apart(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest relative distance of two sets of tensors."""
    assert ours.keys() == theirs.keys()
    assert all(tensor.norm() > 0 for tensor in theirs.values())
    return max(((ours[name] - tensor).norm() / tensor.norm()).item() for name, tensor in theirs.items())


def assert_same(ours: list[Update], theirs: list[Update], updates: int) -> None:
    assert len(ours) == len(theirs) == updates
    for mine, oracle in zip(ours, theirs, strict=True):
        assert mine.loss == pytest.approx(oracle.loss, rel=TOLERANCE)
        assert apart(mine.gradients, oracle.gradients) <= TOLERANCE
        assert mine.grad_norm == pytest.approx(oracle.grad_norm, rel=TOLERANCE)
        assert apart(mine.weights, oracle.weights) <= TOLERANCE


@pytest.mark.parametrize("use_kl", [False, True], ids=["no KL", "KL"])
@pytest.mark.parametrize("by_std", [False, True], ids=["no std", "std"])
def test_loss_gradients_and_update_equal_trls(
    settings: Config, script: Script, adapter: Path, use_kl: bool, by_std: bool
) -> None:
    settings.trainer.algorithm.use_kl_loss, settings.trainer.algorithm.grpo_norm_by_std = use_kl, by_std
    policy, ours = train_ours(settings, script, adapter)
    oracle, theirs = train_trl(settings, script, adapter, micro_batch=8)
    assert_same(ours, theirs, updates=1)

    roles = step_roles(settings, script.roles, 1)
    prompts = [generator_messages(role) for role in roles]
    expected = [a for messages in prompts for a in group_advantages(script.rewards(1, messages), by_std)]
    assert oracle.scored["advantages"].tolist() == pytest.approx(expected, abs=1e-5)
    assert expected.count(0.0) >= script.size  # the group without spread is there on both sides
    encoded, _, _ = oracle._tokenize_prompts(prompts)
    assert encoded == [policy.local.encode(messages) for messages in prompts]
    answers = [answer for messages in prompts for answer in script.answers(1, messages)]
    assert len({len(answer) for answer in answers}) > 3
    assert {answer[-1] == END for answer in answers} == {True, False}
    assert oracle.scored["completion_mask"].sum(dim=1).tolist() == [len(answer) for answer in answers]


def test_clipping_equals_trls_over_several_updates(settings: Config, script: Script, adapter: Path) -> None:
    settings.trainer.update_epochs_per_batch, settings.trainer.algorithm.use_kl_loss = 3, True
    policy, ours = train_ours(settings, script, adapter)
    oracle, theirs = train_trl(settings, script, adapter)
    assert_same(ours, theirs, updates=3)
    assert ours[0].clipped == theirs[0].clipped == 0
    for mine, trls in zip(ours[1:], theirs[1:], strict=True):
        assert mine.clipped > 0.1  # it bites
        assert mine.clipped == pytest.approx(trls.clipped, abs=1e-6)
    old = oracle.scored["old_per_token_logps"][oracle.scored["completion_mask"].bool()]
    sampled = [p for group in policy.sampled for sample in group for p in sample.logprobs]
    assert (old - torch.tensor(sampled)).abs().max() <= 1e-5


def test_mini_batches_equal_trls(
    settings: Config, script: Script, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TRL spreads a generation batch over mini-batches at random; here in order, as ours are.
    monkeypatch.setattr("trl.trainer.grpo_trainer.shuffle_sequence_dict", lambda batch: batch)
    settings.trainer.policy_mini_batch_size, settings.trainer.update_epochs_per_batch = 2, 2
    _, ours = train_ours(settings, script, adapter)
    _, theirs = train_trl(settings, script, adapter, loss_type="bnpo")
    assert_same(ours, theirs, updates=4)
    assert all(update.clipped > 0 for update in ours[1:])


def test_adapter_equals_trls_after_several_steps_with_clipped_gradients(
    settings: Config, script: Script, adapter: Path
) -> None:
    settings.trainer.epochs, settings.trainer.micro_train_batch_size_per_gpu = 3, 8  # two groups in a pass
    optimizer = settings.trainer.policy.optimizer_config
    optimizer.max_grad_norm, optimizer.weight_decay, optimizer.adam_betas = 0.1, 0.1, [0.8, 0.95]
    _, ours = train_ours(settings, script, adapter)
    _, theirs = train_trl(settings, script, adapter, micro_batch=4)
    assert_same(ours, theirs, updates=3)
    assert all(update.grad_norm > 0.2 for update in ours)
    norm = torch.stack([gradient.norm() for gradient in ours[-1].gradients.values()]).norm()
    assert norm.item() == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
@pytest.mark.parametrize(
    ("loss_type", "micro_batch", "same"),
    [("dapo", 2, True), ("bnpo", None, True), ("bnpo", 2, False), ("grpo", None, False), ("dr_grpo", None, False)],
)
def test_the_mean_over_all_tokens_is_the_loss_that_trl_calls_dapo(
    settings: Config, script: Script, adapter: Path, loss_type: str, micro_batch: int | None, same: bool
) -> None:
    _, (ours,) = train_ours(settings, script, adapter)
    _, (theirs,) = train_trl(settings, script, adapter, micro_batch, loss_type=loss_type)
    assert (apart(ours.gradients, theirs.gradients) <= TOLERANCE) is same


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
def test_trls_correction_of_the_kl_is_what_ours_leaves_out(settings: Config, script: Script, adapter: Path) -> None:
    settings.trainer.algorithm.use_kl_loss = True
    _, (ours,) = train_ours(settings, script, adapter)
    _, (corrected,) = train_trl(settings, script, adapter, use_bias_correction_kl=True)
    assert ours.loss == pytest.approx(corrected.loss, rel=TOLERANCE)  # the ratio is 1, but it has a gradient
    assert apart(ours.gradients, corrected.gradients) > 0.01
