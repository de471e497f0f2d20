"""What GRPO optimises (Shao et al. 2024, DeepSeekMath): advantages within a group, and the loss of each answer token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

STD_EPSILON = 1e-4
MAX_EXPONENT = 88.72  # the exponential of more is infinite in float32, and its gradient times 0 no number


def group_advantages(rewards_G: Sequence[float | None], norm_by_std: bool = True) -> list[float | None]:
    """Advantage of each sample of one group: its reward minus the group's mean, over the group's spread.

    Unscored samples (None) are left out of mean and spread and get None. The spread is the sample standard deviation
    plus 1e-4, as in TRL; `norm_by_std=False` leaves it out (Dr. GRPO, Liu et al. 2025). Fewer than two scored samples
    give no advantage at all.
    """
    scored = [reward for reward in rewards_G if reward is not None]
    if len(scored) < 2:
        return [None] * len(rewards_G)
    mean = sum(scored) / len(scored)
    std = math.sqrt(sum((reward - mean) ** 2 for reward in scored) / (len(scored) - 1))
    scale = std + STD_EPSILON if norm_by_std else 1.0
    return [None if reward is None else (reward - mean) / scale for reward in rewards_G]


@dataclass
class TokenLosses:
    """Per answer token (T,): the loss, differentiable; the KL estimate; whether the ratio was clipped."""

    loss_T: Tensor
    kl_T: Tensor
    clipped_T: Tensor


def token_losses(
    logprobs_T: Tensor,
    old_logprobs_T: Tensor,
    advantages_T: Tensor,
    eps_low: float,
    eps_high: float,
    reference_logprobs_T: Tensor | None = None,
    kl_coef: float = 0.0,
) -> TokenLosses:
    """PPO's clipped surrogate (Schulman et al. 2017) for every answer token, plus `kl_coef` times the k3 estimate of
    the KL divergence to the reference (Schulman 2020): exp(d) - d - 1 with d = log p_ref - log p.

    Args:
        logprobs_T: under the policy being trained, differentiable.
        old_logprobs_T: under the policy that sampled.
        advantages_T: the advantage of each token's sample.
        reference_logprobs_T: under the reference policy; None switches the KL term off.
    """
    ratio_T = _exp(logprobs_T - old_logprobs_T)
    clipped_ratio_T = ratio_T.clamp(1 - eps_low, 1 + eps_high)
    loss_T = -(ratio_T * advantages_T).minimum(clipped_ratio_T * advantages_T)
    kl_T = logprobs_T.new_zeros(logprobs_T.shape)
    if reference_logprobs_T is not None:
        difference_T = reference_logprobs_T - logprobs_T
        kl_T = _exp(difference_T) - difference_T - 1
        loss_T = loss_T + kl_coef * kl_T
    low, high = (ratio_T < 1 - eps_low) & (advantages_T < 0), (ratio_T > 1 + eps_high) & (advantages_T > 0)
    return TokenLosses(loss_T, kl_T.detach(), (low | high).float())


def _exp(exponents_T: Tensor) -> Tensor:
    return exponents_T.clamp(max=MAX_EXPONENT).exp()
