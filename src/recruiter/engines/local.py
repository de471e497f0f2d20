"""The local engine: one process, CPU or one GPU, torch + transformers + PEFT.

Rollouts and training share one network. The adapter stays in float32 beside frozen weights, in rollouts too: it is never
merged, so there is nothing to synchronise after an update and no rounding that could swallow a small one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from recruiter.config import REPOSITORY, Config, SamplingParams
from recruiter.engines import Sample, TokenSums, TrainGroup, UpdateResult
from recruiter.engines.attention import PackedRows, use_group_attention
from recruiter.engines.head import token_logprobs
from recruiter.engines.linear import pack_for_rollouts
from recruiter.engines.rollouts import generate_groups
from recruiter.errors import ConfigError, ModelError
from recruiter.grpo import token_losses
from recruiter.prompts import Message

ROLLOUT_ROWS = {"cpu": 64, "cuda": 512}  # answers decoded together
LARGE_MODEL_BYTES = 3e9  # weights on disk above which a machine without a GPU is refused unless asked for


class LocalPolicy:
    """A causal language model with a LoRA adapter that can be sampled and trained. See `recruiter.engines.Policy`."""

    def __init__(self, config: Config, adapter: Path | None = None) -> None:
        """Load the model named in `config`, with a fresh adapter or the one in the folder `adapter`.

        Raises:
            ModelError: there is no such model, it is no causal LM, or its attention cannot be group-shared.
        """
        trainer = config.trainer
        check_model(trainer.policy.model.path, trainer.device)
        torch.manual_seed(trainer.seed)
        self.config = config
        self.device = torch.device(pick_device(trainer.device))
        self.dtype = pick_dtype(trainer.policy.model.dtype, self.device)
        self.tokenizer, base = load_model(trainer.policy.model.path, self.dtype, self.device)
        self.stop_ids = stop_token_ids(base, self.tokenizer)
        use_group_attention(base)
        shared = {id(tensor): tensor for tensor in (*base.parameters(), *base.buffers())}
        rollout_model = copy.deepcopy(base, shared) if self.device.type == "cpu" else base
        lora = trainer.policy.lora
        settings = PeftLoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.target_modules,
            task_type="CAUSAL_LM",
        )
        self.model: PeftModel = get_peft_model(base, settings)  # type: ignore[assignment]
        if self.device.type == "cpu":
            adapters = {name: module for name, module in base.named_modules() if isinstance(module, LoraLayer)}
            pack_for_rollouts(rollout_model, adapters)
        self.model.peft_config["default"].base_model_name_or_path = trainer.policy.model.path
        self._rollout_model = rollout_model.eval()
        self._causal_lm = base
        if trainer.gradient_checkpointing:
            base.gradient_checkpointing_enable()
            base.enable_input_require_grads()
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizer = trainer.policy.optimizer_config
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=optimizer.lr,
            betas=(optimizer.adam_betas[0], optimizer.adam_betas[1]),
            weight_decay=optimizer.weight_decay,
        )
        self.updates = 0
        if adapter is not None:
            self.load_adapter(adapter)

    # ---- sampling -------------------------------------------------------------------------------------------------

    def encode(self, messages: list[Message]) -> list[int]:
        """Token ids of a chat prompt, ready for the answer.

        Raises:
            ModelError: the prompt is longer than `trainer.max_prompt_length`.
        """
        ids: list[int] = self.tokenizer.apply_chat_template(  # type: ignore[assignment]
            messages, add_generation_prompt=True, return_dict=False
        )
        limit = self.config.trainer.max_prompt_length
        if len(ids) > limit:
            raise ModelError(
                f"A prompt has {len(ids)} tokens, more than trainer.max_prompt_length={limit}: shorten the role "
                f"description that starts with {messages[-1]['content'][:60]!r}, or raise the limit."
            )
        return ids

    def sample(
        self, prompts: Sequence[list[Message]], group_size: int, sampling: SamplingParams, seed: int
    ) -> Iterator[list[Sample]]:
        """Yield `group_size` samples for each prompt, in order. The same seed gives the same samples."""
        generator = torch.Generator().manual_seed(seed)
        uniforms = torch.rand(len(prompts), group_size, sampling.max_generate_length, generator=generator)
        step = max(1, ROLLOUT_ROWS[self.device.type] // group_size)
        self.model.eval()
        for start in range(0, len(prompts), step):
            part = slice(start, start + step)
            encoded = [self.encode(messages) for messages in prompts[part]]
            groups = generate_groups(
                self._rollout_model, encoded, group_size, sampling, self.stop_ids, uniforms[part]
            )
            for group in groups:
                yield [
                    Sample(self._text(c.token_ids), c.token_ids, c.logprobs, c.finished) for c in group
                ]

    def _text(self, token_ids: list[int]) -> str:
        return str(self.tokenizer.decode(token_ids, skip_special_tokens=True)).strip()

    # ---- training -------------------------------------------------------------------------------------------------

    def logprobs(self, group: TrainGroup) -> list[list[float]]:
        """Token log-probabilities of the group's samples under the current policy."""
        with torch.no_grad():
            flat = self._token_logprobs(group)[0].tolist()
        ends = torch.tensor([len(sample.token_ids) for sample in group.samples]).cumsum(0).tolist()
        return [flat[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def forward_backward(self, group: TrainGroup) -> TokenSums:
        """Add the gradient of the group's summed token loss to the accumulated gradient."""
        algorithm = self.config.trainer.algorithm
        reference = None
        if algorithm.use_kl_loss:
            with torch.no_grad(), self.model.disable_adapter():
                reference = self._token_logprobs(group)[0]
        self.model.train()
        logprobs_T, entropies_T = self._token_logprobs(group)
        old = group.old_logprobs
        old_T = logprobs_T.detach() if old is None else self._flat(old)
        advantages_T = self._flat([[a] * len(s.token_ids) for a, s in zip(group.advantages, group.samples, strict=True)])
        losses = token_losses(
            logprobs_T, old_T, advantages_T, algorithm.eps_clip_low, algorithm.eps_clip_high, reference,
            algorithm.kl_loss_coef,
        )  # fmt: skip
        losses.loss_T.sum().backward()
        rollout_T = self._flat([sample.logprobs for sample in group.samples])
        mismatch_T = (logprobs_T.detach() - rollout_T).exp()
        return TokenSums(
            tokens=group.tokens,
            loss=losses.loss_T.sum().item(),
            kl=losses.kl_T.sum().item(),
            entropy=entropies_T.sum().item(),
            clipped=losses.clipped_T.sum().item(),
            ratio=mismatch_T.sum().item(),
            max_ratio=mismatch_T.max().item(),
            has_kl=reference is not None,
        )

    def optim_step(self, tokens: int) -> UpdateResult:
        """Divide the accumulated gradient by `tokens`, clip it, update the adapter, and clear the gradient."""
        settings = self.config.trainer.policy.optimizer_config
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad /= max(tokens, 1)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, settings.max_grad_norm).item()
        self.updates += 1
        warmup = min(1.0, self.updates / settings.num_warmup_steps) if settings.num_warmup_steps else 1.0
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = settings.lr * warmup
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return UpdateResult(grad_norm=norm, learning_rate=settings.lr * warmup)

    def _token_logprobs(self, group: TrainGroup) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies (T,) of all answer tokens of the group, answer after answer."""
        prompt = self.encode(group.messages)
        answers = [sample.token_ids for sample in group.samples]
        layout = PackedRows([len(prompt)], [[len(answer) for answer in answers]], self.device)
        ids = torch.tensor([prompt + [token for answer in answers for token in answer]], device=self.device)
        hidden = self._causal_lm.get_decoder()(
            input_ids=ids, position_ids=layout.position_ids_BT, use_cache=False, layout=layout
        ).last_hidden_state
        head = self._causal_lm.get_output_embeddings()
        targets = ids[0, len(prompt) :]
        temperature = self.config.generator.sampling_params.temperature
        return token_logprobs(
            hidden.flatten(0, 1)[layout.predictors], head.weight, getattr(head, "bias", None), targets, temperature
        )

    def _flat(self, rows: list[list[float]]) -> Tensor:
        return torch.tensor([value for row in rows for value in row], device=self.device)

    # ---- checkpoints ----------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write `lora_adapter/` (PEFT format) and `optimizer.pt` into `folder`."""
        self.model.save_pretrained(str(folder / "lora_adapter"))
        self.tokenizer.save_pretrained(str(folder / "lora_adapter"))
        torch.save({"optimizer": self.optimizer.state_dict(), "updates": self.updates}, folder / "optimizer.pt")

    def load(self, folder: Path) -> None:
        """Continue from a folder that `save` wrote.

        Raises:
            ModelError: the folder holds no adapter, or one that does not fit this model.
        """
        self.load_adapter(folder / "lora_adapter")
        state = torch.load(folder / "optimizer.pt", map_location=self.device, weights_only=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]

    def load_adapter(self, folder: Path) -> None:
        """Read adapter weights in place, so that rollouts see them at once.

        Raises:
            ModelError: the folder holds no adapter, or one that does not fit this model.
        """
        weights = folder / "adapter_model.safetensors"
        if not weights.is_file():
            raise ModelError(f"There is no adapter at {folder}: adapter_model.safetensors is missing.")
        state = load_file(str(weights))
        mine = get_peft_model_state_dict(self.model)
        if {name: tensor.shape for name, tensor in mine.items()} != {n: t.shape for n, t in state.items()}:
            raise ModelError(
                f"The adapter at {folder} does not fit {self.config.trainer.policy.model.path} with LoRA rank "
                f"{self.config.trainer.policy.lora.rank}; use the model and rank that it was trained with."
            )
        set_peft_model_state_dict(self.model, state)


# ---- models ---------------------------------------------------------------------------------------------------------


def check_model(path: str, device: str = "auto") -> None:
    """Find out from small files whether `path` can be trained here, before anything heavy is loaded.

    Raises:
        ModelError: a folder without a model, something that is no causal LM, or a model too large for a machine
            without a GPU.
    """
    folder = REPOSITORY / path
    quickstart = "To see the whole path run on any machine, without a GPU or a key: make quickstart"
    if not folder.is_dir() and (path.startswith(("exports/", "checkpoints/", ".", "/")) or path.count("/") != 1):
        raise ModelError(
            f"There is no model folder at trainer.policy.model.path={path}: download one with "
            f"`python scripts/download_model.py`, or name another folder or Hub id. {quickstart}"
        )
    try:
        config = AutoConfig.from_pretrained(str(folder) if folder.is_dir() else path)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(f"trainer.policy.model.path={path} cannot be read as a model: {reason}") from None
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            f"trainer.policy.model.path={path} is a {config.model_type} model, not a causal language model; name one "
            f"such as Qwen/Qwen3-4B-Instruct-2507."
        )
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0
    if device == "auto" and size > LARGE_MODEL_BYTES and not torch.cuda.is_available():
        raise ModelError(
            f"{path} has {size / 1e9:.1f} GB of weights and this machine has no GPU; trainer.device=cpu insists. "
            f"{quickstart}"
        )


def load_model(
    path: str, dtype: torch.dtype, device: torch.device
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Tokenizer and causal LM from a folder or the Hub."""
    folder = REPOSITORY / path
    source = str(folder) if folder.is_dir() else path
    tokenizer = AutoTokenizer.from_pretrained(source)
    if not tokenizer.chat_template:
        raise ModelError(f"{path} has no chat template; use an instruct model.")
    model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype).to(device).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return tokenizer, model


def stop_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends an answer: the tokenizer's and the generation config's."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in (*ids, tokenizer.eos_token_id) if token is not None})


def pick_device(wanted: str) -> str:
    """`auto` is the GPU where there is one.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("trainer.device=cuda, but torch sees no GPU on this machine; write auto or cpu.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def pick_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 on a GPU; on a CPU, whichever of bfloat16 and float32 multiplies faster here."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
        left @ right
        start = time.perf_counter()
        left @ right
        seconds[dtype] = time.perf_counter() - start
    return torch.bfloat16 if seconds[torch.bfloat16] < 0.8 * seconds[torch.float32] else torch.float32
