"""What settings can work, and what is said of those that cannot."""

from __future__ import annotations

import re
from functools import reduce

import pytest
import yaml

from recruiter.config import Config, checks, to_dict
from recruiter.config.loading import load_config
from recruiter.errors import ConfigError
from tests.conftest import known


def checked(config: Config, *overrides: str) -> None:
    """Set values and check them, without Hydra, which takes a quarter of a second each time."""
    for override in overrides:
        key, value = override.split("=")
        *parents, name = key.split(".")
        node = reduce(getattr, parents, config)
        assert hasattr(node, name)
        setattr(node, name, yaml.safe_load(value.replace("nan", ".nan")))
    checks.checked(to_dict(config))


def value_refusal(config: Config, *overrides: str) -> str:
    """The message with which `checked` refuses these values."""
    with pytest.raises(ConfigError) as caught:
        checked(config, *overrides)
    assert re.fullmatch(r"[^\n]+[^.]\.", str(caught.value))
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("generator.n_samples_per_prompt=1", "2 or more"),
        ("generator.n_samples_per_prompt=0", "2 or more"),
        ("trainer.train_batch_size=0", "1 or more"),
        ("trainer.epochs=0", "1 or more"),
        ("trainer.update_epochs_per_batch=0", "1 or more"),
        ("trainer.ckpt_interval=0", "1 or more"),
        ("trainer.eval_interval=-1", "0 or more"),
        ("trainer.policy.lora.rank=0", "1 or more"),
        ("generator.sampling_params.max_generate_length=0", "1 or more"),
        ("data.val_size=-1", "0 or more"),
        ("reward.overlap_window=-1", "0 or more"),
        ("trainer.policy.optimizer_config.lr=0.0", "above 0 and up to 1"),
        ("trainer.policy.optimizer_config.lr=2.0", "above 0 and up to 1"),
        ("trainer.policy.optimizer_config.lr=nan", "above 0 and up to 1"),
        ("generator.sampling_params.temperature=-1.0", "up to 10"),
        ("generator.sampling_params.top_p=0.0", "above 0 and up to 1"),
        ("generator.sampling_params.top_p=1.5", "above 0 and up to 1"),
        ("judge.max_unscored=1.5", "up to 1"),
        ("judge.temperature=3.0", "up to 2"),
        ("judge.concurrency=0", "1 or more and up to 1000"),
        ("judge.budget_usd=0.0", "above 0"),
        ("judge.attempt_timeout=200.0", "100 or less"),
        ("human_feedback.timeout=0.0", "above 0"),
        ("human_feedback.poll_interval=90.0", "above 0 and up to 60"),
        ("human_feedback.overlap=0", "1 or more"),
        ("human_feedback.max_staleness_steps=-1", "0 or more"),
        ("human_feedback.api_url=ftp://server", "http://127.0.0.1:8000"),
        ("human_feedback.api_url=http://me:secret@server", "FEEDBACK_API_KEY"),
        ("trainer.resume_mode=always", "none, latest, from_path"),
        ("trainer.device=tpu", "auto, cpu, cuda"),
        ("trainer.policy.model.dtype=float16", "auto, float32, bfloat16"),
    ],
)
def test_impossible_value_is_refused_with_key_value_and_remedy(config: Config, override: str, remedy: str) -> None:
    message = value_refusal(config, override)
    assert override.replace(".0", "") in message.replace(".0", "")
    assert remedy in message


@pytest.mark.parametrize(
    "override",
    [
        "trainer.policy_mini_batch_size=0",
        "trainer.policy_mini_batch_size=-2",
        "trainer.micro_train_batch_size_per_gpu=-4",
        "trainer.max_ckpts_to_keep=0",
        "trainer.max_ckpts_to_keep=-2",
        "trainer.max_training_steps=0",
        "trainer.early_stop_patience=0",
        "trainer.policy.lora.dropout=1.5",
        "trainer.policy.lora.alpha=0",
        "trainer.policy.optimizer_config.max_grad_norm=0.0",
        "trainer.policy.optimizer_config.num_warmup_steps=-1",
        "trainer.policy.optimizer_config.weight_decay=-1.0",
        "trainer.policy.optimizer_config.adam_betas=[0.9]",
        "trainer.policy.optimizer_config.adam_betas=[0.9,1.0]",
        "trainer.algorithm.eps_clip_low=-0.1",
        "trainer.algorithm.eps_clip_high=-0.1",
        "trainer.algorithm.kl_loss_coef=-1.0",
        "judge.max_tokens=1",
        "judge.max_attempts=0",
        "judge.total_timeout=0.0",
        "judge.prices={m: 3}",
        "judge.prices={m: {input: 1}}",
        "judge.prices={m: {input: 1, output: -1}}",
        "judge.prices={m: {input: 1, output: 1, cached: 1}}",
        "reward.overlap_penalty=2.0",
        "reward.overlap_penalty=-0.5",
        "reward.overlap_free=1.5",
    ],
)
def test_value_that_would_break_a_run_later_is_refused_before_it_starts(config: Config, override: str) -> None:
    assert override.split("=")[0] in value_refusal(config, override)


