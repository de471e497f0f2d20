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
from recruiter.engines.attention import Decode, PromptCache
from recruiter.engines.drawing import draw
from recruiter.engines.packing import PackedPrompts, common_prefix

PREFILL_TOKENS = {"cpu": 1024, "cuda": 16384}
SHRINK_BELOW = 0.9  # drop finished answers once fewer than this share of the rows is active


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
    logits = head(prefill(model, prompts, cache)).repeat_interleave(group_size, dim=0)
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


def prefill(model: PreTrainedModel, prompts: Sequence[list[int]], cache: PromptCache) -> Tensor:
    """Compute all prompts, what they begin with only once a call; return their last hidden states (N, C)."""
    shared, decoder = common_prefix(prompts), model.get_decoder()
    batch = max(1, (PREFILL_TOKENS[cache.device.type] - shared) // (max(map(len, prompts)) - shared))
    last = []
    for first in range(0, len(prompts), batch):
        rows = slice(first, min(first + batch, len(prompts)))
        layout = PackedPrompts(cache, rows, prompts[rows], model.dtype)
        output = decoder(input_ids=layout.ids_1T, position_ids=layout.position_ids_1T, use_cache=False, layout=layout)
        last.append(output.last_hidden_state[0, layout.ends_B])
    return torch.cat(last)


def completions(
    tokens_AT: Tensor, logprobs_AT: Tensor, lengths_A: Tensor, finished_A: Tensor, group_size: int
) -> list[list[Completion]]:
    """What was decoded, as groups of `group_size` completions."""
    tokens, logprobs = tokens_AT.tolist(), logprobs_AT.tolist()
    lengths, finished = lengths_A.tolist(), finished_A.tolist()
    flat = [Completion(tokens[i][:n], logprobs[i][:n], finished[i]) for i, n in enumerate(lengths)]
    return [flat[start : start + group_size] for start in range(0, len(flat), group_size)]
