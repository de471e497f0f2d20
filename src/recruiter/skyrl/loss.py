"""The policy loss, as SkyRL's workers call it: the same function as the local engine's."""

from __future__ import annotations

import torch
from skyrl.backends.skyrl_train.utils.ppo_utils import PolicyLossRegistry
from skyrl.train.config import AlgorithmConfig
from torch import Tensor

from recruiter.objective import token_losses
from recruiter.skyrl.settings import LOSS_NAME


def question_loss(
    log_probs: Tensor,
    old_log_probs: Tensor | None,
    advantages: Tensor,
    config: AlgorithmConfig,
    loss_mask: Tensor | None = None,
    rollout_logprobs: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Sum of the clipped surrogate over the unmasked tokens; advantages are divided by the update's tokens already.

    Args:
        log_probs: (B, T) under the policy being trained, differentiable.
        old_log_probs: (B, T) under the policy that sampled; None means that nothing was updated since.
        advantages: (B, T).
        loss_mask: (B, T), 1 where an answer's token counts.
        rollout_logprobs: (B, T) as the sampler computed them, for the logged ratio.
    """
    mask_BT = torch.ones_like(log_probs) if loss_mask is None else loss_mask
    old_BT = log_probs.detach() if old_log_probs is None else old_log_probs
    losses = token_losses(log_probs, old_BT, advantages, config.eps_clip_low, config.eps_clip_high)
    tokens = mask_BT.sum().clamp(min=1)
    metrics = {"clip_ratio": ((losses.clipped_T * mask_BT).sum() / tokens).item()}
    if rollout_logprobs is not None:
        ratio_BT = (log_probs.detach() - rollout_logprobs).exp() * mask_BT
        metrics["rollout_ratio_sum_loss"] = ratio_BT.sum().item()  # `_loss`: SkyRL adds these up, and averages others
        metrics["rollout_ratio_max"] = ratio_BT.max().item()
    return (losses.loss_T * mask_BT).sum(), metrics


def register_loss() -> None:
    """Make this loss known to SkyRL; its workers get it when they start."""
    if LOSS_NAME not in PolicyLossRegistry.list_available():
        PolicyLossRegistry.register(LOSS_NAME, question_loss)
