"""Packing groups into one row for the training pass: nothing is computed twice.

    what all prompts begin with | the rest of each prompt … | every answer of every group …

An answer sees its whole prompt and itself; the rest of a prompt sees the common beginning and itself. Each of the three
sections is one stretch of the row, and so are all answers of a group, so attention needs slices, not copies, where the
kernel takes sequences of different lengths (`flash`), and a few padded blocks where it does not (here).

Shapes: H query heads, K key/value heads, T tokens of the row, D head size, B runs, S tokens of the longest run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from recruiter.engines.attention import repeat_heads
from recruiter.engines.flash import Part, can_use_flash, cascade_attention


class PackedGroups:
    """The layout of a packed row.

    Args:
        common: tokens that all prompts begin with.
        prompt_lengths: tokens of each prompt, the common ones included; more than `common`.
        answer_lengths: for each prompt, the tokens of each of its answers.

    Attributes:
        position_ids_1T: positions; every answer continues from its prompt's end.
        predictors: columns of the hidden states that predict the answer tokens, group after group.
    """

    def __init__(
        self,
        common: int,
        prompt_lengths: Sequence[int],
        answer_lengths: Sequence[Sequence[int]],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.common = common
        self.rests = [length - common for length in prompt_lengths]
        self.answers = [list(lengths) for lengths in answer_lengths]
        self.device = device
        self.position_ids_1T, self.predictors = self._positions()
        self._parts = self._flash_parts() if can_use_flash(device, dtype) else None
        self._blocks = [] if self._parts is not None else self._padded_blocks()

    def row(self, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]) -> Tensor:
        """Token ids (1, T) in the order of the layout."""
        tokens = prompts[0][: self.common]
        tokens += [token for prompt in prompts for token in prompt[self.common :]]
        tokens += [token for group in answers for answer in group for token in answer]
        return torch.tensor([tokens], device=self.device)

    def attend(self, _layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of the row: query (1, H, T, D), key and value (1, K, T, D) -> (1, H, T, D)."""
        if self._parts is not None:
            query_THD, key_TKD, value_TKD = (states[0].transpose(0, 1) for states in (query, key, value))
            return cascade_attention(query_THD, key_TKD, value_TKD, self._parts, scale).transpose(0, 1)[None]
        return torch.cat([block.attend(query, key, value, scale) for block in self._blocks], dim=2)

    def _positions(self) -> tuple[Tensor, Tensor]:
        rest_ends = list(accumulate(self.rests, initial=self.common))[1:]
        positions = [torch.arange(self.common)]
        positions += [torch.arange(self.common, self.common + rest) for rest in self.rests]
        predictors, end = [], rest_ends[-1]
        for rest, rest_end, lengths in zip(self.rests, rest_ends, self.answers, strict=True):
            for length in lengths:
                start = self.common + rest
                positions.append(torch.arange(start, start + length))
                predictors += [torch.tensor([rest_end - 1]), torch.arange(end, end + length - 1)]
                end += length
        return torch.cat(positions)[None].to(self.device), torch.cat(predictors).to(self.device)

    def _flash_parts(self) -> list[Part]:
        """Everything sees itself; what follows the common beginning sees that; a group's answers see its prompt's rest."""
        rest_end = self.common + sum(self.rests)
        end = rest_end + sum(map(sum, self.answers))
        own = [*([self.common] if self.common else []), *self.rests, *(n for group in self.answers for n in group)]
        groups = [sum(group) for group in self.answers]
        stretches: list[tuple[slice, list[int], slice, list[int], bool]] = [
            (slice(0, end), own, slice(0, end), own, True),
            (slice(self.common, end), [end - self.common], slice(0, self.common), [self.common], False),
            (slice(rest_end, end), groups, slice(self.common, rest_end), self.rests, False),
        ]
        return [Part.of(*stretch, self.device) for stretch in stretches if stretch[2].stop > stretch[2].start]

    def _padded_blocks(self) -> list[_Block]:
        beginning = torch.arange(self.common)
        prompts: list[tuple[Tensor, Tensor]] = []  # what is seen before, own columns
        answers: list[tuple[Tensor, Tensor]] = []
        column, answer_column = self.common, self.common + sum(self.rests)
        for rest, lengths in zip(self.rests, self.answers, strict=True):
            own = torch.arange(column, column + rest)
            prompts.append((beginning, own))
            column += rest
            for length in lengths:
                run = torch.arange(answer_column, answer_column + length)
                answers.append((torch.cat([beginning, own]), run))
                answer_column += length
        first = [[(beginning[:0], beginning)]] if self.common else []
        return [_Block(runs, self.device) for runs in (*first, prompts, answers)]


class _Block:
    """A padded batch of runs, each seeing some columns before it and, causally, itself."""

    def __init__(self, runs: list[tuple[Tensor, Tensor]], device: torch.device) -> None:
        before, own = max(len(seen) for seen, _ in runs), max(len(run) for _, run in runs)
        queries = torch.zeros(len(runs), own, dtype=torch.long)
        keys = torch.zeros(len(runs), before + own, dtype=torch.long)
        visible = torch.zeros(len(runs), own, before + own, dtype=torch.bool)
        used = torch.zeros(len(runs), own, dtype=torch.bool)
        visible[:, :, before:] = torch.ones(own, own, dtype=torch.bool).tril()
        for row, (seen, run) in enumerate(runs):
            queries[row, : len(run)], used[row, : len(run)] = run, True
            keys[row, : len(seen)], keys[row, before : before + len(run)] = seen, run
            visible[row, :, : len(seen)] = True
        self._queries, self._keys = queries.to(device), keys.to(device)
        self._mask = visible[:, None].to(device)
        self._used = used.to(device)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Outputs (1, H, tokens, D) of the block's own tokens, in the order of the row."""
        heads = query.shape[1]
        output = scaled_dot_product_attention(
            _gather(query, self._queries),
            repeat_heads(_gather(key, self._keys), heads),
            repeat_heads(_gather(value, self._keys), heads),
            attn_mask=self._mask,
            scale=scale,
        )
        return output.transpose(1, 2)[self._used].transpose(0, 1)[None]


def _gather(states_1HTD: Tensor, columns_BS: Tensor) -> Tensor:
    """(1, H, T, D) and columns (B, S) -> (B, H, S, D)."""
    gathered: Tensor = states_1HTD[0].index_select(1, columns_BS.flatten()).unflatten(1, columns_BS.shape)
    return gathered.transpose(0, 1)
