"""Drawing a token from a large vocabulary by inverting the cumulative distribution, on two levels.

First a block of the vocabulary is drawn by its probability, then an entry within it. Short sums stay exact in float32, and
after one pass over the logits only a block a row is looked at again. One random number a row decides.

Shapes: A rows, V entries of the vocabulary, B blocks of `BLOCK` entries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recruiter.config import SamplingParams
from recruiter.engines.compiling import compiled

BLOCK = 256


def draw(logits_AV: Tensor, uniforms_A: Tensor, sampling: SamplingParams) -> tuple[Tensor, Tensor]:
    """Draw one token a row.

    Args:
        logits_AV: of any floating type, before the temperature.
        uniforms_A: random numbers in [0, 1).

    Returns:
        tokens (A,) and their log-probabilities (A,) at the temperature, before top-p and top-k, float32. At temperature
        0 the likeliest token and its log-probability at temperature 1.
    """
    if sampling.temperature == 0:
        logprobs_AV = logits_AV.float().log_softmax(dim=-1)
        best = logprobs_AV.max(dim=-1)
        return best.indices, best.values
    temperature = sampling.temperature
    normaliser_A1, mass_AB = _mass_of_blocks(logits_AV, temperature)
    kept_AV, kept_normaliser_A1 = logits_AV, normaliser_A1
    if sampling.top_k > 0 or sampling.top_p < 1:
        kept_AV = _truncate(logits_AV.float(), sampling)
        kept_normaliser_A1, mass_AB = _mass_of_blocks(kept_AV, temperature)

    cumulative_AB = mass_AB.cumsum(dim=-1)
    target_A1 = uniforms_A[:, None] * cumulative_AB[:, -1:]
    block_A1 = torch.searchsorted(cumulative_AB, target_A1, right=True).clamp_(max=cumulative_AB.shape[1] - 1)
    below_A1 = torch.where(block_A1 > 0, cumulative_AB.gather(1, (block_A1 - 1).clamp(min=0)), 0.0)
    entries_AE = block_A1 * BLOCK + torch.arange(BLOCK, device=logits_AV.device)
    exists_AE = entries_AE < logits_AV.shape[1]
    within_AE = kept_AV.gather(1, entries_AE.clamp(max=logits_AV.shape[1] - 1)).float() / temperature
    inner_AE = torch.where(exists_AE, (within_AE - kept_normaliser_A1).exp(), 0.0).cumsum(dim=-1)
    # Rounding may carry the target past the block's own sum: stay on the last entry that has weight.
    rest_A1 = torch.minimum(target_A1 - below_A1, inner_AE[:, -1:] * (1 - 1e-6))
    entry_A1 = torch.searchsorted(inner_AE, rest_A1, right=True).clamp_(max=BLOCK - 1)
    token_A1 = block_A1 * BLOCK + entry_A1
    logprob_A1 = logits_AV.gather(1, token_A1).float() / temperature - normaliser_A1
    return token_A1.squeeze(1), logprob_A1.squeeze(1)


@compiled
def _mass_of_blocks(logits_AV: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The log of the normaliser (A, 1), and each block's probability (A, B)."""
    scaled_AV = logits_AV.float() / temperature
    normaliser_A1 = scaled_AV.logsumexp(dim=-1, keepdim=True)
    probs_AV = (scaled_AV - normaliser_A1).exp()
    blocks_ABE = torch.nn.functional.pad(probs_AV, (0, -logits_AV.shape[1] % BLOCK)).unflatten(1, (-1, BLOCK))
    return normaliser_A1, blocks_ABE.sum(dim=-1)


def _truncate(logits_AV: Tensor, sampling: SamplingParams) -> Tensor:
    """Set to -inf what top-k and then top-p leave out."""
    if sampling.top_k > 0:
        threshold = logits_AV.topk(min(sampling.top_k, logits_AV.shape[-1]), dim=-1).values[:, -1:]
        logits_AV = logits_AV.masked_fill(logits_AV < threshold, float("-inf"))
    if sampling.top_p < 1:
        ordered, order = logits_AV.sort(dim=-1, descending=True)
        probs = (ordered / sampling.temperature).softmax(dim=-1)
        dropped = torch.zeros_like(probs, dtype=torch.bool).scatter(
            1, order, probs.cumsum(dim=-1) - probs >= sampling.top_p
        )
        logits_AV = logits_AV.masked_fill(dropped, float("-inf"))
    return logits_AV
