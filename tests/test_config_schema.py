"""What stands at a setting's field, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from omegaconf import MISSING

from recruiter.config import SETTINGS, Config, may_change
from recruiter.config.setting import Section, Setting, find, format_value, setting, settings, validate
from recruiter.errors import ConfigError


@dataclass
class Oven(Section):
    degrees: int = setting(180, "how hot", ge=50, le=250, because="bread burns", may_change=True)
    light: bool = setting(False, "whether one sees inside")
    heat: Literal["top", "bottom"] | None = setting(None, "where it comes from")
    rack: str | None = setting(None, "which one")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("degrees", 300, "OVEN_DEGREES 300 cannot work: bread burns; write a whole number, 50 or more and up to 250."),
        (
            "degrees",
            True,
            "OVEN_DEGREES true cannot work: bread burns; write a whole number, 50 or more and up to 250.",
        ),
        ("light", "dim", "OVEN_LIGHT dim cannot work; write true or false."),
        ("heat", "left", "OVEN_HEAT left cannot work; write one of top, bottom, or null."),
        ("rack", [1], "OVEN_RACK [1] cannot work; write a text, or null."),
    ],
)
def test_what_cannot_work_is_said_in_the_words_of_whoever_asks(name: str, value: object, sentence: str) -> None:
    def spelled(entry: Setting, value: str) -> str:
        return f"OVEN_{entry.key.upper()} {value}"

    with pytest.raises(ConfigError) as caught:
        validate(Oven, {name: value}, spelled)
    assert str(caught.value) == sentence


def test_what_can_work_becomes_the_type() -> None:
    assert validate(Oven, {"degrees": "200", "heat": "top", "rack": 2}) == Oven(200, heat="top", rack="2")


def test_every_setting_has_a_meaning_on_one_line_and_a_default_that_can_work() -> None:
    for entry in settings(Config).values():
        assert entry.description
        assert "\n" not in entry.description
        assert "|" not in entry.description
    assert [entry.key for entry in SETTINGS.values() if entry.default == MISSING] == ["trainer.policy.model.path"]


def test_every_setting_of_training_says_what_skyrl_does_with_it() -> None:
    shared = [entry for key, entry in SETTINGS.items() if key.split(".")[0] in ("trainer", "generator")]
    assert not [entry.key for entry in shared if entry.skyrl is None]


@pytest.mark.parametrize(
    ("key", "may"),
    [
        ("trainer.epochs", True), ("trainer.seed", False), ("judge.model", False), ("judge.prices.my-model.v2.input", True),
        ("endpoint.instances.nvidia-t4.memory_gb", True), ("skyrl.trainer.placement.policy_num_nodes", True),
        ("skyrl.generator.inference_engine.num_engines", True), ("skyrl.trainer.policy.optimizer_config.scheduler", False),
        ("a.setting.of.an.older.version", False),
    ],
)  # fmt: skip
def test_a_run_may_be_continued_with_other_values_of_some_settings(key: str, may: bool) -> None:
    assert may_change(key) is may


def test_values_are_found_by_their_key_and_shown_as_a_user_writes_them(config: Config) -> None:
    assert find(config, "trainer.policy.lora.rank") == find({"a": {"b": 8}}, "a.b") == 8
    assert find({"a": 1}, "b.c") is None
    assert format_value({"a": [1.5, None], "b": True}) == "{a: [1.5, null], b: true}"
