import re
import shutil
from functools import reduce
from pathlib import Path

import pytest
import yaml

from recruiter.config import CONFIG_FOLDER, Config, to_dict
from recruiter.config_check import check_config
from recruiter.config_loading import load_config
from recruiter.errors import ConfigError


def refusal(*overrides: str, name: str = "train_config", folder: Path = CONFIG_FOLDER) -> str:
    """The message with which a configuration is refused; always a single sentence on a single line."""
    with pytest.raises(ConfigError) as caught:
        load_config(name, overrides, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(r"[.?]$", message), message
    assert not re.search(r"\.\.$|Error|Traceback|LexerNoViableAlt", message.replace("Error parsing", "")), message
    return message


def checked(config: Config, *overrides: str) -> None:
    """Set values and check them, without Hydra, which takes a quarter of a second each time."""
    for override in overrides:
        key, value = override.split("=")
        *parents, name = key.split(".")
        node = reduce(getattr, parents, config)
        assert hasattr(node, name)
        setattr(node, name, yaml.safe_load(value.replace("nan", ".nan")))
    check_config(config)


def value_refusal(config: Config, *overrides: str) -> str:
    """The message with which `check_config` refuses these values."""
    with pytest.raises(ConfigError) as caught:
        checked(config, *overrides)
    assert re.fullmatch(r"[^\n]+[^.]\.", str(caught.value))
    return str(caught.value)


@pytest.fixture
def own_configs(tmp_path: Path):
    """A folder with the base configuration and one more file of the given text."""

    def write(text: str) -> Path:
        shutil.copy(CONFIG_FOLDER / "train_config.yaml", tmp_path)
        (tmp_path / "mine.yaml").write_text(text)
        return tmp_path

    return write


# ---- defaults --------------------------------------------------------------------------------------------------------


def test_train_config_has_the_values_that_the_user_named():
    config = load_config("train_config")
    assert config.trainer.policy.model.path == "exports/qwen3-4b-question-gen"
    assert config.trainer.policy.lora.rank == 8
    assert config.trainer.policy.optimizer_config.lr == 1e-5
    assert config.trainer.train_batch_size == 64
    assert config.trainer.epochs == 5
    assert config.generator.n_samples_per_prompt == 4
    assert config.generator.sampling_params.max_generate_length == 256


def test_base_mode_uses_an_llm_judge_and_only_the_quickstart_the_rubric():
    assert load_config("train_config").judge.provider == "xai"
    assert load_config("quickstart_config").judge.provider == "rubric"
    assert load_config("quickstart_config").trainer.policy.model.path == "exports/starter"


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml")))
def test_every_shipped_configuration_loads_to_the_typed_schema(name):
    config = load_config(name)
    assert isinstance(config, Config)
    assert isinstance(config.trainer.policy.optimizer_config.lr, float)


def test_mode_configurations_hold_only_what_differs_from_the_base():
    for path in CONFIG_FOLDER.glob("*.yaml"):
        if path.stem != "train_config":
            assert "- train_config" in path.read_text(), path.name


def test_file_of_the_base_agrees_with_the_schema_where_both_have_a_value(config):
    config.trainer.policy.model.path = "exports/qwen3-4b-question-gen"
    assert to_dict(load_config("train_config")) == to_dict(config)


def test_offline_mode_is_qwen_judged_by_grok():
    config = load_config("offline_config")
    assert config.trainer.policy.model.path == "Qwen/Qwen3-4B-Instruct-2507"
    assert (config.judge.provider, config.judge.model) == ("xai", "grok-4-1-fast-non-reasoning")
    assert config.trainer.train_batch_size == 64


def test_online_mode_asks_people_about_four_groups_of_four():
    config = load_config("online_config")
    assert config.trainer.policy.model.path == "exports/qwen3-4b-question-gen"
    assert (config.judge.provider, config.trainer.eval_interval) == ("human", 0)
    assert config.trainer.train_batch_size * config.generator.n_samples_per_prompt == 16


def test_people_are_not_shown_more_questions_than_fit_a_page(config):
    config.judge.provider = "human"
    assert "write 64 or less" in value_refusal(config, "generator.n_samples_per_prompt=65")
    config.generator.n_samples_per_prompt = 4
    assert "write 256 or less" in value_refusal(config, "trainer.train_batch_size=257")


def test_price_of_another_model_is_added_to_the_table():
    prices = load_config("train_config", ["judge.prices={my-model.v2: {input: 1, output: 2.5}}"]).judge.prices
    assert prices["my-model.v2"] == {"input": 1, "output": 2.5}
    assert "grok-4-1-fast-non-reasoning" in prices


def test_overrides_on_the_command_line_win():
    config = load_config("quickstart_config", ["trainer.epochs=2", "judge.max_unscored=0.5", "data.val_size=0"])
    assert (config.trainer.epochs, config.judge.max_unscored, config.data.val_size) == (2, 0.5, 0)


def test_resolved_configuration_is_plain_data(config):
    data = to_dict(config)
    assert data["trainer"]["policy"]["lora"] == {
        "rank": 8,
        "alpha": 16,
        "dropout": 0.0,
        "target_modules": "all-linear",
    }
    assert type(data["trainer"]["policy"]["optimizer_config"]["adam_betas"]) is list


# ---- SkyRL's spelling of LoRA ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_skyrl_spelling_of_lora_rank_means_the_same(prefix):
    config = load_config("train_config", [f"{prefix}trainer.policy.model.lora.rank=16"])
    assert config.trainer.policy.lora.rank == 16
    assert config.trainer.policy.lora.alpha == 16


def test_skyrl_spelling_of_lora_in_a_file_means_the_same(own_configs):
    folder = own_configs(
        "defaults: [train_config, _self_]\ntrainer: {policy: {model: {lora: {rank: 32, alpha: 64}}}}\n"
    )
    lora = load_config("mine", folder=folder).trainer.policy.lora
    assert (lora.rank, lora.alpha) == (32, 64)


@pytest.mark.parametrize("key", ["trainer.policy.model.lora.rank", "trainer.policy.lora.rank"])
def test_command_line_wins_over_skyrl_spelling_in_a_file(own_configs, key):
    folder = own_configs("defaults: [train_config, _self_]\ntrainer: {policy: {model: {lora: {rank: 32}}}}\n")
    assert load_config("mine", [f"{key}=4"], folder).trainer.policy.lora.rank == 4


def test_skyrl_spelling_is_checked_like_the_other():
    assert "trainer.policy.lora.rank=0" in refusal("trainer.policy.model.lora.rank=0")


# ---- refusals --------------------------------------------------------------------------------------------------------


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
def test_impossible_value_is_refused_with_key_value_and_remedy(config, override, remedy):
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
def test_value_that_would_break_a_run_later_is_refused_before_it_starts(config, override):
    assert override.split("=")[0] in value_refusal(config, override)


def test_mini_batch_that_does_not_divide_names_a_size_that_does(config):
    message = value_refusal(config, "trainer.policy_mini_batch_size=24")
    assert "trainer.policy_mini_batch_size=24 does not divide trainer.train_batch_size=64" in message
    assert "try 16" in message or "try 32" in message


@pytest.mark.parametrize(("micro", "good"), [(6, 4), (3, 4), (20, 16)])
def test_micro_batch_that_splits_groups_names_a_size_that_does_not(config, micro, good):
    message = value_refusal(config, f"trainer.micro_train_batch_size_per_gpu={micro}")
    assert f"trainer.micro_train_batch_size_per_gpu={micro}" in message
    assert f"try {good}" in message
    checked(config, f"trainer.micro_train_batch_size_per_gpu={good}")


def test_suggested_sizes_are_accepted_for_every_bad_mini_batch(config):
    for mini in range(1, 65):
        try:
            checked(config, f"trainer.policy_mini_batch_size={mini}")
        except ConfigError as error:
            suggested = int(re.search(r"try (\d+)\.", str(error)).group(1))
            assert 64 % suggested == 0
        else:
            assert 64 % mini == 0


def test_last_partial_batch_of_an_epoch_is_not_refused(config):
    checked(config, "trainer.train_batch_size=7")


def test_resume_from_path_needs_the_path(config):
    assert "trainer.resume_path" in value_refusal(config, "trainer.resume_mode=from_path")
    checked(config, "trainer.resume_mode=from_path", "trainer.resume_path=checkpoints/x")


@pytest.mark.parametrize("off", ["data.val_size=0", "trainer.eval_interval=0"])
def test_early_stop_without_validation_is_refused(config, off):
    assert "trainer.early_stop_patience" in value_refusal(config, "trainer.early_stop_patience=2", off)


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("trainer.epoch=3", "trainer.epochs"),
        ("trainer.policy.optimizer_config.learning_rate=1e-4", "trainer.policy.optimizer_config.lr"),
        ("wandb=x", None),
        ("generator.n_sample_per_prompt=4", "generator.n_samples_per_prompt"),
        ("trainer.lr=1e-4", "trainer.policy.optimizer_config.lr"),
    ],
)
def test_unknown_key_is_named_with_the_likely_one(override, meant):
    message = refusal(override)
    assert f"There is no setting '{override.split('=')[0]}'" in message
    assert (f"did you mean {meant}?" if meant else "configs/train_config.yaml") in message


