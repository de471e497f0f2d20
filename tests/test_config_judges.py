"""Several judges in a configuration: how they are written, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recruiter.config import Config, JudgeConfig, ListedJudgeConfig, may_change, to_dict
from recruiter.config.checks import checked
from recruiter.config.loading import load_config
from recruiter.errors import ConfigError

TWO = "judges=[{provider: xai, weight: 2}, {provider: rubric, does: gate}]"


def refusal(*overrides: str, name: str = "quickstart_config") -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(name, overrides)
    assert re.fullmatch(r"[^\n]+[^.][.?]", str(caught.value))
    return str(caught.value)


def test_a_list_names_several_judges_and_takes_the_place_of_the_one_in_the_files() -> None:
    config = load_config("quickstart_config", [TWO])
    assert [(entry.title, entry.does, entry.weight) for entry in config.judges] == [
        ("xai", "reward", 2.0),
        ("rubric", "gate", 1.0),
    ]
    assert [judge.place for judge in config.all_judges] == ["judges.0", "judges.1"]
    assert config.judge == JudgeConfig()


def test_one_judge_is_written_as_ever() -> None:
    config = load_config("quickstart_config", ["judge.provider=rubric"])
    assert (config.judges, [(judge.provider, judge.place) for judge in config.all_judges]) == (
        [],
        [("rubric", "judge")],
    )


def test_single_settings_of_judges_are_written_by_their_place() -> None:
    overrides = ["judges.0.provider=rubric", "judges.1.provider=openai_compatible", "judges.1.model=qwen3:8b",
                 "judges.1.base_url=http://localhost:11434/v1", "judges.1.prices={m.1: {input: 1, output: 2.5}}"]  # fmt: skip
    config = load_config("quickstart_config", overrides)
    assert [entry.provider for entry in config.judges] == ["rubric", "openai_compatible"]
    assert (config.judges[1].model, config.judges[1].base_url) == ("qwen3:8b", "http://localhost:11434/v1")
    assert config.judges[1].prices == {"m.1": {"input": 1, "output": 2.5}}
    changed = load_config("quickstart_config", [TWO, "judges.1.does=watch", "judges.1.share=0.5"])
    assert [(entry.provider, entry.does, entry.share) for entry in changed.judges] == [
        ("xai", "reward", 0.25),
        ("rubric", "watch", 0.5),
    ]


def test_the_command_line_names_other_judges_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "defaults: [train_config, _self_]\njudges: [{provider: xai}, {provider: rubric, does: gate}]\n"
    )
    assert len(load_config("mine", folder=tmp_path).judges) == 2
    assert load_config("mine", ["judges.1.does=watch"], tmp_path).judges[1].does == "watch"
    one = load_config("mine", ["judge.provider=rubric"], tmp_path)
    assert (one.judges, one.judge.provider) == ([], "rubric")
    with pytest.raises(ConfigError, match="judge and judges are both given"):
        load_config("mine", ["judge.concurrency=8"], tmp_path)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([TWO, "judge.provider=xai"], "judge and judges are both given"),
        (["judges=[{provider: rubric, does: gate}]"], "None of judges rewards (rubric)"),
        (["judges=[{provider: rubric}, {provider: rubric, does: gate}]"], "Two of judges are called rubric"),
        (["judges=[{provider: human}, {provider: rubric, does: gate}]"], "judge.provider=human"),
        (["judges=[{provider: rubric, weight: 0}]"], "judges.0.weight=0 cannot work; write a number above 0."),
        (["judges=[{provider: rubric, share: 2}]"], "judges.0.share=2 cannot work"),
        (
            ["judges=[{provider: rubric, does: dance}]"],
            "judges.0.does=dance cannot work; write one of reward, gate, watch.",
        ),
        (["judges=[{provider: rubric, name: A b}]"], "judges.0.name=A b cannot work; write small letters"),
        (["judges=[{provder: rubric}]"], "There is no setting 'judges.0.provder'; did you mean judges.0.provider?"),
        (["judges=[{zzz: 1}]"], "There is no setting 'judges.0.zzz'; see docs/judges.md"),
        (["judges=[rubric]"], "judges=[rubric] cannot work; write a list such as [{provider: xai}"),
        (["judges=3"], "judges=3 cannot work; write a list"),
        (["judges.3.provider=rubric"], "judges.3.provider=rubric cannot work: there is no judges.2 before it."),
        (["judges.0.attempt_timeout=300"], "judges.0.attempt_timeout=300 is longer than judges.0.total_timeout=100"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(overrides: list[str], words: str) -> None:
    assert words in refusal(*overrides)


def test_both_forms_in_one_configuration_are_refused_however_it_was_made(config: Config) -> None:
    config.judges, config.judge.provider = [ListedJudgeConfig(provider="rubric")], "rubric"
    with pytest.raises(ConfigError, match="leave the other out"):
        checked(to_dict(config))
    config.judge = JudgeConfig()
    checked(to_dict(config))


def test_a_run_is_continued_with_other_values_where_one_judge_allows_it() -> None:
    assert may_change("judges.1.concurrency")
    assert may_change("judges.0.prices.m.input")
    assert not any(map(may_change, ("judges.0.model", "judges.0.weight", "judges.1.does", "judges")))
