"""A causal language model on this machine: how its prompts are shared, sampling from it, its log-probabilities."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.nn.functional import embedding
from transformers import GenerationConfig, PreTrainedModel

from recruiter.config import SamplingParams
from recruiter.engines import Sample, torch_seed
from recruiter.engines.attention import upload, use_group_attention
from recruiter.engines.compiling import compile_layers, has_compiler
from recruiter.engines.folder import readable
from recruiter.engines.head import token_logprobs
from recruiter.engines.linear import refresh_rollout_layers, use_rollout_layers
from recruiter.engines.loading import (
    check_model,
    device_memory,
    load_model,
    pick_device,
    pick_dtype,
    read_adapter_settings,
    stop_token_ids,
)
from recruiter.engines.lora import JoinedLora, join_adapters, quiet_peft
from recruiter.engines.packing import PackedGroups, common_prefix
from recruiter.engines.plain import generate_plain, plain_logprobs
from recruiter.engines.rollouts import Completion, generate_groups
from recruiter.engines.sizes import ROLLOUT_ROWS, TOKENS_PER_PASS, pass_tokens, rollout_rows
from recruiter.errors import ModelError
from recruiter.prompts import Message

REMEMBERED_PROMPTS = 4096
COMPILED_PARAMETERS = 1e9
KEPT_STATES = {"checkpointed": 4, "compiled": 24, "eager": 36}  # tensors of hidden size kept for backward, a layer
KEPT_BYTES = 4e9  # of a CPU's memory, for forward passes that were computed ahead
FEW_TOKENS = 4096  # a pass of fewer costs more than it computes: layers are computed again instead of kept
PLAIN_STRIDE = 1_000_003  # between the seeds of two steps, for models that draw their own random numbers
MIN_WINDOW = 4096  # a narrower sliding window could cut into a prompt and its answer
AGREEMENT = {torch.float32: 1e-4, torch.bfloat16: 0.1}  # mean difference of log-probabilities that is rounding


class LocalModel:
    """A frozen causal LM, with or without a LoRA adapter, that writes answers.

    Attributes:
        causal_lm: the transformers model, adapter layers included once there are any.
        stop_ids: tokens that end an answer when it is sampled.
        end_id: the one of them that a text gets when it is read as an answer.
    """

    def __init__(
        self,
        path: str,
        device: str = "auto",
        dtype: str = "auto",
        adapter: Path | None = None,
        quantization: str | None = None,
    ) -> None:
        """Load a folder or Hub id, and the adapter in folder `adapter` if given.

        Args:
            quantization: int8: linear layers in 8 bits.

        Raises:
            ModelError: it is missing, no causal LM, or too large for this machine.
        """
        check_model(path, device, spelled="{}")
        self.device = torch.device(pick_device(device))
        self.dtype = pick_dtype(dtype, self.device.type)
        self.tokenizer, self.causal_lm = load_model(path, self.dtype, self.device, quantization)
        self.stop_ids = stop_token_ids(self.causal_lm, self.tokenizer)
        if not self.stop_ids:
            raise ModelError(
                f"{path} has no token that ends an answer: name one as eos_token_id in its generation_config.json, or use "
                f"an instruct model."
            )
        self.end_id = self.stop_ids[0]
        self.causal_lm.generation_config = (
            GenerationConfig()
        )  # what stands beside the model must not change what is drawn
        self._encoded: dict[tuple[tuple[str, str], ...], list[int]] = {}
        self.shares_prompts = enable_group_attention(self.causal_lm)
        self._shared = self._share_weights()
        self._generate = generate_groups
        if has_compiler() and self.device.type == "cuda":
            from recruiter.engines.graph_rollouts import GraphRollouts

            self._generate = GraphRollouts().generate
        self._adapted: PeftModel | None = None
        if adapter is not None:
            read_adapter_settings(adapter)
            with quiet_peft(), readable(str(adapter)):
                self._adapted = PeftModel.from_pretrained(self.causal_lm, str(adapter))  # adds its layers in place
            join_adapters(self.causal_lm)

    def without_adapter(self) -> AbstractContextManager[None]:
        """Within it the model computes what it did before its adapter was added."""
        return self._adapted.disable_adapter() if self._adapted else nullcontext()

    @property
    def compiles(self) -> bool:
        """Whether its layers are compiled: a minute at the start, which a small model's run does not earn back."""
        large = self.causal_lm.num_parameters() > COMPILED_PARAMETERS
        return self.device.type == "cuda" and self.shares_prompts and large and has_compiler()

    def _share_weights(self) -> PreTrainedModel:
        """A second set of modules over the same tensors, whose linear layers can be laid out for rollouts."""
        if not self.shares_prompts:
            return self.causal_lm
        tensors = {id(tensor): tensor for tensor in (*self.causal_lm.parameters(), *self.causal_lm.buffers())}
        return copy.deepcopy(self.causal_lm, tensors)

    @cached_property
    def rollout_model(self) -> PreTrainedModel:
        """The modules that decode. Made when first used, by when the adapter is there; they see its later updates."""
        adapted = [module for module in self.causal_lm.modules() if isinstance(module, LoraLayer)]
        if self._shared is self.causal_lm or not all(isinstance(module, JoinedLora) for module in adapted):
            return self.causal_lm
        use_rollout_layers(self._shared, self.causal_lm)
        if self.compiles:
            compile_layers(self._shared.get_decoder())
        return self._shared

    def encode(self, messages: list[Message]) -> list[int]:
        """Token ids of a chat prompt, ready for the answer. Remembered: a step needs them thrice, an epoch again."""
        key = tuple((message["role"], message["content"]) for message in messages)
        if key not in self._encoded:
            if len(self._encoded) >= REMEMBERED_PROMPTS:
                self._encoded.clear()
            self._encoded[key] = self.tokenizer.apply_chat_template(  # type: ignore[assignment]
                [dict(message) for message in messages],  # type: ignore[arg-type]
                add_generation_prompt=True,
                return_dict=False,
            )
        return self._encoded[key]

    def sample(
        self,
        prompts: Sequence[list[Message]],
        group_size: int,
        sampling: SamplingParams,
        seed: int,
        only: Sequence[int] | None = None,
    ) -> Iterator[list[Sample]]:
        """Yield `group_size` samples for each prompt, in order. The same seed gives the same samples.

        Args:
            only: indices of the prompts that are wanted, ascending; None: all.
        """
        for _, groups in self.portions(prompts, group_size, sampling, seed, only=only):
            yield from groups

    def portions(
        self,
        prompts: Sequence[list[Message]],
        group_size: int,
        sampling: SamplingParams,
        seed: int,
        done: Set[int] = frozenset(),
        progress: Callable[[float], None] = lambda _: None,
        only: Sequence[int] | None = None,
    ) -> Iterator[tuple[list[int], list[list[Sample]]]]:
        """As `sample`, by the prompts that are decoded together: their indices, and a group for each.

        Args:
            done: indices of prompts; portions that hold nothing else are left out, the others are as ever.
            progress: is told the share of all tokens that may have been decoded; what it raises ends the decoding.
            only: indices of the prompts that are wanted, ascending; None: all.
        """
        generator = torch.Generator().manual_seed(torch_seed(seed))
        uniforms = torch.rand(len(prompts), group_size, sampling.max_generate_length, generator=generator)
        wanted = list(range(len(prompts)) if only is None else only)
        uniforms = uniforms[wanted]
        set_mode(self.rollout_model, training=False)
        refresh_rollout_layers(self.rollout_model)
        encoded = [self.encode(prompts[index]) for index in wanted]
        for part in self._portions(encoded, group_size, sampling.max_generate_length):
            if done >= set(wanted[part]):
                continue
            advanced = partial(_advance, progress, part, len(wanted))
            if self.shares_prompts:
                groups = self._generate(
                    self.rollout_model, encoded[part], group_size, sampling, self.stop_ids, uniforms[part], advanced
                )
            else:
                seeds = [seed * PLAIN_STRIDE + index for index in wanted[part]]
                groups = generate_plain(
                    self.rollout_model, encoded[part], group_size, sampling, self.stop_ids, seeds, advanced
                )
            advanced(1.0)
            yield wanted[part], [[self._sample(completion) for completion in group] for group in groups]

    @cached_property
    def needs_checkpointing(self) -> bool:
        """Whether what layers keep for the backward pass leaves room for too few tokens."""
        return self.device.type == "cuda" and self.tokens_per_pass(gradient_checkpointing=False) < FEW_TOKENS

    @property
    def weight_bytes(self) -> int:
        """Memory of all weights, adapters included; those that share memory count once."""
        storages = [each.untyped_storage() for each in (*self.causal_lm.parameters(), *self.causal_lm.buffers())]
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

    def tokens_per_pass(self, gradient_checkpointing: bool) -> int:
        """Tokens of one training pass: enough for fast matrix products, few enough for the memory of this device."""
        if self.device.type == "cpu":
            return TOKENS_PER_PASS["cpu"]
        kept = self._kept_bytes(gradient_checkpointing)
        return pass_tokens(device_memory(self.device), self.weight_bytes, kept)

    def can_keep(self, tokens: int, gradient_checkpointing: bool) -> bool:
        """Whether so many tokens of forward passes may wait for their backward passes beyond the usual one."""
        return self.device.type == "cpu" and tokens * self._kept_bytes(gradient_checkpointing) <= KEPT_BYTES

    def _kept_bytes(self, gradient_checkpointing: bool) -> int:
        """What the layers keep of one token for the backward pass."""
        config = self.causal_lm.config.get_text_config()
        kept = KEPT_STATES["checkpointed" if gradient_checkpointing else "compiled" if self.compiles else "eager"]
        return int(kept * config.num_hidden_layers * config.hidden_size * self.dtype.itemsize)

    def _portions(self, prompts: Sequence[list[int]], group_size: int, length: int) -> Iterator[slice]:
        """The prompts that are decoded together: as many rows as pay, and as their keys and values leave memory for."""
        rows = ROLLOUT_ROWS[self.device.type]
        if self.device.type == "cuda":
            config = self.causal_lm.config.get_text_config()
            heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
            size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
            seen = length + max(map(len, prompts), default=0) / group_size
            bytes_a_row = 2 * config.num_hidden_layers * heads * size * self.dtype.itemsize * seen
            rows = rollout_rows(device_memory(self.device), bytes_a_row, group_size)
        portions = -(-len(prompts) // max(1, rows // group_size))
        ends = [len(prompts) * i // portions for i in range(portions + 1)]
        yield from (slice(start, end) for start, end in pairwise(ends))

    def _sample(self, completion: Completion) -> Sample:
        text = str(self.tokenizer.decode(completion.token_ids, skip_special_tokens=True)).strip()
        return Sample(text, completion.token_ids, completion.logprobs, completion.finished)


def _advance(progress: Callable[[float], None], part: slice, prompts: int, share: float) -> None:
    progress((part.start + share * (part.stop - part.start)) / prompts)


def set_mode(model: PreTrainedModel, training: bool) -> None:
    """As `model.train(training)`, unless it is in that mode: visiting thousands of modules takes 40 ms."""
    if model.training != training:
        model.train(training)


def enable_group_attention(model: PreTrainedModel) -> bool:
    """Switch group-shared prompts on if the model computes the same with them; return whether it does.

    The answer comes from trying: a prompt with two answers, packed, against each answer alone.
    """
    if 0 < (getattr(model.config, "sliding_window", None) or 0) < MIN_WINDOW:
        return False
    original = model.config._attn_implementation
    prompt, answers = [5, 6, 7, 8, 9, 10, 11], [[12, 13, 14], [15, 16, 17, 18]]
    try:
        with torch.no_grad():
            expected = torch.cat([plain_logprobs(model, [prompt], [[answer]], 1.0)[0] for answer in answers])
            use_group_attention(model)
            packed = group_logprobs(model, [prompt], [answers], 1.0)[0]
        if (expected - packed).abs().mean() < AGREEMENT[model.dtype]:
            return True
    except (NotImplementedError, RuntimeError, AttributeError, TypeError, ValueError):
        pass
    model.set_attn_implementation(original)
    return False


def group_logprobs(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]], temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies (T,) of all answer tokens, every prompt computed once.

    Args:
        prompts: token ids, one for each group.
        answers: for each group, the token ids of its answers.
        temperature: divides the logits.
    """
    states_TC = predicting_states(model, prompts, answers)
    targets = [token for group in answers for answer in group for token in answer]
    head = model.get_output_embeddings()
    return token_logprobs(
        states_TC,
        head.weight,
        getattr(head, "bias", None),
        upload(torch.tensor(targets), states_TC.device),
        temperature,
    )


def predicting_states(
    model: PreTrainedModel, prompts: Sequence[list[int]], answers: Sequence[Sequence[list[int]]]
) -> Tensor:
    """Final hidden states (T, C) of the positions that predict the answer tokens."""
    device = next(model.parameters()).device
    lengths = [[len(answer) for answer in group] for group in answers]
    prompt_lengths = [len(prompt) for prompt in prompts]
    layout = PackedGroups(common_prefix(prompts), prompt_lengths, lengths, device, model.dtype)
    hidden = model.get_decoder()(
        input_ids=layout.row(prompts, answers),
        position_ids=layout.position_ids_1T,
        use_cache=False,
        layout=layout,
    ).last_hidden_state
    return embedding(layout.predictors, hidden[0])  # indexing would add its gradients in any order on a CPU
