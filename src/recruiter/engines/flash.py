"""Attention as a sum of parts: each stretch of queries sees several stretches of keys, without a copy or a mask.

A part is one call of FlashAttention's variable-length kernel (Dao 2023). Partial outputs are merged by their
log-sum-exp, as in ring attention (Liu et al. 2023). In the backward pass each part is given the merged output and the
merged log-sum-exp: the probabilities that the kernel recomputes from them are the true ones, so the parts' gradients add up.

Shapes: T tokens, H query heads, K key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from recruiter.engines.attention import upload
from recruiter.engines.compiling import compiled


@dataclass(frozen=True)
class Part:
    """Sequences of queries, one after the other in `queries`, and the sequences of `keys` that they see.

    Attributes:
        query_ends, key_ends: (sequences + 1,) int32, where each begins and ends within its stretch.
        causal: each query sees the keys up to its own place, counted from the ends.
    """

    queries: slice
    keys: slice
    query_ends: Tensor
    key_ends: Tensor
    longest_query: int
    longest_key: int
    causal: bool

    @classmethod
    def of(
        cls,
        queries: slice,
        query_lengths: Sequence[int],
        keys: slice,
        key_lengths: Sequence[int],
        causal: bool,
        device: torch.device,
    ) -> Part:
        """A part from the lengths of its sequences."""

        def ends(lengths: Sequence[int]) -> Tensor:
            return upload(torch.tensor(list(accumulate(lengths, initial=0)), dtype=torch.int32), device)

        return cls(queries, keys, ends(query_lengths), ends(key_lengths), max(query_lengths), max(key_lengths), causal)


def can_use_flash(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel exists for this device and type."""
    if (
        device.type != "cuda"
        or dtype not in (torch.bfloat16, torch.float16)
        or not torch.backends.cuda.is_flash_attention_available()
    ):
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def cascade_attention(
    query_THD: Tensor, key_TKD: Tensor, value_TKD: Tensor, parts: Sequence[Part], scale: float
) -> Tensor:
    """Attention over the union of the parts' keys: (T, H, D). The first part covers every query."""
    return _Cascade.apply(query_THD, key_TKD, value_TKD, parts, scale)  # type: ignore[no-any-return, no-untyped-call]


class _Cascade(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, parts: Sequence[Part], scale: float) -> Tensor:
        output, lse = _forward(query, key, value, parts[0], scale)
        for part in parts[1:]:
            part_output, part_lse = _forward(query, key, value, part, scale)
            _merge(output[part.queries], lse[:, part.queries], part_output, part_lse)
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.parts, ctx.scale = parts, scale
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, lse = ctx.saved_tensors
        first, *others = ctx.parts
        grad = grads[0].contiguous()
        totals = _backward(grad, query, key, value, output, lse, first, ctx.scale)
        for part in others:
            in_query, in_key, in_value = _backward(grad, query, key, value, output, lse, part, ctx.scale)
            totals[0][part.queries] += in_query
            totals[1][part.keys] += in_key
            totals[2][part.keys] += in_value
        return *totals, None, None


def _forward(query: Tensor, key: Tensor, value: Tensor, part: Part, scale: float) -> tuple[Tensor, Tensor]:
    """Output (T, H, D) and log-sum-exp (H, T) of one part."""
    output, lse, *_ = torch.ops.aten._flash_attention_forward(
        query[part.queries], key[part.keys], value[part.keys], part.query_ends, part.key_ends, part.longest_query,
        part.longest_key, 0.0, part.causal, False, scale=scale,
    )  # fmt: skip
    return output, lse


def _backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, lse: Tensor, part: Part, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of one part in its queries, keys and values."""
    state = torch.zeros(2, dtype=torch.uint64, device=query.device)  # of the random numbers for dropout, which is off
    result: tuple[Tensor, Tensor, Tensor] = torch.ops.aten._flash_attention_backward(
        grad[part.queries], query[part.queries], key[part.keys], value[part.keys], output[part.queries],
        lse[:, part.queries].contiguous(), part.query_ends, part.key_ends, part.longest_query, part.longest_key, 0.0,
        part.causal, state, state, scale=scale,
    )  # fmt: skip
    return result


@compiled
def _merge(output_THD: Tensor, lse_HT: Tensor, part_output_THD: Tensor, part_lse_HT: Tensor) -> None:
    """Fold a part into output and log-sum-exp, in place."""
    total_HT = torch.logaddexp(lse_HT, part_lse_HT)
    old, new = (lse_HT - total_HT).exp().t()[..., None], (part_lse_HT - total_HT).exp().t()[..., None]
    output_THD.copy_(output_THD * old + part_output_THD * new)
    lse_HT.copy_(total_HT)
