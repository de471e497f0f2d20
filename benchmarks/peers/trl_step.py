"""One GRPO step of TRL's GRPOTrainer, timed in its parts: the peer of our own step.

The work is ours to the token: the prompts of our training, LoRA on every linear layer, one optimizer update over all
prompts × group size samples, answers of exactly `max_tokens` tokens (the end token is an ordinary token to both), no KL,
a reward that costs nothing. Everything else is set to what makes TRL fastest; what depends on the machine is a parameter:
dtype, vLLM or transformers for rollouts, micro-batch, gradient checkpointing, Liger.

TRL's settings that follow from that: one generation batch is one update, so no second forward pass for old
log-probabilities; with vLLM no importance correction, which would cost that pass again; vLLM shares the GPU, stays
awake, and reserves room for this step's samples only.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from benchmarks.workload import peak_memory, reset_peak_memory
from recruiter.engines.loading import pick_device
from recruiter.prompts import Message, generator_messages
from recruiter.roles import Role

LORA_RANK = 8
MICRO_BATCH = 8  # TRL's own default


def measure_trl(
    model_path: str,
    roles: Sequence[Role],
    group_size: int,
    max_tokens: int,
    dtype: str,
    steps: int,
    liger: bool = False,
    gradient_checkpointing: bool = False,
    micro_batch: int | None = None,
    vllm: bool = False,
    device: str = "auto",
    vllm_memory: float = 0.3,
) -> dict[str, Any]:
    """Time `steps` GRPO steps over `roles` after one that warms up.

    Run it in a process of its own: peak memory is the process's, and an engine of vLLM cannot be taken down in one.

    Args:
        model_path: a model folder with tokenizer and chat template.
        dtype: `float32` or `bfloat16`, of the frozen weights; the adapter is float32. bfloat16 computes under autocast.
        micro_batch: samples in a forward pass, a divisor of roles × group size; None is TRL's default of 8 or, if that
            does not divide them, one group.
        device: `auto`, `cpu` or `cuda`.
        vllm_memory: share of the GPU's memory that vLLM takes.

    Returns:
        `seconds`, `seconds_sampling` (generation, with vLLM including the transfer of weights), `seconds_transfer` (that
        transfer alone), `seconds_training` (forward and backward passes) and `cpu_seconds` (of all cores together):
        medians of a step, all values under `samples`. `tokens_sampling` and `tokens_training`: tokens computed in a step,
        padding included. `peak_memory`: gigabytes, resident on a CPU; on a GPU reserved by torch, vLLM's part included,
        with `peak_memory_allocated` beside it. `settings`: what ran.

    Raises:
        ValueError: the micro-batch does not divide the samples.
        ConfigError: a GPU is asked for and there is none.
    """
    samples = len(roles) * group_size
    rows = micro_batch or (MICRO_BATCH if samples % MICRO_BATCH == 0 else group_size)
    if samples % rows:
        raise ValueError(f"micro_batch={rows} does not divide {len(roles)} roles × {group_size} = {samples} samples.")
    cpu = pick_device(device) == "cpu"
    tokenizer = AutoTokenizer.from_pretrained(model_path, padding_side="left")
    prompts = [generator_messages(role) for role in roles]
    clock = _Clock(cpu)
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            model_init_kwargs={"dtype": dtype, "device_map": None},
            per_device_train_batch_size=rows,
            gradient_accumulation_steps=samples // rows,
            num_generations=group_size,
            max_completion_length=max_tokens,
            max_steps=steps + 1,
            temperature=1.0,
            beta=0.0,
            bf16=dtype == "bfloat16",
            gradient_checkpointing=gradient_checkpointing,
            use_liger_kernel=liger,
            use_cpu=cpu,
            dataloader_pin_memory=not cpu,
            shuffle_dataset=False,
            lr_scheduler_type="constant",
            learning_rate=1e-5,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **(_vllm_settings(tokenizer, prompts, max_tokens, vllm_memory) if vllm else {}),
        )
        trainer = _TimedTrainer(
            model=model_path,
            reward_funcs=_instant_reward,
            args=settings,
            train_dataset=Dataset.from_dict({"prompt": prompts * (steps + 1)}),
            processing_class=tokenizer,
            peft_config=LoraConfig(
                r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[clock],
        )
        trainer.watch(clock)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    measured = {name: values[1:] for name, values in clock.steps.items()}
    result: dict[str, Any] = {name: statistics.median(values) for name, values in measured.items()}
    result |= {name: int(result[name]) for name in ("tokens_sampling", "tokens_training")}
    result["samples"] = {name: values for name, values in measured.items() if "seconds" in name}
    result["peak_memory"] = peak_memory()
    if not cpu:
        result["peak_memory_allocated"] = torch.cuda.max_memory_allocated() / 1e9
    result["settings"] = {
        "dtype": dtype, "micro_batch": rows, "rollouts": "vLLM" if vllm else "transformers", "liger": liger,
        "gradient_checkpointing": gradient_checkpointing, "device": str(trainer.accelerator.device),
    }  # fmt: skip
    del trainer
    gc.collect()
    return result


def _vllm_settings(tokenizer: Any, prompts: Sequence[list[Message]], max_tokens: int, memory: float) -> dict[str, Any]:
    longest = max(len(ids) for ids in tokenizer.apply_chat_template(prompts, add_generation_prompt=True)["input_ids"])
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": memory,
        "vllm_max_model_length": longest + max_tokens,
        "vllm_importance_sampling_correction": False,
        "generation_kwargs": {"ignore_eos": True, "detokenize": False},
    }


def _instant_reward(completion_ids: list[list[int]], **_: Any) -> list[float | None]:
    return [sum(ids) % 101 / 100 for ids in completion_ids]


class _Clock(TrainerCallback):
    """Adds up the parts of the current step and closes it when its optimizer update is done."""

    def __init__(self, cpu: bool) -> None:
        self.cpu = cpu
        self.steps: dict[str, list[float]] = defaultdict(list)
        self.parts: dict[str, float] = {}

    def now(self) -> float:
        if not self.cpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def add(self, part: str, amount: float) -> None:
        self.parts[part] = self.parts.get(part, 0.0) + amount

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._start, self._cpu = self.now(), time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.add("seconds", self.now() - self._start)
        self.add("cpu_seconds", time.process_time() - self._cpu)
        for name, amount in self.parts.items():
            self.steps[name].append(amount)
        if len(self.steps["seconds"]) == 1:
            reset_peak_memory()
        self._start, self._cpu, self.parts = self.now(), time.process_time(), {}


class _TimedTrainer(GRPOTrainer):
    """GRPOTrainer with a clock around generation and around the passes of a micro-batch."""

    def watch(self, clock: _Clock) -> None:
        """Note times with `clock`, and make the end token an ordinary one."""
        self.clock = clock
        if self.use_vllm:
            generation: Any = self.vllm_generation
            generation.sync_weights = self._timed("seconds_transfer", self.vllm_generation.sync_weights)
        else:
            outside = cast(Any, self.model).get_input_embeddings().num_embeddings
            self.eos_token_ids = [outside]
            self.generation_config.eos_token_id = self.generation_kwargs["eos_token_id"] = [outside]

    def _timed(self, part: str, function: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = self.clock.now()
            result = function(*args, **kwargs)
            self.clock.add(part, self.clock.now() - start)
            return result

        return run

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        answers, logprobs = self._timed("seconds_sampling", super()._generate_single_turn)(prompt_ids, *args, **kwargs)
        if any(len(answer) != self.max_completion_length for answer in answers):
            raise RuntimeError("TRL's answers differ in length: something still stops at the end token.")
        lengths = [len(ids) for ids in prompt_ids]
        prompt_tokens = sum(lengths) if self.use_vllm else max(lengths) * len(lengths)
        self.clock.add("tokens_sampling", prompt_tokens + sum(map(len, answers)))
        return answers, logprobs

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Generation hides in here: take its time out of the passes'."""
        start = self.clock.now()
        inputs = super()._prepare_inputs(generation_batch)
        self.clock.add("seconds_training", start - self.clock.now())
        return inputs

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        return self._timed("seconds_training", super().training_step)(*args, **kwargs)

    def _get_per_token_logps_and_entropies(self, model: Any, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        self.clock.add("tokens_training", input_ids.numel())
        return super()._get_per_token_logps_and_entropies(model, input_ids, *args, **kwargs)