@pytest.mark.parametrize(
    "override",
    ["trainer.epochs=abc", "generator.n_samples_per_prompt=2.5", "trainer.tensorboard=maybe"],
)
def test_wrong_type_is_refused_with_the_override_and_the_wanted_type(override):
    message = refusal(override)
    assert override in message
    assert re.search(r"Integer|Float|bool", message)


@pytest.mark.parametrize("override", ["trainer.epochs", "trainer.epochs=[1", "=3"])
def test_override_that_cannot_be_read_is_quoted(override):
    assert override in refusal(override)


def test_load_config_refuses_what_check_config_refuses():
    assert "generator.n_samples_per_prompt=1" in refusal("generator.n_samples_per_prompt=1", name="quickstart_config")


def test_model_without_a_path_is_refused(own_configs):
    folder = own_configs("defaults: [schema, _self_]\n")
    message = refusal(name="mine", folder=folder)
    assert "trainer.policy.model.path is not set; write trainer.policy.model.path=" in message


def test_unknown_configuration_lists_those_that_exist():
    message = refusal(name="nope")
    assert "'nope'" in message
    assert "quickstart_config" in message
    assert "train_config" in message


def test_unknown_key_in_a_file_is_named(own_configs):
    folder = own_configs("defaults: [train_config, _self_]\ntrainer: {epoch: 3}\n")
    assert "epoch" in refusal(name="mine", folder=folder)


def test_wrong_type_in_a_file_is_named(own_configs):
    folder = own_configs("defaults: [train_config, _self_]\ntrainer: {epochs: many}\n")
    assert "trainer.epochs" in refusal(name="mine", folder=folder)


def test_file_that_is_no_yaml_is_named(own_configs):
    folder = own_configs("trainer: [unclosed\n")
    assert "mine" in refusal(name="mine", folder=folder)


def test_checking_a_sound_configuration_changes_nothing(config):
    before = to_dict(config)
    check_config(config)
    assert to_dict(config) == before
