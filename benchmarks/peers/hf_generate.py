"""Rollouts by transformers' `generate` with `num_return_sequences`: the peer of our own rollouts.

Prompts of a batch are padded on the left; every answer has exactly `max_tokens` tokens, because no token ends one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from recruiter.prompts import Message


def measure_generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[Message]],
    group_size: int,
    max_tokens: int,
    batch: int,
    rounds: int = 3,
    cache: str | None = None,
) -> dict[str, Any]:
    """Time sampling `group_size` answers for every prompt at temperature 1, `rounds` times after one that warms up.

    Args:
        model: as it shall decode; merge an adapter beforehand to give `generate` its best.
        batch: prompts in a call of `generate`; each becomes `group_size` rows.
        cache: transformers' name of a cache implementation such as `static`; None is its growing default.

    Returns:
        `seconds`, the median of a round; all of them under `samples`; `tokens_sampling`, tokens computed in a round,
        padding included; `settings`.
    """
    chats: list[Any] = [list(prompt) for prompt in prompts]
    rendered: list[Any] = [tokenizer.apply_chat_template(c, add_generation_prompt=True, tokenize=False) for c in chats]
    batches = [
        tokenizer(
            rendered[i : i + batch], return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        ).to(model.device)
        for i in range(0, len(rendered), batch)
    ]
    samples: list[float] = []
    for _ in range(rounds + 1):
        start = _now(model)
        for inputs in batches:
            answers = _generate(model, inputs, group_size, max_tokens, cache)
            if answers.shape != (len(inputs["input_ids"]) * group_size, inputs["input_ids"].shape[1] + max_tokens):
                raise RuntimeError("generate's answers differ in length: something still stops at the end token.")
        samples.append(_now(model) - start)
    return {
        "seconds": statistics.median(samples[1:]),
        "samples": {"seconds": samples[1:]},
        "tokens_sampling": sum((i["input_ids"].numel() + len(i["input_ids"]) * max_tokens) for i in batches) * group_size,
        "settings": {"batch": batch, "cache": cache or "dynamic", "dtype": str(model.dtype).removeprefix("torch.")},
    }  # fmt: skip


@torch.inference_mode()
def _generate(model: PreTrainedModel, inputs: Any, group_size: int, max_tokens: int, cache: str | None) -> torch.Tensor:
    embeddings = cast(torch.nn.Embedding, model.get_input_embeddings()).num_embeddings
    answers: torch.Tensor = cast(Any, model).generate(
        **inputs,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=group_size,
        max_new_tokens=max_tokens,
        eos_token_id=embeddings,  # no token has this number
        pad_token_id=0,
        cache_implementation=cache,
    )
    return answers


def _now(model: PreTrainedModel) -> float:
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
