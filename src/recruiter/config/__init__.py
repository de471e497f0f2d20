"""Settings of a training run: a typed schema, whose key names are SkyRL's, so that the same file drives both engines."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

from omegaconf import MISSING, DictConfig, OmegaConf

from recruiter.errors import ModelError

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIG_FOLDER = REPOSITORY / "configs"
QUICKSTART_OFFER = "To see the whole path run on any machine, without a GPU or a key: make quickstart"


@dataclass
class DataConfig:
    raw_dir: str = "data/raw"
    processed_dir: str = "data/processed"
    val_size: int = 16  # roles of the training split that validation uses instead


# USD per million tokens, as the providers listed them in November 2026.
PRICES: dict[str, Any] = {
    "grok-4-1-fast-non-reasoning": {"input": 0.2, "cached_input": 0.05, "output": 0.5},
    "grok-4.3": {"input": 1.25, "cached_input": 0.2, "output": 2.5},
    "gpt-6-luna": {"input": 0.1, "cached_input": 0.01, "output": 0.5},
    "claude-haiku-5-5": {"input": 0.1, "cached_input": 0.01, "output": 0.5},
    "claude-haiku-4-5-20251001": {"input": 1.0, "cached_input": 0.1, "output": 5.0},
    "gpt-5-mini-2025-08-07": {"input": 0.25, "cached_input": 0.025, "output": 2.0},
}


@dataclass
class ApiConfig:
    """A model behind an API, and how it is called. By itself: one that is named on a command line."""

    provider: str = "xai"
    model: str | None = None  # None: the provider's default, see llm/providers.py
    base_url: str | None = None
    temperature: float | None = None  # None: 0 where the provider's models take one
    reasoning_effort: str | None = None  # None: as the provider sets it
    max_tokens: int = 4096  # of a reply, thinking included
    concurrency: int = 64  # calls at a time
    attempt_timeout: float = 45.0  # seconds
    total_timeout: float = 100.0  # seconds for all attempts at one reply and the pauses between them
    max_attempts: int = 6  # a refused one for want of capacity (429) is not counted
    budget_usd: float | None = None  # of a run, over all its restarts
    prices: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(PRICES))

    KEYLESS: ClassVar[str] = "models on this machine, such as starter, need none"

    def option(self, name: str) -> str:
        """How the user spells a setting."""
        return {"model": "--model", "base_url": "--base-url", "budget_usd": "--budget-usd"}.get(name, name)


@dataclass
class JudgeConfig(ApiConfig):
    max_unscored: float = 0.2  # share of a step's samples above which the run stops
    cache_path: str = "data/judge_cache.sqlite"

    KEYLESS: ClassVar[str] = "the judge rubric needs none"

    def option(self, name: str) -> str:
        """See `ApiConfig`."""
        return f"judge.{name}"


@dataclass
class HumanFeedbackConfig:
    api_url: str = "http://127.0.0.1:8000"
    timeout: float = 86400.0  # seconds that a step waits for ratings; then it goes on with those there are
    poll_interval: float = 10.0  # seconds that one request waits for news
    overlap: int = 1  # raters a group
    max_staleness_steps: int = 0  # steps back from which late ratings are still trained on


@dataclass
class RewardConfig:
    overlap_penalty: float = 0.8  # what a question that repeats another role's wording loses, see reward.py
    overlap_free: float = 0.3  # overlap that costs nothing
    overlap_window: int = 256  # questions of earlier steps that are compared with


@dataclass
class LoraConfig:
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    target_modules: str = "all-linear"


@dataclass
class OptimizerConfig:
    lr: float = 1e-5
    adam_betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    num_warmup_steps: int = 0


@dataclass
class ModelConfig:
    path: str = MISSING
    dtype: str = "auto"  # auto, float32, bfloat16; auto measures the processor
    lora: dict[str, Any] = field(default_factory=dict)  # SkyRL's place for trainer.policy.lora


@dataclass
class PolicyConfig:
    model: ModelConfig = field(default_factory=ModelConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    optimizer_config: OptimizerConfig = field(default_factory=OptimizerConfig)


@dataclass
class AlgorithmConfig:
    grpo_norm_by_std: bool = True
    eps_clip_low: float = 0.2
    eps_clip_high: float = 0.2
    use_kl_loss: bool = False
    kl_loss_coef: float = 0.001
    zero_variance_filter: bool = True  # leave groups without spread out of the loss and its denominator


@dataclass
class TrainerConfig:
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    algorithm: AlgorithmConfig = field(default_factory=AlgorithmConfig)
    device: str = "auto"  # auto, cpu, cuda
    seed: int = 42
    epochs: int = 5
    max_training_steps: int | None = None
    train_batch_size: int = 64  # roles a step
    policy_mini_batch_size: int | None = None  # roles an optimizer update; None: the whole step
    micro_train_batch_size_per_gpu: int | None = None  # samples a forward pass; None: what is fast and fits
    update_epochs_per_batch: int = 1
    gradient_checkpointing: bool | None = None  # None: on a GPU with too little memory for passes of a good size
    eval_interval: int = 10  # steps; 0 switches validation off
    eval_before_train: bool = True
    early_stop_patience: int | None = None  # validations without a new best
    ckpt_path: str = "checkpoints"
    ckpt_interval: int = 10  # steps
    max_ckpts_to_keep: int = 5  # the best one is kept beside these; -1 keeps all
    resume_mode: str = "latest"  # continue the run in ckpt_path: latest; refuse to: none; another folder: from_path
    resume_path: str | None = None
    tensorboard: bool = False


@dataclass
class SamplingParams:
    """How answers are drawn. `temperature` 0 takes the likeliest token; `top_k` -1 and `top_p` 1 keep all tokens."""

    max_generate_length: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1


@dataclass
class GeneratorConfig:
    n_samples_per_prompt: int = 4
    sampling_params: SamplingParams = field(default_factory=SamplingParams)


# Nvidia GPUs of Hugging Face Inference Endpoints, one of each: USD an hour and GB of memory, as listed in November 2026.
# A T4 has no bfloat16.
INSTANCES: dict[str, Any] = {
    "nvidia-t4": {"usd_per_hour": 0.5, "memory_gb": 16, "dtype": "float16"},
    "nvidia-l4": {"usd_per_hour": 0.8, "memory_gb": 24, "dtype": "bfloat16"},
    "nvidia-a10g": {"usd_per_hour": 1.0, "memory_gb": 24, "dtype": "bfloat16"},
    "nvidia-l40s": {"usd_per_hour": 1.8, "memory_gb": 48, "dtype": "bfloat16"},
    "nvidia-a100": {"usd_per_hour": 2.5, "memory_gb": 80, "dtype": "bfloat16"},
}


@dataclass
class EndpointConfig:
    image: str = "vllm/vllm-openai:v0.8.5"
    instance_type: str = "nvidia-t4"
    vendor: str = "aws"
    region: str = "us-east-1"
    scale_to_zero_minutes: int = 60
    wait_minutes: int = 30  # for a new endpoint to answer
    instances: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(INSTANCES))


@dataclass
class Config:
    engine: str = "local"  # local, skyrl
    skyrl: dict[str, Any] = field(default_factory=dict)  # SkyRL's own settings, found under trainer and generator
    data: DataConfig = field(default_factory=DataConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    human_feedback: HumanFeedbackConfig = field(default_factory=HumanFeedbackConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)


def to_dict(config: Config) -> dict[str, Any]:
    """The resolved configuration as plain data, for metrics and checkpoints."""
    return cast(dict[str, Any], OmegaConf.to_container(cast(DictConfig, OmegaConf.structured(config))))


def require_model(path: str) -> None:
    """Refuse a model path that is neither a folder here nor could be a Hub id.

    Raises:
        ModelError: nothing is there.
    """
    local = path.startswith(("exports/", "checkpoints/", ".", "/")) or path.count("/") != 1
    if local and not (REPOSITORY / path / "config.json").is_file():
        raise ModelError(
            f"There is no model folder at trainer.policy.model.path={path}: name a folder with a model or a Hub id "
            f"such as Qwen/Qwen3-4B-Instruct-2507. {QUICKSTART_OFFER}"
        )
