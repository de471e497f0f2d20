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

from recruiter.engines.attention import PromptCache, gather_columns, repeat_heads, upload
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
        prompt_ends: the column of each prompt's last token.
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
        self.prompt_ends = [end - 1 for end in list(accumulate(self.rests, initial=common))[1:]]
        self.position_ids_1T, self.predictors = self._positions()
        self._parts = self._flash_parts() if can_use_flash(device, dtype) else None
        self._blocks = [] if self._parts is not None else self._padded_blocks()

    def row(self, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]) -> Tensor:
        """Token ids (1, T) in the order of the layout."""
        tokens = prompts[0][: self.common]
        tokens += [token for prompt in prompts for token in prompt[self.common :]]
        tokens += [token for group in answers for answer in group for token in answer]
        return upload(torch.tensor([tokens]), self.device)

    def attend(self, _layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of the row: query (1, H, T, D), key and value (1, K, T, D) -> (1, H, T, D)."""
        if self._parts is not None:
            query_THD, key_TKD, value_TKD = (states[0].transpose(0, 1) for states in (query, key, value))
            return cascade_attention(query_THD, key_TKD, value_TKD, self._parts, scale).transpose(0, 1)[None]
        return torch.cat([block.attend(query, key, value, scale) for block in self._blocks], dim=2)

    def _positions(self) -> tuple[Tensor, Tensor]:
        positions = [torch.arange(self.common)]
        positions += [torch.arange(self.common, self.common + rest) for rest in self.rests]
        predictors, end = [torch.arange(0)], self.prompt_ends[-1] + 1
        for rest, prompt_end, lengths in zip(self.rests, self.prompt_ends, self.answers, strict=True):
            for length in lengths:
                start = self.common + rest
                positions.append(torch.arange(start, start + length))
                predictors += [torch.tensor([prompt_end]), torch.arange(end, end + length - 1)]
                end += length
        return upload(torch.cat(positions)[None], self.device), upload(torch.cat(predictors), self.device)

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
        return [
            Part.of(queries, query_lengths, keys, key_lengths, causal, self.device)
            for queries, query_lengths, keys, key_lengths, causal in stretches
            if queries.stop > queries.start and keys.stop > keys.start
        ]

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
        return [_Block(runs, self.device) for runs in (*first, prompts, answers) if runs]


class PackedPrompts:
    """The layout of prompts in one row, whose keys and values are kept for decoding.

    Args:
        cache: where they are kept.
        rows: which of the cache's prompts these are.
        prompts: their token ids.

    Attributes:
        ids_1T, position_ids_1T: what the network is called with.
        ends_B: columns of the hidden states that predict each prompt's first answer token.
    """

    def __init__(self, cache: PromptCache, rows: slice, prompts: Sequence[list[int]], dtype: torch.dtype) -> None:
        common, lengths = common_prefix(prompts), [len(prompt) for prompt in prompts]
        self._row = PackedGroups(common, lengths, [[]] * len(prompts), cache.device, dtype)
        self._cache, self._rows = cache, rows
        self.ids_1T, self.position_ids_1T = self._row.row(prompts, []), self._row.position_ids_1T
        self.ends_B = upload(torch.tensor(self._row.prompt_ends), cache.device)
        columns = torch.zeros(len(prompts), max(lengths), dtype=torch.long)
        for row, (end, length) in enumerate(zip(self._row.prompt_ends, lengths, strict=True)):
            columns[row, :common] = torch.arange(common)
            columns[row, common:length] = torch.arange(end + 1 - (length - common), end + 1)
        self._columns_BP = upload(columns, cache.device)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of the row, as `PackedGroups`; keys and values (1, K, T, D) go to the cache."""
        self._cache.store(layer, self._rows, self._columns_BP, key, value)
        return self._row.attend(layer, query, key, value, scale)


def common_prefix(prompts: Sequence[list[int]]) -> int:
    """How many tokens all prompts begin with, at most all but the last token of the shortest; 0 for one prompt."""
    if len(prompts) < 2:
        return 0
    shortest, longest = min(prompts), max(prompts)  # in dictionary order: what these two share, all share
    same = next((i for i, (a, b) in enumerate(zip(shortest, longest, strict=False)) if a != b), len(shortest))
    return min(same, min(map(len, prompts)) - 1)


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
        self._queries, self._keys = upload(queries, device), upload(keys, device)
        self._mask = upload(visible[:, None], device)
        self._used = upload(used, device)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Outputs (1, H, tokens, D) of the block's own tokens, in the order of the row."""
        heads = query.shape[1]
        output = scaled_dot_product_attention(
            gather_columns(query, self._queries),
            repeat_heads(gather_columns(key, self._keys), heads),
            repeat_heads(gather_columns(value, self._keys), heads),
            attn_mask=self._mask,
            scale=scale,
        )
        return output.transpose(1, 2)[self._used].transpose(0, 1)[None]