def test_people_are_not_shown_more_questions_than_fit_a_page(config: Config) -> None:
    config.judge.provider = "human"
    assert "write 64 or less" in value_refusal(config, "generator.n_samples_per_prompt=65")
    config.generator.n_samples_per_prompt = 4
    assert "write 256 or less" in value_refusal(config, "trainer.train_batch_size=257")


def test_mini_batch_that_does_not_divide_names_a_size_that_does(config: Config) -> None:
    message = value_refusal(config, "trainer.policy_mini_batch_size=24")
    assert "trainer.policy_mini_batch_size=24 does not divide trainer.train_batch_size=64" in message
    assert "try 16" in message or "try 32" in message


@pytest.mark.parametrize(("micro", "good"), [(6, 4), (3, 4), (20, 16)])
def test_micro_batch_that_splits_groups_names_a_size_that_does_not(config: Config, micro: int, good: int) -> None:
    message = value_refusal(config, f"trainer.micro_train_batch_size_per_gpu={micro}")
    assert f"trainer.micro_train_batch_size_per_gpu={micro}" in message
    assert f"try {good}" in message
    checked(config, f"trainer.micro_train_batch_size_per_gpu={good}")


def test_suggested_sizes_are_accepted_for_every_bad_mini_batch(config: Config) -> None:
    for mini in range(1, 65):
        try:
            checked(config, f"trainer.policy_mini_batch_size={mini}")
        except ConfigError as error:
            suggested = int(known(re.search(r"try (\d+)\.", str(error))).group(1))
            assert 64 % suggested == 0
        else:
            assert 64 % mini == 0


def test_last_partial_batch_of_an_epoch_is_not_refused(config: Config) -> None:
    checked(config, "trainer.train_batch_size=7")


def test_resume_from_path_needs_the_path(config: Config) -> None:
    assert "trainer.resume_path" in value_refusal(config, "trainer.resume_mode=from_path")
    checked(config, "trainer.resume_mode=from_path", "trainer.resume_path=checkpoints/x")


@pytest.mark.parametrize("off", ["data.val_size=0", "trainer.eval_interval=0"])
def test_early_stop_without_validation_is_refused(config: Config, off: str) -> None:
    assert "trainer.early_stop_patience" in value_refusal(config, "trainer.early_stop_patience=2", off)


def test_checking_a_sound_configuration_changes_nothing(config: Config) -> None:
    before = to_dict(config)
    checks.checked(to_dict(config))
    assert to_dict(config) == before


def test_a_local_judge_is_refused_where_the_model_is_in_other_processes() -> None:
    with pytest.raises(
        ConfigError, match=r"^judges\.0\.provider=local cannot work with engine=skyrl, .*engine=local\.$"
    ):
        load_config("quickstart_config", ["engine=skyrl"])


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "true", "null"])
def test_a_number_of_gpus_that_cannot_be_says_what_to_write(config: Config, value: str) -> None:
    assert value_refusal(config, f"trainer.gpus={value}").endswith("cannot work; write 1 or more, or auto.")


def test_skyrl_places_its_processes_itself(config: Config) -> None:
    for value in (1, 2, "auto"):
        checked(config, f"trainer.gpus={value}")
    message = value_refusal(config, "trainer.gpus=2", "engine=skyrl")
    assert "trainer.gpus=2 cannot work with engine=skyrl" in message
    assert "trainer.placement.policy_num_gpus_per_node" in message


@pytest.mark.parametrize("setting", ["trainer.gpu_memory_utilization=0.5", "trainer.policy.model.quantization=int8"])
def test_memory_is_saved_by_the_local_engine(config: Config, setting: str) -> None:
    checked(config, setting)
    assert f"{setting} cannot work with engine=skyrl" in value_refusal(config, setting, "engine=skyrl")


@pytest.mark.parametrize(
    ("other", "advice"),
    [("engine=skyrl", "write 0, or engine=local"), ("judge.provider=human", "human_feedback.max_staleness_steps")],
)
def test_groups_a_step_ahead_are_for_judges_and_the_local_engine(config: Config, other: str, advice: str) -> None:
    checked(config, "trainer.max_staleness_steps=1")
    assert advice in value_refusal(config, "trainer.max_staleness_steps=1", other)
