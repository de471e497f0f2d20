"""One Triton kernel: attention of one new token for every answer of every group, the prompt's keys read once a group.

The queries of several answers of a group, and of all query heads that share a key head, form one small matrix, so the
prompt part is a matrix product on tensor cores. Each answer's own keys follow, masked to its rows. Softmax is accumulated
online (Milakov & Gimelshein 2018; Dao et al. 2022), so nothing but the output is written.

Shapes: N groups, G answers, A = N * G rows, H query heads, K key heads, R = H / K, D head size, P and T the capacities
of the prompt's and the answers' caches.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

MIN_ROWS = 16  # the least that a matrix product on tensor cores takes
BLOCK = 64


@triton.jit  # type: ignore[untyped-decorator]
def _step(q, keys, values, seen, m, total, acc, scale, PRECISION: tl.constexpr):  # type: ignore[no-untyped-def]
    """Fold one block of keys (BLOCK, D) into the running softmax of all rows."""
    scores = tl.dot(q, tl.trans(keys), input_precision=PRECISION) * scale
    scores = tl.where(seen, scores, float("-inf"))
    m_new = tl.maximum(m, tl.max(scores, 1))
    weights = tl.exp(scores - m_new[:, None])
    decay = tl.exp(m - m_new)
    total = total * decay + tl.sum(weights, 1)
    acc = acc * decay[:, None] + tl.dot(weights.to(values.dtype), values, input_precision=PRECISION)
    return m_new, total, acc


@triton.jit  # type: ignore[untyped-decorator]
def _decode_attention(  # type: ignore[no-untyped-def]
    query, prompt_keys, prompt_values, own_keys, own_values, output, lengths, common, step, scale, P, T, G,
    K: tl.constexpr, R: tl.constexpr, D: tl.constexpr, ANSWERS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    chunks = tl.cdiv(G, ANSWERS)
    group = (tl.program_id(0) // chunks).to(tl.int64)
    first = (tl.program_id(0) % chunks) * ANSWERS
    head = tl.program_id(1)
    row, column, depth = tl.arange(0, ROWS), tl.arange(0, BLOCK), tl.arange(0, D)
    answer = first + row // R
    used = (row < ANSWERS * R) & (answer < G)
    at = ((group * G + answer) * (K * R) + head * R + row % R)[:, None] * D + depth[None, :]
    q = tl.load(query + at, mask=used[:, None], other=0.0)
    m = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    acc = tl.zeros((ROWS, D), tl.float32)

    length, shared = tl.load(lengths + group), tl.load(common)
    for start in range(0, length, BLOCK):
        there = start + column < length
        source = tl.where(start + column < shared, 0, group)  # what all begin with is read from one place, and cached
        block = ((source * K + head) * P + start + column)[:, None] * D + depth[None, :]
        keys = tl.load(prompt_keys + block, mask=there[:, None], other=0.0)
        values = tl.load(prompt_values + block, mask=there[:, None], other=0.0)
        m, total, acc = _step(q, keys, values, there[None, :], m, total, acc, scale, PRECISION)

    count = tl.load(step).to(tl.int32) + 1
    for offset in range(ANSWERS):
        own = first + offset
        if own < G:
            base = ((group * G + own) * K + head) * T * D
            for start in range(0, count, BLOCK):
                there = start + column < count
                block = base + (start + column)[:, None] * D + depth[None, :]
                keys = tl.load(own_keys + block, mask=there[:, None], other=0.0)
                values = tl.load(own_values + block, mask=there[:, None], other=0.0)
                seen = there[None, :] & (answer == own)[:, None]
                m, total, acc = _step(q, keys, values, seen, m, total, acc, scale, PRECISION)
    tl.store(output + at, (acc / total[:, None]).to(output.dtype.element_ty), mask=used[:, None])


def decode_attention(
    query_AHD: Tensor,
    prompt_keys_NKPD: Tensor,
    prompt_values_NKPD: Tensor,
    own_keys_AKTD: Tensor,
    own_values_AKTD: Tensor,
    lengths_N: Tensor,
    common_1: Tensor,
    step_1: Tensor,
    scale: float,
) -> Tensor:
    """Attention output (A, H, D) of one new token a row over its group's prompt and its own tokens.

    Args:
        lengths_N: prompt tokens of each group, at least 1.
        common_1: how many of them are the same in all groups.
        step_1: index of the newest own token, on the device, so that one captured graph serves every step.
    """
    groups, kv_heads, prompt_capacity, size = prompt_keys_NKPD.shape
    rows, heads = query_AHD.shape[:2]
    repeat, group_size = heads // kv_heads, rows // groups
    answers = min(group_size, max(1, MIN_ROWS // repeat))
    output = torch.empty_like(query_AHD, memory_format=torch.contiguous_format)
    grid = (groups * triton.cdiv(group_size, answers), kv_heads)
    _decode_attention[grid](
        query_AHD.contiguous(), prompt_keys_NKPD, prompt_values_NKPD, own_keys_AKTD, own_values_AKTD, output, lengths_N,
        common_1, step_1, scale, prompt_capacity, own_keys_AKTD.shape[2], group_size,
        K=kv_heads, R=repeat, D=size, ANSWERS=answers, ROWS=max(MIN_ROWS, triton.next_power_of_2(answers * repeat)),
        BLOCK=BLOCK, PRECISION="ieee" if query_AHD.dtype == torch.float32 else "tf32", num_warps=4,
    )  # fmt: skip
    return output
