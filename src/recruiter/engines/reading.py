"""Reading: how likely given texts are to a model. Nothing is written; the packed passes are those of training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel

from recruiter.engines.model import LocalModel, group_logprobs, predicting_states
from recruiter.engines.plain import plain_choices, plain_logprobs, plain_states
from recruiter.prompts import Message

_MARK = "\u241e"  # where a chat is cut; no template has it


class ModelReader:
    """A local model that reads. See `recruiter.engines.Reader`."""

    def __init__(self, local: LocalModel) -> None:
        self.local = local
        self.parameters = _own_parameters(local.causal_lm)
        self.fingerprint = _fingerprint(local.causal_lm)

    @torch.no_grad()
    def answer_logprobs(
        self, prompts: Sequence[list[Message]], answers: Sequence[Sequence[str]]
    ) -> list[list[list[float]]]:
        """Log-probability of every token of every answer and of the token that ends it, group by group.

        Args:
            prompts: one for each group.
            answers: for each group, the G texts to read as answers to its prompt.
        """
        encoded = [self.local.encode(messages) for messages in prompts]
        tokens = [[[*self._encode_text(text), self.local.end_id] for text in group] for group in answers]
        compute = group_logprobs if self.local.shares_prompts else plain_logprobs
        found: list[list[list[float]]] = []
        for part in self._passes(encoded, tokens):
            flat = iter(compute(self.local.causal_lm, encoded[part], tokens[part], 1.0)[0].tolist())
            found += [[list(islice(flat, len(answer))) for answer in group] for group in tokens[part]]
        return found

    @torch.no_grad()
    def answer_states(
        self, prompts: Sequence[list[Message]], answers: Sequence[Sequence[str]], depth: float
    ) -> list[NDArray[np.float32]]:
        """Hidden state (G, C) after a share `depth` of the layers, mean over each answer's tokens, group by group.

        Args:
            prompts: one for each group.
            answers: for each group, the G texts to read as answers to its prompt.
            depth: in (0, 1]. Layers beyond it are not computed, where the model keeps them in a list called `layers`.
        """
        encoded = [self.local.encode(messages) for messages in prompts]
        tokens = [[[*self._encode_text(text), self.local.end_id] for text in group] for group in answers]
        compute = predicting_states if self.local.shares_prompts else plain_states
        found: list[NDArray[np.float32]] = []
        for part in self._passes(encoded, tokens):
            with _first_layers(self.local.causal_lm, depth):
                states_TC = compute(self.local.causal_lm, encoded[part], tokens[part]).float().cpu()
            each = iter(states_TC.split([len(answer) for group in tokens[part] for answer in group]))
            for group in tokens[part]:  # a state stands where the next token is predicted: the first is the prompt's
                found.append(torch.stack([states[1:].mean(dim=0) for states in islice(each, len(group))]).numpy())
        return found

    @torch.no_grad()
    def choice_logits(
        self, openings: Sequence[list[Message]], endings: Sequence[Sequence[str]], choices: Sequence[str]
    ) -> list[list[list[float]]]:
        """Logits of the first token of each of `choices` as the answer's first token.

        Args:
            openings: for each group, a chat whose last message goes on with each of the group's endings.
            endings: for each group, how that message ends.
        """
        opened = [self._encode_opening(messages) for messages in openings]
        first, after = [ids for ids, _ in opened], [ids for _, ids in opened]
        picked = [self._encode_text(choice)[0] for choice in choices]
        tokens = [
            [[*self._encode_text(text), *closing, picked[0]] for text in group]
            for group, closing in zip(endings, after, strict=True)
        ]
        compute = group_choices if self.local.shares_prompts else plain_choices
        found: list[list[list[float]]] = []
        for part in self._passes(first, tokens):
            rows = iter(compute(self.local.causal_lm, first[part], tokens[part], picked).tolist())
            found += [list(islice(rows, len(group))) for group in tokens[part]]
        return found

    def _encode_text(self, text: str) -> list[int]:
        return list(self.local.tokenizer(text or " ", add_special_tokens=False)["input_ids"])

    def _encode_opening(self, messages: list[Message]) -> tuple[list[int], list[int]]:
        """A chat without the end of its last message, and what the template puts between that and the answer."""
        marked = [*messages[:-1], Message(role=messages[-1]["role"], content=messages[-1]["content"] + _MARK)]
        text = self.local.tokenizer.apply_chat_template(
            [dict(message) for message in marked],  # type: ignore[arg-type]
            add_generation_prompt=True,
            tokenize=False,
        )
        before, after = str(text).split(_MARK, 1)
        return self._encode_text(before), self._encode_text(after)

    def _passes(self, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]) -> Iterator[slice]:
        """Groups that are read in one pass. The division depends on their sizes alone, so that results repeat."""
        most, start, size = self.local.tokens_per_pass(gradient_checkpointing=False), 0, 0
        for index, (prompt, group) in enumerate(zip(prompts, answers, strict=True)):
            tokens = len(prompt) + sum(map(len, group))
            if index > start and size + tokens > most:
                yield slice(start, index)
                start, size = index, 0
            size += tokens
        if start < len(prompts):
            yield slice(start, len(prompts))


@contextmanager
def _first_layers(model: PreTrainedModel, share: float) -> Iterator[None]:
    """Let the model compute only the first layers."""
    decoder = model.get_decoder()
    layers = getattr(decoder, "layers", None)
    if layers is None:
        yield
        return
    decoder.layers = layers[: max(1, round(len(layers) * share))]
    try:
        yield
    finally:
        decoder.layers = layers


def group_choices(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]], choices: Sequence[int]
) -> Tensor:
    """Logits (N, len(choices)) of some tokens in the place of each answer's last one, every prompt computed once."""
    ends = torch.tensor([len(answer) for group in answers for answer in group]).cumsum(0) - 1
    states_TC = predicting_states(model, prompts, answers)
    states_NC = states_TC[ends.to(states_TC.device)]
    head, tokens = model.get_output_embeddings(), torch.tensor(list(choices), device=states_TC.device)
    bias = getattr(head, "bias", None)
    return linear(states_NC, head.weight[tokens], None if bias is None else bias[tokens]).float()


def _own_parameters(model: PreTrainedModel) -> int:
    """How many the model has without an adapter."""
    added = ("lora_", ".modules_to_save.")
    return sum(
        parameter.numel() for name, parameter in model.named_parameters() if not any(part in name for part in added)
    )


def _fingerprint(model: PreTrainedModel) -> str:
    """A hash of some weights and of the type they are computed in, the same with an adapter and without."""
    weights = cast(Tensor, model.get_input_embeddings().weight)
    some = weights[:: max(1, len(weights) // 16), :64].detach().float().cpu().numpy().tobytes()
    rounded = " int8" if any(parameter.dtype == torch.int8 for parameter in model.parameters()) else ""
    about = f"{model.dtype} {_own_parameters(model)}{rounded}"
    return hashlib.sha256(about.encode() + some).hexdigest()[:16]
