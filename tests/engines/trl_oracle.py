"""One scripted step, run by our trainer and by TRL's GRPOTrainer: same prompts, answers, rewards, adapter and settings.

TRL takes the answers through its `rollout_func` and the rewards through its reward function; everything between them and
the updated adapter is its own code (`_generate_and_score_completions`, `_compute_loss`, transformers' training loop).
Our side is the real `Trainer` around the real `LocalPolicy`. What the same mathematics is called on each side:

- Loss: a mean over all answer tokens of an update is TRL's `loss_type="dapo"` (its default) as long as one generation
  batch is one update, in however many micro-batches: it divides by the tokens of the generation batch. With several
  mini-batches to a generation batch, "dapo" divides each by their *average* token count; ours is then "bnpo" in one
  micro-batch, the mean over a mini-batch's own tokens. "grpo" takes each answer's mean first, "dr_grpo" divides by a
  constant.
- Spread: `scale_rewards="group"` divides by the unbiased standard deviation (n - 1) + 1e-4; "none" leaves it out.
- KL: the k3 estimate, exp(d) - d - 1 with d = log p_ref - log p, against the model without its adapter. TRL 1.16
  multiplies it by the importance ratio unless `use_bias_correction_kl=False`; ours is the plain one.
- Temperature: divides the logits in rollouts, in the policy's and in the reference's log-probabilities, on both sides.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from recruiter.config import Config
from recruiter.engines import Sample, TrainGroup
from recruiter.engines.local import LocalPolicy
from recruiter.judges import Judge
from recruiter.metrics_logger import RunLog
from recruiter.prompts import _GENERATOR_USER, GENERATOR_SYSTEM, Message, generator_messages
from recruiter.roles import Role
from recruiter.roles.schedule import step_roles, total_steps
from recruiter.rubric import Judgement
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer
from tests.engines.conftest import VOCABULARY, tiny_model, tiny_tokenizer
from tests.scoring import RUBRIC, scored

END = 1


def save_tiny_model(kind: str, folder: Path) -> None:
    """A tiny random model whose tokenizer knows our prompts' words: about 150 tokens a prompt, not one for each byte.

    It is drawn with a spread of 0.1, which gives logits as wide as a language model's; at the 0.3 of the other tests,
    rounding alone moves gradients by up to 6e-5.
    """
    texts = [GENERATOR_SYSTEM, _GENERATOR_USER]
    tokenizer = tiny_tokenizer().train_new_from_iterator(texts, 1000, new_special_tokens=["<|start|>"])
    changes: dict[str, Any] = {
        "initializer_range": 0.1,
        "vocab_size": len(tokenizer),
        "eos_token_id": END,
        "bos_token_id": None,
    }
    tiny_model(kind, **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@dataclass
class Update:
    """One optimizer update: its loss, the gradients that the optimizer got, and the adapter afterwards."""

    loss: float
    clipped: float
    grad_norm: float
    gradients: dict[str, Tensor]
    weights: dict[str, Tensor]


class Script:
    """The answers to each prompt and their rewards, in [0, 1], made up once for both sides.

    Answers differ in length; most end with the end token, one of each group is cut off at the length limit. The group of
    the first role has no spread: zero advantages, but tokens that count. Longer answers earn more, or the loss of a first
    update, which is the advantages' mean over tokens, would be a difference of almost equal numbers.
    """

    def __init__(self, config: Config, roles: Sequence[Role]) -> None:
        self.roles, self.size = list(roles), config.generator.n_samples_per_prompt
        self.limit = config.generator.sampling_params.max_generate_length
        self._by_prompt = {generator_messages(role)[1]["content"]: role for role in self.roles}

    def answers(self, step: int, messages: list[Message]) -> list[list[int]]:
        """Token ids of the group's answers in a step (counted from 1)."""
        draw = random.Random(f"{step}/{self._by_prompt[messages[1]['content']].id}")
        lengths = [self.limit, *(draw.randint(2, self.limit - 1) for _ in range(self.size - 1))]
        cut_off, *ended = [[draw.randrange(3, VOCABULARY) for _ in range(length)] for length in lengths]
        return [cut_off, *([*answer[:-1], END] for answer in ended)]

    def rewards(self, step: int, messages: list[Message]) -> list[float]:
        """The rewards of these answers."""
        role = self._by_prompt[messages[1]["content"]]
        lengths = [len(answer) for answer in self.answers(step, messages)]
        draw = random.Random(f"reward/{step}/{role.id}")
        return [0.5 if role is self.roles[0] else (0.5 * n / self.limit + draw.random() / 2) for n in lengths]


# ---- ours ------------------------------------------------------------------------------------------------------------


class ScriptedPolicy(LocalPolicy):
    """A real policy whose rollouts are the script's; it notes what each update was."""

    def __init__(self, config: Config, script: Script, adapter: Path | None = None) -> None:
        super().__init__(config)
        self.script, self.step = script, 0
        self.sampled: list[list[Sample]] = []
        self.updates_seen: list[Update] = []
        self._loss: Any = 0.0
        self._clipped: Any = 0.0
        if adapter is not None:
            self.load_adapter(adapter)

    def sample(self, prompts: Any, group_size: Any, sampling: Any, seed: Any, only: Any = None) -> Iterator[Any]:
        self.step += 1
        for messages in prompts:
            answers = self.script.answers(self.step, messages)
            names = [f"{self.step} {reward}" for reward in self.script.rewards(self.step, messages)]
            samples = [Sample(n, a, [0.0] * len(a), a[-1] == END) for n, a in zip(names, answers, strict=True)]
            (logprobs,) = self.logprobs([TrainGroup(messages, samples, [0.0] * len(samples))])
            self.sampled.append([replace(s, logprobs=p) for s, p in zip(samples, logprobs, strict=True)])
            yield self.sampled[-1]

    def forward_backward(self, groups: Any) -> Any:
        sums = super().forward_backward(groups)
        self._loss, self._clipped = self._loss + sums.loss, self._clipped + sums.clipped
        return sums

    def optim_step(self, tokens: Any) -> Any:
        gradients: dict[str, Tensor] = {}
        hook = self.optimizer.register_step_pre_hook(lambda *_: gradients.update(_gradients(self.model)))
        result = super().optim_step(tokens)
        hook.remove()
        loss, clipped = self._loss / tokens, self._clipped / tokens
        self.updates_seen.append(Update(loss, clipped, result.grad_norm, gradients, _weights(self.model)))
        self._loss = self._clipped = 0.0
        return result


