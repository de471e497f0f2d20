"""Attention over a group: G answers share one prompt, and the prompt's keys and values exist once.

Transformers models look their attention up in a registry and hand every extra keyword of `model(...)` down to it. We
register one function there; the caller passes a *layout* that knows which token may see which:

- `packing.PackedGroups`         training: prompts and answers in one row, each answer sees its prompt and itself
- `packing.PackedPrompts`        rollouts: the same without answers; keys and values of the prompts are kept
- `Decode`                       rollouts: one new token for every active answer
- `graph_rollouts.GraphDecoder`  rollouts on a GPU: the same with buffers that stay where they are

Shapes: B rows, H query heads, K key/value heads, R = H / K, T tokens, D head size, N groups, G answers, P prompt tokens.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

NAME = "group_shared"


class Layout(Protocol):
    """Which token may see which, and how that is computed."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Query (B, H, T, D), key and value (B, K, T, D) -> (B, H, T, D)."""
        ...


@torch.compiler.disable  # type: ignore[untyped-decorator]  # layouts keep state for each layer; what surrounds them is compiled
def _group_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _attention_mask: Tensor | None,
    scaling: float | None = None,
    layout: Layout | None = None,
    softcap: float | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """The registered function: query (B, H, T, D), key and value (B, K, T, D) -> (B, T, H, D)."""
    if layout is None or softcap is not None or kwargs.get("position_bias") is not None or "s_aux" in kwargs:
        raise NotImplementedError("this attention needs a layout and knows no soft cap, position bias or sinks")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    output = layout.attend(module.layer_idx, query, key, value, scale)  # type: ignore[arg-type]
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _group_attention)


def use_group_attention(model: PreTrainedModel) -> None:
    """Switch `model` to the group-shared attention. From then on every call needs `layout=`."""
    model.set_attn_implementation(NAME)


def gather_columns(states_1HTD: Tensor, columns_BS: Tensor) -> Tensor:
    """(1, H, T, D) and columns (B, S) -> (B, H, S, D)."""
    gathered: Tensor = states_1HTD[0].index_select(1, columns_BS.flatten()).unflatten(1, columns_BS.shape)
    return gathered.transpose(0, 1)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on `device`, without waiting for what a GPU is still busy with."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def repeat_heads(states: Tensor, heads: int) -> Tensor:
    """(B, K, T, D) -> (B, H, T, D) for grouped-query attention."""
    return states if states.shape[1] == heads else states.repeat_interleave(heads // states.shape[1], dim=1)


class PromptCache:
    """Keys and values of N prompts, each stored once whatever the group size."""

    def __init__(self, lengths: list[int], device: torch.device) -> None:
        self.lengths = lengths
        self.capacity = max(lengths)
        self.device = device
        self.keys: dict[int, Tensor] = {}  # layer -> (N, K, P, D)
        self.values: dict[int, Tensor] = {}
        columns = torch.arange(max(lengths), device=device)
        padding = columns[None, :] >= torch.tensor(lengths, device=device)[:, None]
        self.bias_N11P = torch.zeros(len(lengths), 1, 1, max(lengths), device=device).masked_fill(
            padding[:, None, None, :], float("-inf")
        )

    def store(self, layer: int, rows: slice, columns_BP: Tensor, key: Tensor, value: Tensor) -> None:
        """Keep for `rows` what key and value (1, K, T, D) hold in these columns."""
        if layer not in self.keys:
            shape = (len(self.lengths), key.shape[1], self.capacity, key.shape[3])
            self.keys[layer] = key.new_zeros(shape)
            self.values[layer] = value.new_zeros(shape)
        length = columns_BP.shape[1]
        self.keys[layer][rows, :, :length] = gather_columns(key, columns_BP)
        self.values[layer][rows, :, :length] = gather_columns(value, columns_BP)


class Decode:
    """One new token for each active answer: it sees its group's prompt and its own earlier tokens.

    Answers that have finished are dropped by `keep`; the rest of the model then computes only active rows. The prompt
    part runs as one product per group over padded slots, so a prompt's keys are read once for its G answers.
    """

    def __init__(self, prompts: PromptCache, group_size: int, max_new_tokens: int) -> None:
        self.prompts = prompts
        self.group_size = group_size
        self.max_new_tokens = max_new_tokens
        self.step = 0  # tokens stored for each active answer, the one being computed not counted
        self.slots = torch.arange(len(prompts.lengths) * group_size, device=prompts.device)
        self.keys: dict[int, Tensor] = {}  # layer -> (A, K, max_new_tokens, D), A active answers
        self.values: dict[int, Tensor] = {}

    def keep(self, active: Tensor) -> None:
        """Drop all rows but those in `active` (indices into the current rows)."""
        self.slots = self.slots[active]
        for layer in self.keys:
            self.keys[layer] = self.keys[layer][active]
            self.values[layer] = self.values[layer][active]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of one new token a row over its group's prompt and its own earlier tokens."""
        rows, heads, _, size = query.shape
        kv_heads = key.shape[1]
        if layer not in self.keys:
            shape = (rows, kv_heads, self.max_new_tokens, size)
            self.keys[layer], self.values[layer] = key.new_empty(shape), value.new_empty(shape)
        self.keys[layer][:, :, self.step] = key[:, :, 0]
        self.values[layer][:, :, self.step] = value[:, :, 0]
        own_key, own_value = self.keys[layer][:, :, : self.step + 1], self.values[layer][:, :, : self.step + 1]

        query_AKRD = query.view(rows, kv_heads, heads // kv_heads, size) * scale
        own_AKRt = query_AKRD @ own_key.transpose(2, 3)
        prompt_NKgP = self._to_groups(query_AKRD) @ self.prompts.keys[layer].transpose(2, 3)
        prompt_AKRP = self._to_rows(prompt_NKgP + self.prompts.bias_N11P, heads // kv_heads)
        weights = torch.cat([prompt_AKRP, own_AKRt], dim=-1).float().softmax(dim=-1).to(query.dtype)
        prompt_length = prompt_AKRP.shape[-1]
        prompt_weights_NKgP = self._to_groups(weights[..., :prompt_length])
        from_prompt = self._to_rows(prompt_weights_NKgP @ self.prompts.values[layer], heads // kv_heads)
        output = from_prompt + weights[..., prompt_length:] @ own_value
        return output.reshape(rows, heads, 1, size)

    def _to_groups(self, rows_AKRX: Tensor) -> Tensor:
        """(A, K, R, X) -> (N, K, G * R, X), zeros where an answer has finished."""
        _, kv_heads, repeat, width = rows_AKRX.shape
        groups = len(self.prompts.lengths)
        padded = rows_AKRX
        if len(self.slots) < groups * self.group_size:
            padded = rows_AKRX.new_zeros(groups * self.group_size, kv_heads, repeat, width)
            padded[self.slots] = rows_AKRX
        padded = padded.view(groups, self.group_size, kv_heads, repeat, width).transpose(1, 2)
        return padded.reshape(groups, kv_heads, self.group_size * repeat, width)

    def _to_rows(self, groups_NKgX: Tensor, repeat: int) -> Tensor:
        """(N, K, G * R, X) -> (A, K, R, X): the inverse of `_to_groups` for the active answers."""
        groups, kv_heads, _, width = groups_NKgX.shape
        rows = groups_NKgX.view(groups, kv_heads, self.group_size, repeat, width).transpose(1, 2)
        rows = rows.reshape(groups * self.group_size, kv_heads, repeat, width)
        return rows if len(self.slots) == rows.shape[0] else rows[self.slots]
