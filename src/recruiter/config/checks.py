"""What settings can work: ranges, choices, and combinations. Touches no model and no file."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

from recruiter.config import Config, EndpointConfig, JudgeConfig, TrainerConfig
from recruiter.errors import ConfigError

MAX_QUESTIONS_A_PAGE, MAX_GROUPS_A_CALL = 64, 256  # what the feedback server takes

# Numbers: key, lowest, highest, and whether the lowest itself is allowed.
_RANGES: tuple[tuple[str, float, float, bool], ...] = (
    ("data.val_size", 0, math.inf, True),
    ("judge.temperature", 0, 2, True),
    ("judge.max_tokens", 64, math.inf, True),
    ("judge.concurrency", 1, 1000, True),
    ("judge.attempt_timeout", 0, math.inf, False),
    ("judge.total_timeout", 0, math.inf, False),
    ("judge.max_attempts", 1, math.inf, True),
    ("judge.max_unscored", 0, 1, True),
    ("judge.budget_usd", 0, math.inf, False),
    ("human_feedback.timeout", 0, math.inf, False),
    ("human_feedback.poll_interval", 0, 60, False),
    ("human_feedback.overlap", 1, math.inf, True),
    ("human_feedback.max_staleness_steps", 0, math.inf, True),
    ("reward.overlap_penalty", 0, 1, True),
    ("reward.overlap_free", 0, 1, True),
    ("reward.overlap_window", 0, math.inf, True),
    ("trainer.policy.lora.rank", 1, math.inf, True),
    ("trainer.policy.lora.alpha", 1, math.inf, True),
    ("trainer.policy.lora.dropout", 0, 0.99, True),
    ("trainer.policy.optimizer_config.lr", 0, 1, False),
    ("trainer.policy.optimizer_config.weight_decay", 0, 1, True),
    ("trainer.policy.optimizer_config.max_grad_norm", 0, math.inf, False),
    ("trainer.policy.optimizer_config.num_warmup_steps", 0, math.inf, True),
    ("trainer.algorithm.eps_clip_low", 0, 1, True),
    ("trainer.algorithm.eps_clip_high", 0, math.inf, True),
    ("trainer.algorithm.kl_loss_coef", 0, math.inf, True),
    ("trainer.epochs", 1, math.inf, True),
    ("trainer.max_training_steps", 1, math.inf, True),
    ("trainer.train_batch_size", 1, math.inf, True),
    ("trainer.policy_mini_batch_size", 1, math.inf, True),
    ("trainer.micro_train_batch_size_per_gpu", 1, math.inf, True),
    ("trainer.update_epochs_per_batch", 1, math.inf, True),
    ("trainer.eval_interval", 0, math.inf, True),
    ("trainer.early_stop_patience", 1, math.inf, True),
    ("trainer.ckpt_interval", 1, math.inf, True),
    ("endpoint.scale_to_zero_minutes", 15, math.inf, True),
    ("endpoint.wait_minutes", 1, math.inf, True),
    ("generator.sampling_params.max_generate_length", 1, math.inf, True),
    ("generator.sampling_params.temperature", 0, 10, False),
    ("generator.sampling_params.top_p", 0, 1, False),
)
_DTYPES = ("float16", "bfloat16", "float32")
_CHOICES = {
    "engine": ("local", "skyrl"),
    "trainer.resume_mode": ("none", "latest", "from_path"),
    "trainer.device": ("auto", "cpu", "cuda"),
    "trainer.policy.model.dtype": ("auto", "float32", "bfloat16"),
}


def check_config(config: Config) -> None:
    """Refuse values that cannot work, alone or together. Looks at settings only, touches no model.

    Raises:
        ConfigError: on the first problem found.
    """
    trainer, samples = config.trainer, config.generator.n_samples_per_prompt
    if samples < 2:
        raise ConfigError(
            f"generator.n_samples_per_prompt={samples} cannot work: GRPO compares answers within a group; "
            f"write 2 or more."
        )
    for key, low, high, includes_low in _RANGES:
        value = _value(config, key)
        if value is not None and not ((low <= value if includes_low else low < value) and value <= high):
            wanted = f"{low:g} or more" if includes_low else f"a number above {low:g}"
            wanted += "" if high == math.inf else f" and up to {high:g}"
            raise ConfigError(f"{key}={value} cannot work; write {wanted}.")
    for key, choices in _CHOICES.items():
        if _value(config, key) not in choices:
            raise ConfigError(f"{key}={_value(config, key)} cannot work; write one of {', '.join(choices)}.")
    betas = trainer.policy.optimizer_config.adam_betas
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ConfigError(
            f"trainer.policy.optimizer_config.adam_betas={betas} cannot work; write two numbers from 0 to below 1."
        )
    if trainer.max_ckpts_to_keep < 1 and trainer.max_ckpts_to_keep != -1:
        raise ConfigError(
            f"trainer.max_ckpts_to_keep={trainer.max_ckpts_to_keep} cannot work; write 1 or more, or -1 to keep all."
        )
    if trainer.resume_mode == "from_path" and not trainer.resume_path:
        raise ConfigError("trainer.resume_mode=from_path needs trainer.resume_path=<a checkpoint folder>.")
    if trainer.early_stop_patience is not None and not (trainer.eval_interval and config.data.val_size):
        raise ConfigError(
            f"trainer.early_stop_patience={trainer.early_stop_patience} needs validation; set "
            f"trainer.eval_interval and data.val_size to 1 or more."
        )
    _check_batches(trainer, samples, config.engine)
    _check_judge(config.judge)
    _check_instances(config.endpoint)
    _check_human_feedback(config)
    if config.engine == "skyrl":
        _check_skyrl(config)


def _check_skyrl(config: Config) -> None:
    trainer = config.trainer
    if config.human_feedback.max_staleness_steps:
        raise ConfigError(
            f"human_feedback.max_staleness_steps={config.human_feedback.max_staleness_steps} cannot work with "
            f"engine=skyrl, which trains on the present step alone; write 0, or engine=local."
        )
    if trainer.device == "cpu":
        raise ConfigError("trainer.device=cpu cannot work with engine=skyrl, which needs a GPU; write engine=local.")
    if trainer.policy.model.dtype == "float32":
        raise ConfigError(
            "trainer.policy.model.dtype=float32 cannot work with engine=skyrl, which computes in bfloat16 over float32 "
            "weights; write auto, or engine=local."
        )


def _check_instances(endpoint: EndpointConfig) -> None:
    for name, facts in endpoint.instances.items():
        facts = facts if isinstance(facts, dict) else {}
        numbers: list[Any] = [facts.get(key) for key in ("usd_per_hour", "memory_gb")]
        known = set(facts) == {"usd_per_hour", "memory_gb", "dtype"} and facts["dtype"] in _DTYPES
        if not known or not all(type(number) in (int, float) and 0 < number < math.inf for number in numbers):
            raise ConfigError(
                f"endpoint.instances of {name}={facts} cannot work; write {{usd_per_hour: 0.5, memory_gb: 16, dtype: "
                f"float16}}, dtype one of {', '.join(_DTYPES)}."
            )
    if endpoint.instance_type not in endpoint.instances:
        raise ConfigError(
            f"endpoint.instance_type={endpoint.instance_type} cannot work; write one of {', '.join(endpoint.instances)}."
        )


def _check_human_feedback(config: Config) -> None:
    if not re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", config.human_feedback.api_url):
        raise ConfigError(
            f"human_feedback.api_url={config.human_feedback.api_url} cannot work; write an address such as "
            f"http://127.0.0.1:8000, without a user name: the key belongs in FEEDBACK_API_KEY."
        )
    groups, samples = config.trainer.train_batch_size, config.generator.n_samples_per_prompt
    if config.judge.provider == "human" and groups > MAX_GROUPS_A_CALL:
        raise ConfigError(
            f"trainer.train_batch_size={groups} cannot work with judge.provider=human: write {MAX_GROUPS_A_CALL} or less, "
            f"as many as people will rate for one step."
        )
    if config.judge.provider == "human" and samples > MAX_QUESTIONS_A_PAGE:
        raise ConfigError(
            f"generator.n_samples_per_prompt={samples} cannot work with judge.provider=human: one person rates the whole "
            f"group on one page; write {MAX_QUESTIONS_A_PAGE} or less, 4 is comfortable."
        )


def _check_judge(judge: JudgeConfig) -> None:
    if judge.attempt_timeout > judge.total_timeout:
        raise ConfigError(
            f"judge.attempt_timeout={judge.attempt_timeout:g} is longer than judge.total_timeout="
            f"{judge.total_timeout:g} for all attempts; write {judge.total_timeout:g} or less."
        )
    for model, price in judge.prices.items():
        known = isinstance(price, dict) and {"input", "output"} <= set(price) <= {"input", "cached_input", "output"}
        if not known or not all(type(p) in (int, float) and 0 <= p < math.inf for p in price.values()):
            raise ConfigError(
                f"judge.prices of {model}={price} cannot work; write USD per million tokens as {{input: 0.2, "
                f"output: 0.5}}, with cached_input where it is cheaper."
            )


def _value(config: Config, key: str) -> Any:
    return functools.reduce(getattr, key.split("."), config)


def _check_batches(trainer: TrainerConfig, samples: int, engine: str) -> None:
    """A last, partial batch of an epoch is trained on; only the configured sizes must divide."""
    batch, mini = trainer.train_batch_size, trainer.policy_mini_batch_size or trainer.train_batch_size
    if batch % mini:
        raise ConfigError(
            f"trainer.policy_mini_batch_size={mini} does not divide trainer.train_batch_size={batch}; "
            f"try {_nearest_divisor(batch, mini)}."
        )
    if engine == "skyrl":
        return  # a pass there holds samples of one GPU, which its mapping checks
    micro = trainer.micro_train_batch_size_per_gpu or samples
    if micro % samples or (mini * samples) % micro:
        good = samples * _nearest_divisor(mini, max(1, micro // samples))
        raise ConfigError(
            f"trainer.micro_train_batch_size_per_gpu={micro} must hold whole groups of {samples} samples and divide "
            f"the {mini * samples} samples of an update; try {good}."
        )


def _nearest_divisor(number: int, wanted: int) -> int:
    return min((d for d in range(1, number + 1) if number % d == 0), key=lambda d: abs(d - wanted))
