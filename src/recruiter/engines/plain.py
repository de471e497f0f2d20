"""The same two computations without group-shared prompts, for models whose attention cannot share them.

Some architectures have windows, soft caps, recurrent state or their own position scheme. They run through transformers as
they are: slower, with the same results.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from recruiter.config import SamplingParams
from recruiter.engines.rollouts import Completion


@torch.no_grad()
def generate_plain(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    group_size: int,
    sampling: SamplingParams,
    stop_ids: Sequence[int],
    seed: int,
) -> list[list[Completion]]:
    """Like `rollouts.generate_groups`, by `model.generate`, prompt by prompt."""
    device = next(model.parameters()).device
    drawn = {"do_sample": False}
    if sampling.temperature > 0:
        top_k = max(sampling.top_k, 0)
        drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": top_k}
    groups = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for prompt in prompts:
            ids = torch.tensor([prompt] * group_size, device=device)
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=sampling.max_generate_length,
                eos_token_id=list(stop_ids),
                pad_token_id=stop_ids[0],
                output_logits=True,
                return_dict_in_generate=True,
                **drawn,
            )
            tokens_GT = output.sequences[:, len(prompt) :]
            logits_GTV = torch.stack(output.logits, dim=1).float() / (sampling.temperature or 1.0)
            logprobs_GT = logits_GTV.log_softmax(dim=-1).gather(2, tokens_GT[:, :, None]).squeeze(2)
            groups.append([_completion(t, p, stop_ids) for t, p in zip(tokens_GT, logprobs_GT, strict=True)])
    return groups


def plain_logprobs(
    model: PreTrainedModel, prompt: list[int], answers: Sequence[list[int]], temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies (T,) of all answer tokens, one padded row for each answer."""
    device = next(model.parameters()).device
    longest = max(len(answer) for answer in answers)
    ids = torch.zeros(len(answers), len(prompt) + longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, answer in enumerate(answers):
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        mask[row, : len(prompt) + len(answer)] = 1
    ids, mask = ids.to(device), mask.to(device)
    logits_GTV = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, len(prompt) - 1 : -1]
    all_logprobs = (logits_GTV.float() / temperature).log_softmax(dim=-1)
    logprobs_GT = all_logprobs.gather(2, ids[:, len(prompt) :, None]).squeeze(2)
    entropies_GT = -(all_logprobs.detach().exp() * all_logprobs.detach()).sum(dim=-1)
    present = mask[:, len(prompt) :].bool()
    return logprobs_GT[present], entropies_GT[present]


def _completion(tokens_T: Tensor, logprobs_T: Tensor, stop_ids: Sequence[int]) -> Completion:
    tokens, logprobs = tokens_T.tolist(), logprobs_T.tolist()
    ends = [place for place, token in enumerate(tokens) if token in stop_ids]
    length = ends[0] + 1 if ends else len(tokens)
    return Completion(tokens[:length], logprobs[:length], bool(ends))
