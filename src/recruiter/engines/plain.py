"""The same two computations without group-shared prompts, for models whose attention cannot share them.

Some architectures have windows, soft caps, recurrent state or their own position scheme. They run through transformers as
they are: slower, with the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from recruiter.config import SamplingParams
from recruiter.engines import torch_seed
from recruiter.engines.rollouts import Completion


@torch.no_grad()
def generate_plain(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    group_size: int,
    sampling: SamplingParams,
    stop_ids: Sequence[int],
    seeds: Sequence[int],
    advanced: Callable[[float], None] = lambda _: None,
) -> list[list[Completion]]:
    """Like `rollouts.generate_groups`, by `model.generate`, prompt by prompt, each with a seed of its own."""
    device = next(model.parameters()).device
    drawn: dict[str, object] = {"do_sample": False}
    if sampling.temperature > 0:
        top_k = max(sampling.top_k, 0)
        drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": top_k}
    groups = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for prompt, seed in zip(prompts, seeds, strict=True):
            torch.manual_seed(torch_seed(seed))
            ids = torch.tensor([prompt] * group_size, device=device)
            output: Any = model.generate(  # type: ignore[operator]
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
            advanced(len(groups) / len(prompts))
    return groups


def plain_logprobs(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]], temperature: float
) -> tuple[Tensor, Tensor]:
    """Like `model.group_logprobs`, one padded row for each answer."""
    logits_TV = _predicting_logits(model, prompts, answers) / temperature
    logprobs_TV = logits_TV.log_softmax(dim=-1)
    targets = torch.tensor(
        [token for group in answers for answer in group for token in answer], device=logits_TV.device
    )
    entropies_T = -(logprobs_TV.detach().exp() * logprobs_TV.detach()).sum(dim=-1)
    return logprobs_TV.gather(1, targets[:, None]).squeeze(1), entropies_T


def plain_choices(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]], choices: Sequence[int]
) -> Tensor:
    """Like `model.group_choices`, one padded row for each answer."""
    ends = torch.tensor([len(answer) for group in answers for answer in group]).cumsum(0) - 1
    logits_TV = _predicting_logits(model, prompts, answers)
    chosen_NK: Tensor = logits_TV[ends.to(logits_TV.device)][:, list(choices)]
    return chosen_NK


def plain_states(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]
) -> Tensor:
    """Like `model.predicting_states`, one padded row for each answer."""
    inputs, picked_T = _padded(model, prompts, answers)
    states_TC: Tensor = model.get_decoder()(**inputs).last_hidden_state.flatten(0, 1)[picked_T]
    return states_TC


def _predicting_logits(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]
) -> Tensor:
    """Logits (T, V), float32, of the positions that predict the answer tokens."""
    inputs, picked_T = _padded(model, prompts, answers)
    logits_TV: Tensor = model(**inputs).logits.flatten(0, 1)[picked_T]
    return logits_TV.float()


def _padded(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]
) -> tuple[dict[str, Any], Tensor]:
    """One padded row for each answer, and where in all rows the T positions are that predict the answer tokens."""
    device = next(model.parameters()).device
    rows = [(prompt, answer) for prompt, group in zip(prompts, answers, strict=True) for answer in group]
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids_RT = torch.zeros(len(rows), longest, dtype=torch.long)
    mask_RT = torch.zeros_like(ids_RT)
    for row, (prompt, answer) in enumerate(rows):
        ids_RT[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        mask_RT[row, : len(prompt) + len(answer)] = 1
    picked = [torch.arange(len(p) - 1, len(p) + len(a) - 1) + row * longest for row, (p, a) in enumerate(rows)]
    inputs = {"input_ids": ids_RT.to(device), "attention_mask": mask_RT.to(device), "use_cache": False}
    return inputs, torch.cat(picked).to(device)


def _completion(tokens_T: Tensor, logprobs_T: Tensor, stop_ids: Sequence[int]) -> Completion:
    tokens, logprobs = tokens_T.tolist(), logprobs_T.tolist()
    ends = [place for place, token in enumerate(tokens) if token in stop_ids]
    length = ends[0] + 1 if ends else len(tokens)
    return Completion(tokens[:length], logprobs[:length], bool(ends))
