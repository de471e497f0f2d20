"""Rollouts: sample G answers for each of N prompts, computing every prompt once.

All answers of a call advance together, one token a step; those that finish leave the batch. The random numbers are drawn
up front per (prompt, answer, position), so what a prompt gets does not depend on how many prompts share the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from recruiter.config import SamplingParams
from recruiter.engines.attention import Decode, Prefill, PromptCache

PREFILL_TOKENS = {"cpu": 512, "cuda": 16384}
SHRINK_BELOW = 0.9  # drop finished answers once fewer than this share of the rows is active
SAMPLING_BLOCK = 256


@dataclass(frozen=True)
class Completion:
    """One sampled answer: its tokens (the end token included when there is one) and their log-probabilities at the
    sampling temperature, before top-p and top-k."""

    token_ids: list[int]
    logprobs: list[float]
    finished: bool


@torch.inference_mode()
def generate_groups(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    group_size: int,
    sampling: SamplingParams,
    stop_ids: Sequence[int],
    uniforms: Tensor,
    advanced: Callable[[float], None] = lambda _: None,
) -> list[list[Completion]]:
    """Sample `group_size` answers for every prompt.

    Args:
        model: a causal LM with group-shared attention switched on.
        prompts: token ids of N prompts.
        stop_ids: tokens that end an answer.
        uniforms: random numbers in [0, 1), (N, G, max_generate_length), on the CPU.
        advanced: is told the share of `max_generate_length` that is decoded; what it raises ends the decoding.

    Returns:
        N lists of G completions.
    """
    device = next(model.parameters()).device
    cache = PromptCache([len(prompt) for prompt in prompts], device)
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    rows = len(prompts) * group_size
    uniforms_AT = uniforms.reshape(rows, -1).to(device)
    stop = torch.tensor(list(stop_ids), device=device)
    tokens_AT = torch.zeros(rows, sampling.max_generate_length, dtype=torch.long, device=device)
    logprobs_AT = torch.zeros(rows, sampling.max_generate_length, device=device)
    lengths_A = torch.full((rows,), sampling.max_generate_length, device=device)
    finished_A = torch.zeros(rows, dtype=torch.bool, device=device)

    layout = Decode(cache, group_size, sampling.max_generate_length)
    starts_A = torch.tensor(cache.lengths, device=device).repeat_interleave(group_size)
    logits = head(prefill(decoder, prompts, cache)).repeat_interleave(group_size, dim=0)
    for step in range(sampling.max_generate_length):
        slots = layout.slots
        token, logprob = draw(logits, uniforms_AT[slots, step], sampling)
        tokens_AT[slots, step], logprobs_AT[slots, step] = token, logprob
        ends = torch.isin(token, stop) & ~finished_A[slots]
        lengths_A[slots[ends]] = step + 1
        finished_A[slots[ends]] = True
        active = (~finished_A[slots]).nonzero().squeeze(1)
        if len(active) == 0 or step + 1 == sampling.max_generate_length:
            break
        if len(active) < SHRINK_BELOW * len(slots):
            layout.keep(active)
            token = token[active]
        positions = starts_A[layout.slots] + step
        hidden = decoder(input_ids=token[:, None], position_ids=positions[:, None], use_cache=False, layout=layout)
        logits = head(hidden.last_hidden_state[:, 0])
        layout.step += 1
        advanced(layout.step / sampling.max_generate_length)
    return completions(tokens_AT, logprobs_AT, lengths_A, finished_A, group_size)


def prefill(decoder: torch.nn.Module, prompts: Sequence[list[int]], cache: PromptCache) -> Tensor:
    """Compute all prompts, what they all begin with only once; return their last hidden states (N, C)."""
    shared = common_prefix(prompts)
    if shared:
        _prefill_rows(decoder, [prompts[0][:shared]], cache, slice(0, len(prompts)), 0)
    batch = max(1, PREFILL_TOKENS[cache.device.type] // (max(map(len, prompts)) - shared))
    last = []
    for first in range(0, len(prompts), batch):
        rows = slice(first, min(first + batch, len(prompts)))
        rest = [prompt[shared:] for prompt in prompts[rows]]
        hidden = _prefill_rows(decoder, rest, cache, rows, shared)
        ends = torch.tensor([len(prompt) - 1 for prompt in rest], device=cache.device)
        last.append(hidden[torch.arange(len(rest), device=cache.device), ends])
    return torch.cat(last)


def _prefill_rows(
    decoder: torch.nn.Module, parts: Sequence[list[int]], cache: PromptCache, rows: slice, start: int
) -> Tensor:
    """Hidden states (B, T, C) of right-padded parts of prompts that begin at position `start`."""
    ids = torch.zeros(len(parts), max(map(len, parts)), dtype=torch.long)
    for row, part in enumerate(parts):
        ids[row, : len(part)] = torch.tensor(part)
    positions = torch.arange(start, start + ids.shape[1], device=cache.device).expand(len(parts), -1)
    layout = Prefill(cache, rows, start)
    output = decoder(input_ids=ids.to(cache.device), position_ids=positions, use_cache=False, layout=layout)
    hidden: Tensor = output.last_hidden_state
    return hidden


def common_prefix(prompts: Sequence[list[int]]) -> int:
    """How many tokens all prompts begin with, at most all but the last token of the shortest; 0 for one prompt."""
    if len(prompts) < 2:
        return 0
    shortest, longest = min(prompts), max(prompts)  # in dictionary order: what these two share, all share
    same = next((i for i, (a, b) in enumerate(zip(shortest, longest, strict=False)) if a != b), len(shortest))
    return min(same, min(map(len, prompts)) - 1)


def draw(logits_AV: Tensor, uniforms_A: Tensor, sampling: SamplingParams) -> tuple[Tensor, Tensor]:
    """Draw one token a row by inverting the cumulative distribution; return tokens (A,) and log-probabilities (A,)."""
    if sampling.temperature == 0:
        logprobs_AV = logits_AV.float().log_softmax(dim=-1)
        best = logprobs_AV.max(dim=-1)
        return best.indices, best.values
    logits_AV = logits_AV.float() / sampling.temperature
    normaliser_A1 = logits_AV.logsumexp(dim=-1, keepdim=True)
    kept_AV = _truncate(logits_AV, sampling)
    probs_AV = (kept_AV - normaliser_A1).exp_()
    token = _invert_cumulative(probs_AV, uniforms_A)
    return token, (logits_AV.gather(1, token[:, None]) - normaliser_A1).squeeze(1)


def _truncate(logits_AV: Tensor, sampling: SamplingParams) -> Tensor:
    """Set to -inf what top-k and then top-p leave out."""
    if sampling.top_k > 0:
        threshold = logits_AV.topk(min(sampling.top_k, logits_AV.shape[-1]), dim=-1).values[:, -1:]
        logits_AV = logits_AV.masked_fill(logits_AV < threshold, float("-inf"))
    if sampling.top_p < 1:
        ordered, order = logits_AV.sort(dim=-1, descending=True)
        before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
        dropped = torch.zeros_like(before, dtype=torch.bool).scatter(1, order, before >= sampling.top_p)
        logits_AV = logits_AV.masked_fill(dropped, float("-inf"))
    return logits_AV


def _invert_cumulative(weights_AV: Tensor, uniforms_A: Tensor) -> Tensor:
    """Index drawn in proportion to non-negative weights (A, V): first a block, then an entry within it.

    Two levels keep float32 sums short enough to be exact in practice and are several times cheaper than drawing a
    random number for every entry of the vocabulary.
    """
    rows, vocabulary = weights_AV.shape
    padding = -vocabulary % SAMPLING_BLOCK
    blocks = torch.nn.functional.pad(weights_AV, (0, padding)).view(rows, -1, SAMPLING_BLOCK)
    cumulative = blocks.sum(dim=-1).cumsum(dim=-1)
    target = uniforms_A[:, None] * cumulative[:, -1:]
    block = torch.searchsorted(cumulative, target, right=True).clamp_(max=cumulative.shape[1] - 1)
    below = torch.where(block > 0, cumulative.gather(1, (block - 1).clamp(min=0)), 0.0)
    within = blocks[torch.arange(rows, device=weights_AV.device), block.squeeze(1)]
    inner = within.cumsum(dim=-1)
    # Rounding may carry the target past the block's own sum: stay on the last entry that has weight.
    rest = torch.minimum(target - below, inner[:, -1:] * (1 - 1e-6))
    index = torch.searchsorted(inner, rest, right=True).clamp_(max=SAMPLING_BLOCK - 1)
    return (block * SAMPLING_BLOCK + index).squeeze(1)


def completions(
    tokens_AT: Tensor, logprobs_AT: Tensor, lengths_A: Tensor, finished_A: Tensor, group_size: int
) -> list[list[Completion]]:
    """What was decoded, as groups of `group_size` completions."""
    tokens, logprobs = tokens_AT.tolist(), logprobs_AT.tolist()
    lengths, finished = lengths_A.tolist(), finished_A.tolist()
    flat = [Completion(tokens[i][:n], logprobs[i][:n], finished[i]) for i, n in enumerate(lengths)]
    return [flat[start : start + group_size] for start in range(0, len(flat), group_size)]
