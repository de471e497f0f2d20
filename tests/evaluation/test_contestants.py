from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from recruiter.config import SamplingParams
from recruiter.config.loading import load_config
from recruiter.errors import ConfigError, ModelError
from recruiter.evaluation.contestants import (
    Contestant,
    common_sampling,
    contestant_flags,
    find_contestants,
    judge_flags,
    training_rollouts,
)
from recruiter.evaluation.spending import limit_spending, spending
from recruiter.judges.making import make_judge, named_judge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.rubric import load_rubric
from recruiter.writers.local import LocalWriter
from tests.conftest import MakeRole, known
from tests.scoring import RUBRIC


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XAI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def trained(tmp_path: Path, role: MakeRole) -> Path:
    """A run with one checkpoint, judged by the rubric, that sampled for roles 0 and 1; and an export of it."""
    run = tmp_path / "checkpoints/mine"
    adapter = run / "global_step_3/policy/lora_adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "exports/starter", "peft_type": "LORA"}')
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    sampling = asdict(SamplingParams(max_generate_length=48, temperature=0.7))
    config = {"generator": {"sampling_params": sampling}, "data": {"raw_dir": str(tmp_path / "raw")}}
    (run / "run.json").write_text(json.dumps({"judge": "rubric", "config": config}))
    rows = [{"step": 1, "role_id": f"role-00{i}", "question": "Why?"} for i in (0, 1)]
    (run / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    export = tmp_path / "exports/mine"
    export.mkdir(parents=True)
    (export / "config.json").write_text("{}")
    (export / "export.json").write_text(json.dumps({"checkpoint": str(adapter)}))
    return tmp_path


def test_the_baseline_comes_first_wherever_it_is_named(trained: Path) -> None:
    found, left_out = find_contestants(["rl", "baseline"], str(trained / "checkpoints/mine"))
    assert [contestant.name for contestant in found] == ["baseline", "rl"]
    assert left_out == {}
    found, _ = find_contestants([str(trained / "exports/mine"), "rl"], str(trained / "checkpoints/mine"))
    assert found[1].name == "rl"


def test_a_model_that_is_named_twice_or_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="--model names baseline twice"):
        find_contestants(["baseline", "baseline"], None)
    with pytest.raises(ModelError, match="exports/nowhere"):
        find_contestants(["exports/nowhere"], None)


def test_a_missing_key_ends_everything_unless_it_may_be_skipped() -> None:
    with pytest.raises(ConfigError, match="XAI_API_KEY"):
        find_contestants(["baseline", "grok-4-1"], None)
    found, left_out = find_contestants(["baseline", "grok-4-1"], None, skip_missing_keys=True)
    assert [contestant.name for contestant in found] == ["baseline"]
    assert "XAI_API_KEY" in left_out["grok-4-1"]
    with pytest.raises(ConfigError, match="No model is left to evaluate"):
        find_contestants(["grok-4-1"], None, skip_missing_keys=True)


def test_only_a_missing_key_may_be_skipped() -> None:
    with pytest.raises(ConfigError, match="base-url"):
        find_contestants(["baseline", "openai_compatible/mine"], None, skip_missing_keys=True)


def test_all_models_are_sampled_as_the_first_that_was_trained_here(trained: Path) -> None:
    found, _ = find_contestants(["baseline", "rl"], str(trained / "checkpoints/mine"))
    assert common_sampling(found) == SamplingParams(max_generate_length=48, temperature=0.7)
    assert common_sampling(found[:1]) == load_config("train_config").generator.sampling_params


@pytest.mark.parametrize("which", ["checkpoints/mine", "exports/mine"])
def test_a_checkpoint_and_its_export_know_their_training(trained: Path, which: str, role: MakeRole) -> None:
    (contestant,), _ = find_contestants(["rl"], str(trained / which))
    record = contestant.record(SamplingParams())
    assert (record.kind, known(record.training).step, known(record.training).judge) == ("local", 3, "rubric")
    assert judge_flags(RubricJudge(), [contestant]) == [
        "it also judged the training of rl, so its word is no evidence that rl got better"
    ]
    flags = contestant_flags(
        [contestant], [role(i) for i in range(4)], SamplingParams(), load_rubric("tests/own_rubric.yaml")
    )
    assert "rl was trained on 2 of these 4 roles." in flags
    assert "rl was trained with other sampling settings (max_generate_length 48, temperature 0.7" in flags[1]
    assert flags[2] == "rl was trained by other criteria (relevance, clarity, discriminative)."
    assert training_rollouts(contestant) is None  # its roles are not there


def test_an_adapter_whose_run_is_gone_says_that_its_judge_is_not_known(trained: Path, role: MakeRole) -> None:
    (trained / "checkpoints/mine/run.json").unlink()
    adapter = trained / "checkpoints/mine/global_step_3/policy/lora_adapter"
    (contestant,), _ = find_contestants(["rl"], str(adapter))
    assert contestant_flags([contestant], [role(0)], SamplingParams(), RUBRIC) == [
        "rl was trained in a run that is not here, so it is not known which judge rewarded it."
    ]


def test_an_untrained_model_raises_no_flags(role: MakeRole) -> None:
    contestant = Contestant("mine", LocalWriter("exports/starter"))
    assert contestant.record(SamplingParams()).training is None
    assert judge_flags(RubricJudge(), [contestant]) == []
    assert contestant_flags([contestant], [role(0)], SamplingParams(), RUBRIC) == []


def test_a_judge_that_takes_part_itself_is_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", "xai-0123456789-of-the-tests")
    found, _ = find_contestants(["baseline", "grok-4-1"], None)
    assert judge_flags(make_judge(named_judge("xai")), found) == [
        "it is the contestant grok-4-1, and may favour its own questions"
    ]


def test_a_retired_model_is_recorded_as_the_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", "xai-0123456789-of-the-tests")
    (found,), _ = find_contestants(["grok-4-1"], None)
    record = found.record(SamplingParams())
    assert (found.name, record.source) == ("grok-4-1", "xai/grok-4.3")
    note = (
        "xai ended grok-4-1-fast-non-reasoning on 2026-05-15; its successor grok-4.3 is used with reasoning effort none"
    )
    assert record.notes == [note]
    assert judge_flags(make_judge(named_judge("xai/grok-4-1-fast-non-reasoning")), []) == [note]


def test_a_budget_needs_every_price_and_prices_need_their_model() -> None:
    found, _ = find_contestants(["openai_compatible/mine"], None, "http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match=r"--budget-usd 2 needs the price of mine: add --price mine INPUT OUTPUT"):
        limit_spending(found, [], 2.0, {})
    limit_spending(found, [], 2.0, {"mine": (1.0, 2.0)})
    assert known(known(found[0].api).usage.price).output == 2.0
    with pytest.raises(ConfigError, match="--price names yours"):
        limit_spending(found, [], None, {"yours": (1.0, 2.0)})


def test_a_model_that_judges_itself_spends_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", "xai-0123456789-of-the-tests")
    found, _ = find_contestants(["xai", "grok-4-1"], None)
    judge = make_judge(named_judge("xai"))
    assert list(spending(found, [judge])) == ["xai", "grok-4-1", judge.name]
    found, _ = find_contestants([judge.name], None)
    assert list(spending(found, [judge])) == [judge.name, f"{judge.name} as a judge"]
