"""What settings can work together, after each was checked by itself. Touches no model and no file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recruiter.config import Config, JudgeConfig, TrainerConfig
from recruiter.config.setting import validate
from recruiter.errors import ConfigError

BOTH = "judge and judges are both given; name one judge by judge.provider=…, or several by judges=[…], and leave the other out."
MAX_QUESTIONS_A_PAGE, MAX_GROUPS_A_CALL = 64, 256  # what the feedback server takes


def checked(values: Mapping[str, Any]) -> Config:
    """A configuration that can work, of plain values.

    Raises:
        ConfigError: on the first problem found.
    """
    config = validate(Config, values)
    trainer, samples = config.trainer, config.generator.n_samples_per_prompt
    if trainer.resume_mode == "from_path" and not trainer.resume_path:
        raise ConfigError("trainer.resume_mode=from_path needs trainer.resume_path=<a checkpoint folder>.")
    if trainer.resume_path and trainer.resume_mode != "from_path":
        raise ConfigError(
            f"trainer.resume_path={trainer.resume_path} is not read with trainer.resume_mode={trainer.resume_mode}; write "
            f"trainer.resume_mode=from_path, or leave the path out."
        )
    if Path(config.data.raw_dir) == Path(config.data.processed_dir):
        raise ConfigError(
            f"data.processed_dir={config.data.processed_dir} cannot work: the prompts would take the place of the roles in "
            f"data.raw_dir; write another folder."
        )
    if trainer.early_stop_patience is not None and not (trainer.eval_interval and config.data.val_size):
        raise ConfigError(
            f"trainer.early_stop_patience={trainer.early_stop_patience} needs validation; set "
            f"trainer.eval_interval and data.val_size to 1 or more."
        )
    _check_batches(trainer, samples, config.engine)
    _check_judges(config)
    if config.endpoint.instance_type not in config.endpoint.instances:
        raise ConfigError(
            f"endpoint.instance_type={config.endpoint.instance_type} cannot work; write one of "
            f"{', '.join(config.endpoint.instances)}."
        )
    if config.asks_people and trainer.max_staleness_steps:
        raise ConfigError(
            f"trainer.max_staleness_steps={trainer.max_staleness_steps} cannot work with people as judges: write "
            f"human_feedback.max_staleness_steps=<a number>, which trains on late ratings."
        )
    if config.asks_people:
        _check_people(trainer.train_batch_size, samples)
    if config.engine == "skyrl":
        _check_skyrl(config)
    return config


def _check_skyrl(config: Config) -> None:
    trainer = config.trainer
    if config.human_feedback.max_staleness_steps:
        raise ConfigError(
            f"human_feedback.max_staleness_steps={config.human_feedback.max_staleness_steps} cannot work with "
            f"engine=skyrl, which trains on the present step alone; write 0, or engine=local."
        )
    if trainer.max_staleness_steps:
        raise ConfigError(
            f"trainer.max_staleness_steps={trainer.max_staleness_steps} cannot work with engine=skyrl, which trains on the "
            f"present step alone; write 0, or engine=local."
        )
    if config.judges and config.asks_people:
        raise ConfigError(
            "People for a share of the groups cannot work with engine=skyrl; write judge.provider=human, or engine=local."
        )
    if trainer.gpus != 1:
        raise ConfigError(
            f"trainer.gpus={trainer.gpus} cannot work with engine=skyrl, which takes all visible GPUs; leave it out, or write "
            f"trainer.placement.policy_num_gpus_per_node=<a number> to take fewer."
        )
    if trainer.device == "cpu":
        raise ConfigError("trainer.device=cpu cannot work with engine=skyrl, which needs a GPU; write engine=local.")
    if trainer.policy.model.dtype == "float32":
        raise ConfigError(
            "trainer.policy.model.dtype=float32 cannot work with engine=skyrl, which computes in bfloat16 over float32 "
            "weights; write auto, or engine=local."
        )
    if trainer.gpu_memory_utilization != type(trainer)().gpu_memory_utilization:
        raise ConfigError(
            f"trainer.gpu_memory_utilization={trainer.gpu_memory_utilization} cannot work with engine=skyrl, whose own "
            f"setting is generator.inference_engine.gpu_memory_utilization; write that, or engine=local."
        )
    if trainer.policy.model.quantization:
        raise ConfigError(
            f"trainer.policy.model.quantization={trainer.policy.model.quantization} cannot work with engine=skyrl, which "
            f"keeps weights in bfloat16; leave it out, or write engine=local."
        )
    if own := next((judge for judge in config.all_judges if judge.mode != "single"), None):
        raise ConfigError(
            f"{own.place}.mode={own.mode} cannot work with engine=skyrl, which has its questions judged one by one; write "
            f"{own.place}.mode=single, or engine=local."
        )
    if own := next((judge for judge in config.all_judges if judge.provider in ("local", "simulated")), None):
        raise ConfigError(
            f"{own.place}.provider={own.provider} cannot work with engine=skyrl, whose model is in other processes; write "
            f"judge.provider=rubric or another judge, or engine=local."
        )


def _check_people(groups: int, samples: int) -> None:
    if groups > MAX_GROUPS_A_CALL:
        raise ConfigError(
            f"trainer.train_batch_size={groups} cannot work with judge.provider=human: write {MAX_GROUPS_A_CALL} or less, "
            f"as many as people will rate for one step."
        )
    if samples > MAX_QUESTIONS_A_PAGE:
        raise ConfigError(
            f"generator.n_samples_per_prompt={samples} cannot work with judge.provider=human: one person rates the whole "
            f"group on one page; write {MAX_QUESTIONS_A_PAGE} or less, 4 is comfortable."
        )


def _check_judges(config: Config) -> None:
    for judge in config.all_judges:
        if judge.attempt_timeout > judge.total_timeout:
            raise ConfigError(
                f"{judge.place}.attempt_timeout={judge.attempt_timeout:g} is longer than {judge.place}.total_timeout="
                f"{judge.total_timeout:g} for all attempts; write {judge.total_timeout:g} or less."
            )
        _check_mode(judge)
    if not config.judges:
        return
    if config.judge != JudgeConfig():
        raise ConfigError(BOTH)
    titles = [entry.title for entry in config.judges]
    if twice := next((title for title in titles if titles.count(title) > 1), None):
        raise ConfigError(f"Two of judges are called {twice}; give each a name of its own, such as name: {twice}_2.")
    people = [entry for entry in config.judges if entry.asks_people]
    if people and (len(people) > 1 or people[0].does != "reward"):
        raise ConfigError("People stand once in judges, with does: reward; judge.provider=human is people alone.")
    if people and not any(entry.does == "reward" and not entry.asks_people for entry in config.judges):
        raise ConfigError(
            "People in judges rate a share of the groups, and no other judge rewards the rest: add one such as "
            "{provider: rubric}, or write judge.provider=human to have people rate all."
        )
    if not any(entry.does == "reward" for entry in config.judges):
        raise ConfigError(f"None of judges rewards ({', '.join(titles)}); write does: reward at one of them at least.")


def _check_mode(judge: JudgeConfig) -> None:
    named = f"{judge.place}.mode={judge.mode}"
    if judge.mode == "single":
        if judge.rounds is not None:
            raise ConfigError(
                f"{judge.place}.rounds={judge.rounds} cannot work with {named}; write {judge.place}.mode=group or pairs."
            )
    elif judge.provider in ("rubric", "human", "local", "simulated", "calibrated"):
        raise ConfigError(
            f"{named} cannot work with {judge.place}.provider={judge.provider}, which calls no model's API; write "
            f"{judge.place}.mode=single."
        )
    elif judge.mode == "pairs" and judge.does != "reward":
        raise ConfigError(
            f"{named} cannot work with {judge.place}.does={judge.does}: a share of wins says nothing outside its group; write "
            f"{judge.place}.mode=group."
        )


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