class ScriptedJudge(Judge):
    """Reads the reward out of the scripted question."""

    name, version = "script", "1"
    rubric = RUBRIC

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        return [Judgement(scored(10 * float(question.split()[1]))) for question in questions]


def train_ours(config: Config, script: Script, adapter: Path) -> tuple[ScriptedPolicy, list[Update]]:
    """Run the real loop over the script's roles."""
    policy = ScriptedPolicy(config, script, adapter)
    with (
        tempfile.TemporaryDirectory() as folder,
        RunLog(Path(folder), config, ScriptedJudge(), total_steps(config, len(script.roles))) as log,
    ):
        Trainer(config, policy, JudgedGroups(ScriptedJudge()), script.roles, [], log).train()
    return policy, policy.updates_seen


# ---- TRL -------------------------------------------------------------------------------------------------------------


class Oracle(GRPOTrainer):
    """GRPOTrainer that notes its losses and what it made of the rollouts."""

    loss = 0.0

    def compute_loss(self, *args: Any, **kwargs: Any) -> Tensor:
        loss = super().compute_loss(*args, **kwargs)
        self.loss += loss.item()
        return loss

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.scored = super()._generate_and_score_completions(inputs)
        return self.scored


class Recorder(TrainerCallback):
    """Notes gradients before, and weights after, each optimizer step, and TRL's own figures when it logs them."""

    def __init__(self) -> None:
        self.oracle: Oracle
        self.updates: list[Update] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._gradients = _gradients(given["model"])

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.updates.append(Update(self.oracle.loss, 0.0, 0.0, self._gradients, _weights(given["model"])))
        self.oracle.loss = 0.0

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        logs = given["logs"]
        if "clip_ratio/region_mean" in logs:
            self.updates[-1].clipped, self.updates[-1].grad_norm = logs["clip_ratio/region_mean"], logs["grad_norm"]


def train_trl(
    config: Config, script: Script, adapter: Path, micro_batch: int | None = None, **changes: Any
) -> tuple[Oracle, list[Update]]:
    """Run GRPOTrainer with the same settings; `changes` are TRL's names, `micro_batch` counts samples."""
    trainer, algorithm = config.trainer, config.trainer.algorithm
    optimizer, sampling = trainer.policy.optimizer_config, config.generator.sampling_params
    steps = total_steps(config, len(script.roles))
    mini_batches = trainer.train_batch_size // (trainer.policy_mini_batch_size or trainer.train_batch_size)
    samples = trainer.train_batch_size * script.size // mini_batches
    rows = micro_batch or samples
    calls = [0]

    def rollouts(prompts: list[list[Message]], oracle: GRPOTrainer) -> dict[str, Any]:
        calls[0] += 1
        groups = prompts[:: script.size]
        encoded, _, _ = oracle._tokenize_prompts(prompts)
        answers = [answer for messages in groups for answer in script.answers(calls[0], messages)]
        rewards = [reward for messages in groups for reward in script.rewards(calls[0], messages)]
        return {"prompt_ids": encoded, "completion_ids": answers, "logprobs": None, "reward": rewards}

    settings = {
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": samples // rows,
        "steps_per_generation": mini_batches * samples // rows,
        "num_generations": script.size,
        "num_iterations": trainer.update_epochs_per_batch,
        "max_steps": steps * mini_batches * trainer.update_epochs_per_batch,
        "max_completion_length": sampling.max_generate_length,
        "temperature": sampling.temperature,
        "loss_type": "dapo",
        "scale_rewards": "group" if algorithm.grpo_norm_by_std else "none",
        "epsilon": algorithm.eps_clip_low,
        "epsilon_high": algorithm.eps_clip_high,
        "beta": algorithm.kl_loss_coef if algorithm.use_kl_loss else 0.0,
        "use_bias_correction_kl": False,
        "mask_truncated_completions": False,
        "learning_rate": optimizer.lr,
        "adam_beta1": optimizer.adam_betas[0],
        "adam_beta2": optimizer.adam_betas[1],
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_grad_norm,
        "lr_scheduler_type": "constant",
        "optim": "adamw_torch",
        "shuffle_dataset": False,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
        **changes,
    }
    prompts = [generator_messages(role) for step in range(steps) for role in step_roles(config, script.roles, step + 1)]
    path, recorder = trainer.policy.model.path, Recorder()
    lora = LoraConfig.from_pretrained(str(adapter))
    lora.inference_mode = False
    with tempfile.TemporaryDirectory() as folder:
        oracle = recorder.oracle = Oracle(
            AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32),
            reward_funcs=lambda reward, **_: reward,
            args=GRPOConfig(output_dir=folder, **settings),
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=AutoTokenizer.from_pretrained(path),
            peft_config=lora,
            callbacks=[recorder],
            rollout_func=cast(Any, rollouts),
        )
        oracle.remove_callback(PrinterCallback)
        set_peft_model_state_dict(oracle.model, load_file(str(adapter / "adapter_model.safetensors")))
        oracle.train()
    return oracle, recorder.updates


def _gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
