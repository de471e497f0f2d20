"""Rollouts on a GPU: a whole decoding step as one CUDA graph.

Decoding a few hundred rows is bound by reading the weights; launching some two thousand kernels a token from Python takes
ten times as long. So everything a step does (the network, sampling, bookkeeping) works on buffers that stay where
they are, is recorded once, and replayed. Adapters are read in place: an update is seen by the next replay, nothing is
merged or copied into another engine.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import astuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from recruiter.config import SamplingParams
from recruiter.engines.attention import PromptCache
from recruiter.engines.decode_kernel import decode_attention
from recruiter.engines.drawing import draw
from recruiter.engines.packing import common_prefix
from recruiter.engines.rollouts import Completion, completions, prefill

PROMPT_ROUNDING = 64  # prompt buffers grow by this many tokens, so that graphs are seldom recorded again
KEPT = 2  # decoders kept with their buffers: training's and validation's
CHECK_EVERY = 8  # tokens between two looks at whether all answers have ended


class GraphRollouts:
    """Generates with recorded steps, which it keeps from call to call."""

    def __init__(self) -> None:
        self._decoders: dict[Hashable, GraphDecoder] = {}

    def generate(
        self,
        model: PreTrainedModel,
        prompts: Sequence[list[int]],
        group_size: int,
        sampling: SamplingParams,
        stop_ids: Sequence[int],
        uniforms: Tensor,
        advanced: Callable[[float], None] = lambda _: None,
    ) -> list[list[Completion]]:
        """As `rollouts.generate_groups`."""
        key = (len(prompts), group_size, *astuple(sampling))
        longest = max(map(len, prompts))
        decoder = self._decoders.pop(key, None)
        if decoder is None or decoder.prompt_capacity < longest:
            decoder = None  # free its memory before the next one takes as much
            while len(self._decoders) >= KEPT:
                self._decoders.pop(next(iter(self._decoders)))
            capacity = -(-longest // PROMPT_ROUNDING) * PROMPT_ROUNDING
            decoder = GraphDecoder(model, len(prompts), group_size, capacity, sampling, stop_ids)
        self._decoders[key] = decoder
        return decoder.generate(prompts, uniforms, advanced)


class GraphDecoder:
    """Buffers and the recorded step for N prompts with G answers each. Also the attention layout of that step.

    Args:
        model: a causal LM with group-shared attention switched on.
        groups, group_size: N and G.
        prompt_capacity: tokens of the longest prompt that fits.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        groups: int,
        group_size: int,
        prompt_capacity: int,
        sampling: SamplingParams,
        stop_ids: Sequence[int],
    ) -> None:
        self.model, self.sampling, self.group_size = model, sampling, group_size
        self.device = device = next(model.parameters()).device
        self.rows, self.groups, self.prompt_capacity = groups * group_size, groups, prompt_capacity
        self.cache = PromptCache([prompt_capacity] * groups, device)
        self.keys: dict[int, Tensor] = {}  # layer -> (A, K, max_generate_length, D)
        self.values: dict[int, Tensor] = {}
        length = sampling.max_generate_length
        self.stop = torch.tensor(list(stop_ids), device=device)
        self.lengths_N = torch.ones(groups, dtype=torch.int32, device=device)
        self.starts_A = torch.zeros(self.rows, dtype=torch.long, device=device)
        self.uniforms_AT = torch.zeros(self.rows, length, device=device)
        self.tokens_AT = torch.zeros(self.rows, length, dtype=torch.long, device=device)
        self.logprobs_AT = torch.zeros(self.rows, length, device=device)
        self.answer_lengths_A = torch.zeros(self.rows, dtype=torch.long, device=device)
        self.finished_A = torch.zeros(self.rows, dtype=torch.bool, device=device)
        self.common_1 = torch.zeros(1, dtype=torch.int32, device=device)
        self.step_1 = torch.zeros(1, dtype=torch.long, device=device)
        vocabulary = model.config.get_text_config().vocab_size
        self.logits_AV = torch.zeros(self.rows, vocabulary, dtype=model.dtype, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[list[int]], uniforms: Tensor, advanced: Callable[[float], None]
    ) -> list[list[Completion]]:
        """As `rollouts.generate_groups`, for N prompts."""
        self._start(prompts, uniforms)
        if self.graph is None:
            self.graph = self._record()
            self._start(prompts, uniforms)
        for step in range(self.sampling.max_generate_length):
            self.graph.replay()
            if step % CHECK_EVERY == CHECK_EVERY - 1:
                if bool(self.finished_A.all()):
                    break
                advanced((step + 1) / self.sampling.max_generate_length)
        return completions(self.tokens_AT, self.logprobs_AT, self.answer_lengths_A, self.finished_A, self.group_size)

    def _start(self, prompts: Sequence[list[int]], uniforms: Tensor) -> None:
        """Compute the prompts and put every buffer in its first state."""
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        self.cache.lengths = lengths.tolist()
        self.lengths_N.copy_(lengths)
        self.common_1.fill_(common_prefix(prompts))
        self.starts_A.copy_(lengths.repeat_interleave(self.group_size))
        self.uniforms_AT.copy_(uniforms.reshape(self.rows, -1))
        self.finished_A.zero_()
        self.answer_lengths_A.fill_(self.sampling.max_generate_length)
        self.step_1.zero_()
        last_NC = prefill(self.model, prompts, self.cache)
        logits = self.model.get_output_embeddings()(last_NC).repeat_interleave(self.group_size, dim=0)
        self.logits_AV.copy_(logits)

    def _record(self) -> torch.cuda.CUDAGraph:
        side = torch.cuda.Stream(self.device)
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(2):
                self._advance()
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._advance()
        return graph

    def _advance(self) -> None:
        """Draw one token a row from the logits at hand, then compute the next ones."""
        at_A1 = self.step_1.expand(self.rows, 1)
        token_A, logprob_A = draw(self.logits_AV, self.uniforms_AT.gather(1, at_A1).squeeze(1), self.sampling)
        self.tokens_AT.scatter_(1, at_A1, token_A[:, None])
        self.logprobs_AT.scatter_(1, at_A1, logprob_A[:, None])
        ends_A = torch.isin(token_A, self.stop) & ~self.finished_A
        self.answer_lengths_A.copy_(torch.where(ends_A, self.step_1 + 1, self.answer_lengths_A))
        self.finished_A.logical_or_(ends_A)
        hidden = self.model.get_decoder()(
            input_ids=token_A[None], position_ids=(self.starts_A + self.step_1)[None], use_cache=False, layout=self
        )
        self.logits_AV.copy_(self.model.get_output_embeddings()(hidden.last_hidden_state[0]))
        self.step_1 += 1

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of one new token for every answer over its group's prompt and its own earlier tokens.

        The tokens of all answers stand in one row, as those of prompts do, so that compiled layers serve both: query
        (1, H, A, D), key and value (1, K, A, D) -> (1, H, A, D).
        """
        if layer not in self.keys:
            shape = (self.rows, key.shape[1], self.sampling.max_generate_length, key.shape[3])
            self.keys[layer], self.values[layer] = key.new_zeros(shape), value.new_zeros(shape)
        self.keys[layer].index_copy_(2, self.step_1, key[0].transpose(0, 1)[:, :, None])
        self.values[layer].index_copy_(2, self.step_1, value[0].transpose(0, 1)[:, :, None])
        output_AHD = decode_attention(
            query[0].transpose(0, 1), self.cache.keys[layer], self.cache.values[layer], self.keys[layer],
            self.values[layer], self.lengths_N, self.common_1, self.step_1, scale,
        )  # fmt: skip
        return output_AHD.transpose(0, 1)[None]
