"""The policy of one process: CPU or one GPU, torch + transformers + PEFT. `parallel.py` lets several work together.

Rollouts and training share one network. The adapter stays in float32 beside frozen weights, in rollouts too: it is never
merged, so there is nothing to synchronise after an update and no rounding that could swallow a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from recruiter.config import Config, SamplingParams
from recruiter.engines import ADAPTER, OPTIMIZER, WEIGHTS, Sample, TokenSums, TrainGroup, UpdateResult, torch_seed
from recruiter.engines.attention import upload
from recruiter.engines.compiling import compile_layers
from recruiter.engines.loading import limit_memory
from recruiter.engines.lora import add_adapter, join_adapters, refresh_adapters
from recruiter.engines.model import LocalModel, group_logprobs, set_mode
from recruiter.engines.packing import common_prefix
from recruiter.engines.plain import plain_logprobs
from recruiter.engines.reading import ModelReader
from recruiter.errors import ModelError
from recruiter.files import share
from recruiter.objective import token_losses
from recruiter.prompts import Message

Samples = list[tuple[list[Message], list[Sample]]]


class LocalPolicy:
    """A causal language model with a LoRA adapter that can be sampled and trained. See `recruiter.engines.Policy`."""

    def __init__(self, config: Config, dtype: str | None = None) -> None:
        """Load the model named in `config` with a fresh adapter.

        Args:
            dtype: what it computes in, where that was decided before.

        Raises:
            ModelError: there is no such model, it is no causal LM, or it is too large for this machine.
        """
        trainer = config.trainer
        self.config = config
        model = trainer.policy.model
        self.local = LocalModel(model.path, trainer.device, dtype or model.dtype, quantization=model.quantization)
        self.device = self.local.device
        limit_memory(self.device, trainer.gpu_memory_utilization)
        torch.manual_seed(torch_seed(trainer.seed))
        causal_lm = self.local.causal_lm
        self.model = add_adapter(causal_lm, trainer.policy.lora, trainer.policy.model.path)
        self.model.peft_config["default"].base_model_name_or_path = trainer.policy.model.path
        wanted = trainer.gradient_checkpointing
        self.checkpoints_layers = self.local.needs_checkpointing if wanted is None else wanted
        if self.checkpoints_layers:
            causal_lm.activation_checkpointing_enable()
            causal_lm.enable_input_require_grads()
        join_adapters(causal_lm)
        if self.local.compiles:
            causal_lm.enable_input_require_grads()  # the first layer then is like the others, and compiled with them
            compile_layers(causal_lm.get_decoder())
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizer = trainer.policy.optimizer_config
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=optimizer.lr,
            betas=(optimizer.adam_betas[0], optimizer.adam_betas[1]),
            weight_decay=optimizer.weight_decay,
        )
        self.updates = 0
        self._ahead: list[tuple[Samples, tuple[Tensor, Tensor]]] = []  # what `look_ahead` computed, and of what

    def groups_per_pass(self, prompts: Sequence[list[Message]], group_size: int) -> int:
        """How many groups one `forward_backward` takes: as configured, or what is fastest here and fits."""
        trainer, length = self.config.trainer, self.config.generator.sampling_params.max_generate_length
        if trainer.micro_train_batch_size_per_gpu is not None:
            return trainer.micro_train_batch_size_per_gpu // group_size
        encoded = [self.local.encode(messages) for messages in prompts]
        own = max(map(len, encoded)) - common_prefix(encoded)
        return max(1, self.local.tokens_per_pass(self.checkpoints_layers) // (group_size * length + own))

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
            only: indices of the prompts that are wanted, ascending; None: all. They get what they would get among all.
        """
        return self.local.sample(prompts, group_size, sampling, seed, only)

    @torch.no_grad()
    def logprobs(self, groups: Sequence[TrainGroup]) -> list[list[list[float]]]:
        """Token log-probabilities of each group's samples under the current policy."""
        found = []
        for group in groups:
            flat = iter(self._token_logprobs([group])[0].tolist())
            found.append([list(islice(flat, len(sample.token_ids))) for sample in group.samples])
        return found

    @contextmanager
    def base(self) -> Iterator[ModelReader]:
        """See `Policy`."""
        with torch.no_grad(), self.model.disable_adapter():
            yield ModelReader(self.local)

    def look_ahead(self, groups: Sequence[TrainGroup]) -> bool:
        """Compute the forward half of a pass; on a GPU of one at a time, on a CPU as long as memory is plenty."""
        samples = _samples(groups)
        waiting = sum(len(sample.token_ids) for known, _ in self._ahead for _, group in known for sample in group)
        tokens = waiting + sum(group.tokens for group in groups)
        if self.config.trainer.policy.lora.dropout or not self.local.shares_prompts:
            return False  # another order would draw other random numbers; plain passes are slow enough to be sure of
        if self._ahead and not self.local.can_keep(tokens, self.checkpoints_layers):
            return False
        if not any(samples == known for known, _ in self._ahead):
            set_mode(self.local.causal_lm, training=True)
            self._ahead.append((samples, self._token_logprobs(groups)))
        return True

    def _taken_up(self, groups: Sequence[TrainGroup]) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies (T,) of the groups, computed ahead if they were."""
        samples = _samples(groups)
        for index, (known, result) in enumerate(self._ahead):
            if samples == known:
                del self._ahead[index]
                return result
        self._ahead.clear()  # a group has dropped out, and with it the division into passes
        return self._token_logprobs(groups)

    def forward_backward(self, groups: Sequence[TrainGroup]) -> TokenSums:
        """Add the gradient of the groups' summed token loss to the accumulated gradient, in one pass."""
        algorithm = self.config.trainer.algorithm
        reference_T = None
        if algorithm.use_kl_loss:
            with torch.no_grad(), self.model.disable_adapter():
                reference_T = self._token_logprobs(groups)[0]
        set_mode(self.local.causal_lm, training=True)
        logprobs_T, entropies_T = self._taken_up(groups)
        own = logprobs_T.detach().split([group.tokens for group in groups])
        old_T = torch.cat(
            [self._flat(g.old_logprobs) if g.old_logprobs else o for g, o in zip(groups, own, strict=True)]
        )
        advantages_T = self._flat(
            [[a] * len(s.token_ids) for g in groups for a, s in zip(g.advantages, g.samples, strict=True)]
        )
        losses = token_losses(
            logprobs_T,
            old_T,
            advantages_T,
            algorithm.eps_clip_low,
            algorithm.eps_clip_high,
            reference_T,
            algorithm.kl_loss_coef,
        )
        losses.loss_T.sum().backward()
        rollout_T = self._flat([sample.logprobs for group in groups for sample in group.samples])
        mismatch_T = (old_T - rollout_T).exp()
        return TokenSums(
            tokens=sum(group.tokens for group in groups),
            loss=losses.loss_T.detach().sum(),
            kl=losses.kl_T.sum(),
            entropy=entropies_T.sum(),
            clipped=losses.clipped_T.sum(),
            ratio=mismatch_T.sum(),
            reference=0.0 if reference_T is None else reference_T.sum(),
            max_ratios=[mismatch_T.max()],
            has_kl=reference_T is not None,
        )

    def optim_step(self, tokens: int) -> UpdateResult:
        """Divide the accumulated gradient by `tokens`, clip it, update the adapter, and clear the gradient.

        A gradient that is not finite is only cleared.
        """
        settings = self.config.trainer.policy.optimizer_config
        self._ahead.clear()
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        if gradients:
            torch._foreach_div_(gradients, max(tokens, 1))
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, settings.max_grad_norm).item()
        count = self.updates + 1
        warmup = min(1.0, count / settings.num_warmup_steps) if settings.num_warmup_steps else 1.0
        result = UpdateResult(grad_norm=norm, learning_rate=settings.lr * warmup)
        if result.was_applied:
            self.updates = count
            for parameters in self.optimizer.param_groups:
                parameters["lr"] = result.learning_rate
            self.optimizer.step()
            refresh_adapters(self.local.causal_lm)
        self.optimizer.zero_grad(set_to_none=True)
        return result

    @torch.no_grad()
    def take_over(self, adapter_P: Tensor) -> None:
        """Go on with the adapter of a process that has updated its own: all parameters (P,), one after another."""
        parts = adapter_P.split([parameter.numel() for parameter in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            parameter.copy_(part.view_as(parameter))
        refresh_adapters(self.local.causal_lm)
        self.optimizer.zero_grad(set_to_none=True)
        self._ahead.clear()

    def _token_logprobs(self, groups: Sequence[TrainGroup]) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies (T,) of all answer tokens, group after group, answer after answer."""
        prompts = [self.local.encode(group.messages) for group in groups]
        answers = [[sample.token_ids for sample in group.samples] for group in groups]
        temperature = self.config.generator.sampling_params.temperature
        compute = group_logprobs if self.local.shares_prompts else plain_logprobs
        return compute(self.local.causal_lm, prompts, answers, temperature)

    def _flat(self, rows: list[list[float]]) -> Tensor:
        return upload(torch.tensor([value for row in rows for value in row]), self.device)

    # ---- checkpoints ----------------------------------------------------------------------------------------------

    def snapshot(self) -> Callable[[Path], None]:
        """Copy adapter and optimizer; the function returned writes `lora_adapter/` (PEFT format) and `optimizer.pt`."""
        adapter = _copy_to_cpu(get_peft_model_state_dict(self.model))
        optimizer = {"optimizer": _copy_to_cpu(self.optimizer.state_dict()), "updates": self.updates}
        settings, tokenizer = copy(self.model.peft_config["default"]), self.local.tokenizer
        settings.inference_mode = True

        def write(folder: Path) -> None:
            target = folder / ADAPTER
            target.mkdir(parents=True, exist_ok=True)
            save_file(adapter, str(target / WEIGHTS), metadata={"format": "pt"})
            share(target / WEIGHTS)
            settings.save_pretrained(str(target))
            tokenizer.save_pretrained(str(target))
            torch.save(optimizer, folder / OPTIMIZER)

        return write

    def load(self, folder: Path) -> None:
        """Continue from a folder that a snapshot was written to.

        Raises:
            ModelError: the folder holds no adapter, one that does not fit this model, or a checkpoint of SkyRL.
        """
        path = folder / OPTIMIZER
        if not path.is_file():
            raise ModelError(f"{folder} holds no optimizer's state ({OPTIMIZER}); name a checkpoint of a run.")
        state = torch.load(path, map_location=self.device, weights_only=True)
        if "updates" not in state:
            raise ModelError(f"{folder} was written by SkyRL; engine=skyrl continues it.")
        self.load_adapter(folder / ADAPTER)
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]

    def load_adapter(self, folder: Path) -> None:
        """Read adapter weights in place, so that rollouts see them at once.

        Raises:
            ModelError: the folder holds no adapter, or one that does not fit this model.
        """
        weights = folder / WEIGHTS
        if not weights.is_file():
            raise ModelError(f"There is no adapter at {folder}: {WEIGHTS} is missing.")
        state = load_file(str(weights))
        mine = get_peft_model_state_dict(self.model)
        if {name: tensor.shape for name, tensor in mine.items()} != {n: t.shape for n, t in state.items()}:
            raise ModelError(
                f"The adapter at {folder} does not fit {self.config.trainer.policy.model.path} with LoRA rank "
                f"{self.config.trainer.policy.lora.rank}; use the model and rank that it was trained with."
            )
        set_peft_model_state_dict(self.model, state)
        refresh_adapters(self.local.causal_lm)


def _samples(groups: Sequence[TrainGroup]) -> Samples:
    """What a pass over these groups computes."""
    return [(group.messages, group.samples) for group in groups]


def _copy_to_cpu(state: Any) -> Any:
    """The same nested data with every tensor copied."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: _copy_to_cpu(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_copy_to_cpu(value) for value in state]
    return state
