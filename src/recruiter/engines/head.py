"""Log-probabilities of given tokens without keeping logits.

The gradient of one token's log-probability with respect to its hidden state h needs nothing but that token's own
softmax: d log p(y) / dh = (W[y] - sum_v p(v) W[v]) / temperature. So the forward pass computes it chunk by chunk, keeps
a tensor the size of the hidden states, and the backward pass is one multiplication. Logits never exist for more than
`CHUNK_ELEMENTS` entries at once. The output head is frozen (LoRA leaves it out).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recruiter.engines.compiling import compiled

CHUNK_ELEMENTS = 64 * 1024 * 1024


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        rows = max(1, CHUNK_ELEMENTS // weight.shape[0])
        logprobs = torch.empty(targets.shape[0], dtype=torch.float32, device=hidden.device)
        entropies = torch.empty_like(logprobs)
        needs_grad = ctx.needs_input_grad[0]
        direction = torch.empty_like(hidden) if needs_grad else None
        for start in range(0, targets.shape[0], rows):
            chunk = slice(start, start + rows)
            logits = torch.nn.functional.linear(hidden[chunk], weight, bias)
            logprobs[chunk], entropies[chunk], probs = _statistics(logits, targets[chunk], temperature)
            if direction is not None:
                direction[chunk] = (weight[targets[chunk]] - probs @ weight) / temperature
        if direction is not None:
            ctx.save_for_backward(direction)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (direction,) = ctx.saved_tensors
        return grads[0][:, None].to(direction.dtype) * direction, None, None, None, None


@compiled
def _statistics(logits_MV: Tensor, targets_M: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability of each target (M,), entropy (M,), and all probabilities (M, V) in the type of the logits."""
    logprobs_MV = (logits_MV.float() / temperature).log_softmax(dim=-1)
    probs_MV = logprobs_MV.exp()
    entropies_M = -(probs_MV * logprobs_MV).sum(dim=-1)
    return logprobs_MV.gather(1, targets_M[:, None]).squeeze(1), entropies_M, probs_MV.to(logits_MV.dtype)


def token_logprobs(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target token and the entropy of its distribution.

    Args:
        hidden: final hidden states (M, C), differentiable.
        weight, bias: the output head, (V, C) and (V,) or None, frozen.
        targets: token ids (M,).
        temperature: divides the logits, as in sampling.

    Returns:
        log-probabilities (M,), differentiable in `hidden`, and entropies (M,) in nats, not differentiable; both float32.
    """
    return _TokenLogprobs.apply(hidden, weight, bias, targets, temperature)  # type: ignore[no-any-return,no-untyped-call]
