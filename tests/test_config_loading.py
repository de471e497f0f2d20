"""Settings from files and the command line."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config, to_dict
from recruiter.config.loading import load_config
from recruiter.config.paths import CONFIGS
from recruiter.errors import ConfigError


def refusal(*overrides: str, name: str = "train_config", folder: Path = CONFIGS) -> str:
    """The message with which a configuration is refused; always a single sentence on a single line."""
    with pytest.raises(ConfigError) as caught:
        load_config(name, overrides, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(r"[.?]$", message), message
    assert not re.search(r"\.\.$|Error|Traceback|LexerNoViableAlt", message.replace("Error parsing", "")), message
    return message


@pytest.fixture
def own_configs(tmp_path: Path) -> Callable[..., Any]:
    """A folder with the base configuration and one more file of the given text."""

    def write(text: str) -> Path:
        shutil.copy(CONFIGS / "train_config.yaml", tmp_path)
        (tmp_path / "mine.yaml").write_text(text)
        return tmp_path

    return write


# ---- defaults --------------------------------------------------------------------------------------------------------


def test_train_config_has_the_values_that_the_user_named() -> None:
    config = load_config("train_config")
    assert config.trainer.policy.model.path == "exports/qwen3-4b-question-gen"
    assert config.trainer.policy.lora.rank == 8
    assert config.trainer.policy.optimizer_config.lr == 1e-5
    assert config.trainer.train_batch_size == 64
    assert config.trainer.epochs == 5
    assert config.generator.n_samples_per_prompt == 4
    assert config.generator.sampling_params.max_generate_length == 256


def test_base_mode_uses_an_llm_judge_and_quickstart_two_that_cost_nothing() -> None:
    assert load_config("train_config").judge.provider == "xai"
    quickstart = load_config("quickstart_config")
    assert [judge.provider for judge in quickstart.all_judges] == ["local", "rubric"]
    assert quickstart.trainer.algorithm.use_kl_loss
    assert load_config("quickstart_config").trainer.policy.model.path == "exports/starter"


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*_config.yaml")))
def test_every_shipped_configuration_loads_to_the_typed_schema(name: Any) -> None:
    config = load_config(name)
    assert isinstance(config, Config)
    assert isinstance(config.trainer.policy.optimizer_config.lr, float)


def test_mode_configurations_hold_only_what_differs_from_the_base() -> None:
    for path in CONFIGS.glob("*_config.yaml"):
        if path.stem != "train_config":
            assert "- train_config" in path.read_text(), path.name


def test_file_of_the_base_agrees_with_the_schema_where_both_have_a_value(config: Config) -> None:
    config.trainer.policy.model.path = "exports/qwen3-4b-question-gen"
    assert to_dict(load_config("train_config")) == to_dict(config)


def test_offline_mode_is_qwen_judged_by_grok() -> None:
    config = load_config("offline_config")
    assert config.trainer.policy.model.path == "Qwen/Qwen3-4B-Instruct-2507"
    assert (config.judge.provider, config.judge.model) == ("xai", "grok-4.3")
    assert config.trainer.train_batch_size == 64


def test_online_mode_asks_people_about_four_groups_of_four() -> None:
    config = load_config("online_config")
    assert config.trainer.policy.model.path == "exports/qwen3-4b-question-gen"
    assert (config.judge.provider, config.trainer.eval_interval) == ("human", 0)
    assert config.trainer.train_batch_size * config.generator.n_samples_per_prompt == 16


def test_price_of_another_model_is_added_to_the_table() -> None:
    prices = load_config("train_config", ["judge.prices={my-model.v2: {input: 1, output: 2.5}}"]).judge.prices
    assert prices["my-model.v2"] == {"input": 1, "output": 2.5}
    assert "grok-4.3" in prices


def test_overrides_on_the_command_line_win() -> None:
    config = load_config("quickstart_config", ["trainer.epochs=2", "judges.1.max_unscored=0.5", "data.val_size=0"])
    assert (config.trainer.epochs, config.judges[1].max_unscored, config.data.val_size) == (2, 0.5, 0)


def test_resolved_configuration_is_plain_data(config: Config) -> None:
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
def test_skyrl_spelling_of_lora_rank_means_the_same(prefix: str) -> None:
    config = load_config("train_config", [f"{prefix}trainer.policy.model.lora.rank=16"])
    assert config.trainer.policy.lora.rank == 16
    assert config.trainer.policy.lora.alpha == 16


def test_skyrl_spelling_of_lora_in_a_file_means_the_same(own_configs: Callable[..., Any]) -> None:
    folder = own_configs(
        "defaults: [train_config, _self_]\ntrainer: {policy: {model: {lora: {rank: 32, alpha: 64}}}}\n"
    )
    lora = load_config("mine", folder=folder).trainer.policy.lora
    assert (lora.rank, lora.alpha) == (32, 64)


@pytest.mark.parametrize("key", ["trainer.policy.model.lora.rank", "trainer.policy.lora.rank"])
def test_command_line_wins_over_skyrl_spelling_in_a_file(own_configs: Callable[..., Any], key: str) -> None:
    folder = own_configs("defaults: [train_config, _self_]\ntrainer: {policy: {model: {lora: {rank: 32}}}}\n")
    assert load_config("mine", [f"{key}=4"], folder).trainer.policy.lora.rank == 4


def test_skyrl_spelling_is_checked_like_the_other() -> None:
    assert "trainer.policy.lora.rank=0" in refusal("trainer.policy.model.lora.rank=0")


# ---- refusals --------------------------------------------------------------------------------------------------------


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
def test_unknown_key_is_named_with_the_likely_one(override: str, meant: str | None) -> None:
    message = refusal(override)
    assert f"There is no setting '{override.split('=')[0]}'" in message
    assert (f"did you mean {meant}?" if meant else "configs/train_config.yaml") in message


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("trainer.epochs=abc", "a whole number, 1 or more"),
        ("trainer.epochs=true", "a whole number, 1 or more"),
        ("generator.n_samples_per_prompt=2.5", "a whole number, 2 or more"),
        ("trainer.tensorboard=maybe", "true or false"),
        ("trainer.seed=null", "a whole number"),
        ("judge.provider=[xai]", "a text"),
        ("reward.overlap_free=much", "a number, 0 or more and up to 1"),
        ("endpoint.instances={x: {usd_per_hour: 1}}", "{usd_per_hour: 0.5, memory_gb: 16, dtype: float16}"),
        ("generator.sampling_params=3", "generator.sampling_params.max_generate_length=…"),
        ("trainer=5", "trainer.policy.model.path=…"),
        ("trainer.policy=null", "trainer.policy.model.path=…"),
        ("skyrl=5", "a mapping"),
    ],
)
def test_wrong_type_is_refused_with_the_key_the_value_and_what_to_write(override: str, wanted: str) -> None:
    message = refusal(override)
    assert override.partition("=")[0] in message
    assert wanted in message


@pytest.mark.parametrize("override", ["skyrl={trainer.run_name: mine}", "trainer.run_name=mine"])
def test_skyrls_settings_without_the_engine_are_unknown(override: str) -> None:
    assert "There is no setting 'trainer.run_name'" in refusal(override)


def test_a_value_from_the_environment_is_read_as_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHS", "3")
    assert load_config("train_config", ["trainer.epochs=${oc.env:EPOCHS}"]).trainer.epochs == 3


@pytest.mark.parametrize(
    "path",
    ["/été", "/a=b", "/日本", "/a#b", "/a[b]", "/a(b)", "/a{b", '/a"b', "/a'b", "/a,b", '/a\\"b', "/a&b|c", "/a;b"],
)
def test_a_path_that_hydra_cannot_read_comes_with_the_words_to_write(path: str) -> None:
    try:
        assert load_config("train_config", [f"trainer.ckpt_path={path}"]).trainer.ckpt_path == path
    except ConfigError as error:
        message = str(error)
        assert message.startswith(f"trainer.ckpt_path={path} is not valid: a value with such signs stands in quotation")
        (written,) = shlex.split(message.partition("; write ")[2].removesuffix("."))
        assert load_config("train_config", [written]).trainer.ckpt_path == path


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("hydra.run.dir=/tmp/x", "Hydra reads settings here and runs nothing; leave it out."),
        ("hydra/launcher=joblib", "leave it out."),
        ("~trainer.epochs", "write trainer.epochs=<value>."),
        ("~trainer.epochs=3", "write trainer.epochs=<value>."),
        ("+trainer.epochs=3", "write trainer.epochs=3."),
        ("++trainer.epochs=3", "write trainer.epochs=3."),
    ],
)
def test_hydras_own_words_are_refused(override: str, sentence: str) -> None:
    message = refusal(override)
    assert message.startswith(f"{override} cannot work")
    assert message.endswith(sentence)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("trainer:\n\tepochs: 3\n", 3, "character '\\t'"),
        ("trainer:\n  epochs: 3\n bad\n", 4, "expected <block end>"),
        ("trainer: {epochs: 3}\ntrainer: {epochs: 4}\n", 3, "duplicate key trainer"),
        ("judge: {model: *none}\n", 2, "undefined alias"),
        ("trainer: {epochs: 3\n", 3, "expected ',' or '}'"),
    ],
)
def test_yaml_that_cannot_be_read_is_named_with_its_line(
    own_configs: Callable[..., Any], text: str, line: int, problem: str
) -> None:
    folder = own_configs(f"defaults: [train_config, _self_]\n{text}")
    message = refusal(name="mine", folder=folder)
    assert re.search(rf"mine\.yaml, line {line}: it cannot be read as YAML \(.*{re.escape(problem)}", message)


@pytest.mark.parametrize("override", ["trainer.epochs", "trainer.epochs=[1", "=3"])
def test_override_that_cannot_be_read_is_quoted(override: str) -> None:
    assert override in refusal(override)


def test_load_config_refuses_what_the_checks_refuse() -> None:
    assert "generator.n_samples_per_prompt=1" in refusal("generator.n_samples_per_prompt=1", name="quickstart_config")


def test_model_without_a_path_is_refused(own_configs: Callable[..., Any]) -> None:
    folder = own_configs("defaults: [schema, _self_]\n")
    message = refusal(name="mine", folder=folder)
    assert "trainer.policy.model.path is not set; write trainer.policy.model.path=" in message


def test_unknown_configuration_lists_those_that_exist() -> None:
    message = refusal(name="nope")
    assert "'nope'" in message
    assert "quickstart_config" in message
    assert "train_config" in message


def test_a_file_elsewhere_may_build_on_those_that_come_with_the_package(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [quickstart_config, _self_]\ntrainer: {epochs: 2}\n")
    config = load_config("mine", folder=tmp_path)
    assert ([judge.provider for judge in config.all_judges], config.trainer.epochs) == (["local", "rubric"], 2)


def test_unknown_key_in_a_file_is_named(own_configs: Callable[..., Any]) -> None:
    folder = own_configs("defaults: [train_config, _self_]\ntrainer: {epoch: 3}\n")
    assert "epoch" in refusal(name="mine", folder=folder)


def test_wrong_type_in_a_file_is_named(own_configs: Callable[..., Any]) -> None:
    folder = own_configs("defaults: [train_config, _self_]\ntrainer: {epochs: many}\n")
    assert "trainer.epochs" in refusal(name="mine", folder=folder)


def test_file_that_is_no_yaml_is_named(own_configs: Callable[..., Any]) -> None:
    folder = own_configs("trainer: [unclosed\n")
    assert "mine" in refusal(name="mine", folder=folder)
