"""Advantages, loss, and which roles a step gets: the pure functions. The loop: tests/train."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import pytest
import torch

from recruiter.config import Config
from recruiter.objective import group_advantages, token_losses
from recruiter.roles.schedule import sampling_seed, step_roles, steps_per_epoch, total_steps
from tests.conftest import MakeRole, known

# ---- advantages ------------------------------------------------------------------------------------------------------


def test_advantages_by_hand() -> None:
    # mean 0.5, sample standard deviation sqrt((0.09 + 0.01 + 0.01 + 0.09) / 3)
    std = math.sqrt(0.2 / 3)
    expected = [x / (std + 1e-4) for x in (-0.3, -0.1, 0.1, 0.3)]
    assert group_advantages([0.2, 0.4, 0.6, 0.8]) == pytest.approx(expected)


def test_advantages_without_std_are_distances_from_the_mean() -> None:
    assert group_advantages([0.2, 0.4, 0.9], norm_by_std=False) == pytest.approx([-0.3, -0.1, 0.4])


def test_unscored_samples_are_left_out_of_mean_and_spread() -> None:
    with_gap, without = group_advantages([0.2, None, 0.8, None]), group_advantages([0.2, 0.8])
    assert with_gap == [without[0], None, without[1], None]
    assert group_advantages([0.0, None, 1.0], norm_by_std=False) == [-0.5, None, 0.5]


@pytest.mark.parametrize("rewards", [[], [0.5], [None, None], [None, 0.7, None]])
def test_fewer_than_two_scored_samples_give_no_advantage(rewards: list[Any]) -> None:
    assert group_advantages(rewards) == [None] * len(rewards)


def test_group_without_spread_has_zero_advantages() -> None:
    assert group_advantages([0.5, 0.5, 0.5]) == [0.0, 0.0, 0.0]


# ---- loss ------------------------------------------------------------------------------------------------------------


def losses(ratio: float, advantage: float, **settings: Any) -> tuple[Any, ...]:
    logprobs = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    out = token_losses(logprobs, torch.zeros(1), torch.tensor([advantage]), 0.2, 0.3, **settings)
    out.loss_T.sum().backward()
    return out.loss_T.item(), out.clipped_T.item(), known(logprobs.grad).item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped", "gradient"),
    [
        (1.0, 2.0, -2.0, 0, -2.0),
        (1.1, 2.0, -2.2, 0, -2.2),
        (1.5, 2.0, -2.6, 1, 0.0),  # good and already likelier than 1 + 0.3: clipped
        (0.5, 2.0, -1.0, 0, -1.0),  # good and less likely: pulled back in full
        (0.5, -2.0, 1.6, 1, 0.0),  # bad and already below 1 - 0.2: clipped
        (1.5, -2.0, 3.0, 0, 3.0),  # bad and likelier: pushed down in full
    ],
)
def test_clipped_surrogate_by_hand(ratio: float, advantage: Any, loss: Any, clipped: int, gradient: Any) -> None:
    got = losses(ratio, advantage)
    assert got == pytest.approx((loss, clipped, gradient), abs=1e-6)


def test_kl_is_the_k3_estimate_and_is_added_with_its_coefficient() -> None:
    logprobs = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-1.5, -2.0], dtype=torch.float64)
    out = token_losses(logprobs, logprobs.detach(), torch.tensor([1.0, 1.0]), 0.2, 0.2, reference, kl_coef=0.1)
    k3 = math.exp(-0.5) + 0.5 - 1
    assert out.kl_T.tolist() == pytest.approx([k3, 0.0])
    assert out.loss_T.tolist() == pytest.approx([-1.0 + 0.1 * k3, -1.0])
    assert not out.kl_T.requires_grad
    out.loss_T.sum().backward()
    # d(k3)/d(log p) = 1 - exp(log p_ref - log p)
    assert known(logprobs.grad).tolist() == pytest.approx([-1.0 + 0.1 * (1 - math.exp(-0.5)), -1.0])


def test_without_reference_there_is_no_kl() -> None:
    out = token_losses(torch.tensor([-1.0]), torch.tensor([-1.0]), torch.tensor([1.0]), 0.2, 0.2, kl_coef=5.0)
    assert (out.kl_T.item(), out.loss_T.item()) == (0.0, -1.0)


# ---- which roles when ------------------------------------------------------------------------------------------------


def test_steps_count_the_last_partial_batch_of_each_epoch(config: Config) -> None:
    config.trainer.train_batch_size, config.trainer.epochs = 4, 3
    assert (steps_per_epoch(config, 10), total_steps(config, 10)) == (3, 9)
    assert (steps_per_epoch(config, 8), total_steps(config, 8)) == (2, 6)
    assert total_steps(config, 3) == 3
    config.trainer.max_training_steps = 5
    assert total_steps(config, 10) == 5
    config.trainer.max_training_steps = 50
    assert total_steps(config, 10) == 9


def test_every_epoch_visits_each_role_once_in_another_order(config: Config, role: MakeRole) -> None:
    config.trainer.train_batch_size = 4
    roles = [role(i) for i in range(10)]
    steps = [step_roles(config, roles, step) for step in range(1, 7)]
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = [*chain(*steps[:3])], [*chain(*steps[3:])]
    assert sorted(r.id for r in first) == sorted(r.id for r in second) == [r.id for r in roles]
    assert first != second


def test_roles_of_a_step_depend_on_seed_and_step_only(config: Config, role: MakeRole) -> None:
    config.trainer.train_batch_size = 4
    roles = [role(i) for i in range(10)]
    assert step_roles(config, roles, 5) == step_roles(config, roles, 5)
    before = step_roles(config, roles, 5)
    config.trainer.seed += 1
    assert step_roles(config, roles, 5) != before


def test_no_two_steps_share_a_sampling_seed() -> None:
    seeds = [sampling_seed(seed, step) for seed in (1, 2, 42) for step in range(500)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("difference", [89.0, 1e4])
@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_exponents_that_overflow_leave_loss_and_gradient_numbers(difference: float, advantage: float) -> None:
    for old, reference in ((-difference, 0.0), (0.0, difference)):
        logprobs_T = torch.zeros(1, requires_grad=True)
        advantages_T = torch.tensor([advantage])
        losses = token_losses(
            logprobs_T, torch.tensor([old]), advantages_T, 0.2, 0.2, torch.tensor([reference]), kl_coef=0.05
        )
        losses.loss_T.sum().backward()
        assert losses.loss_T.isfinite().all()
        assert losses.kl_T.isfinite().all()
        assert logprobs_T.grad is not None
        assert logprobs_T.grad.isfinite().all()


@pytest.mark.parametrize("difference", [-100.0, -1.0, 0.0, 1.0, 20.0, 88.7])
def test_bounding_the_exponent_changes_no_finite_result(difference: float) -> None:
    reference_T = torch.tensor([difference])
    losses = token_losses(torch.zeros(1), torch.zeros(1), torch.ones(1), 0.2, 0.2, reference_T, kl_coef=1.0)
    assert torch.equal(losses.kl_T, reference_T.exp() - reference_T - 1)
