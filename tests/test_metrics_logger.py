from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from recruiter.config import Config
from recruiter.engines import Sample, TokenSums, UpdateResult
from recruiter.errors import ConfigError
from recruiter.files import read_jsonl
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.metrics_logger import RunLog
from recruiter.prompts import PROMPT_HASH
from recruiter.reward import Reward
from recruiter.rubric import Judgement
from recruiter.train.rollout import Rollout, rollout_rows, step_metrics
from tests.conftest import MakeRole, known
from tests.scoring import RUBRIC, scored


def line(step: int, **changes: Any) -> dict[str, Any]:
    shown = {
        "reward_mean": 0.5,
        "reward_std": 0.1,
        "length_mean": 9.0,
        "samples": 4,
        "unscored": 0,
        "kl": None,
        "cut_off": 0,
    }
    return {"step": step, **shown, "seconds": 1.0, **changes}


@pytest.fixture
def run(tmp_path: Path, config: Config) -> Callable[..., Any]:
    """Open the log of a run, write the given lines, and return its folder."""

    def write(*lines: dict[str, Any], resumed_from: int = 0, settings: Any = None) -> Any:
        with RunLog(tmp_path / "run", settings or config, RubricJudge(), 9, resumed_from) as log:
            for row in lines:
                log.step(cast(Any, row))
                rollouts: list[Any] = [
                    {"step": row["step"], "sample": index, "question": "Wie läuft's?"} for index in (0, 1)
                ]
                log.rollouts(rollouts)
        return tmp_path / "run"

    return write


def test_run_is_described_by_what_made_it(run: Callable[..., Any], config: Config) -> None:
    description = json.loads((run() / "run.json").read_text())
    assert description["config"]["trainer"]["train_batch_size"] == 64
    assert (description["judge"], description["prompt_hash"], description["rubric_hash"]) == (
        "rubric",
        PROMPT_HASH,
        RUBRIC.hash,
    )
    assert {"version", "revision"} <= set(description)


def test_lines_are_on_disk_before_the_log_is_closed(tmp_path: Path, config: Config) -> None:
    with RunLog(tmp_path, config, RubricJudge(), 9) as log:
        log.step(cast(Any, line(1)))
        log.rollouts([cast(Any, {"step": 1})])
        assert read_jsonl(tmp_path / "metrics.jsonl") == [line(1)]
        assert read_jsonl(tmp_path / "rollouts.jsonl") == [{"step": 1}]


def test_torn_last_line_is_left_out_when_reading(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3, "rew')
    assert read_jsonl(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\n", "\r"])
def test_question_with_any_line_separator_survives_storing_and_resuming(
    tmp_path: Path, config: Config, separator: str
) -> None:
    row: Any = {"step": 1, "question": f"How would{separator}you?"}
    with RunLog(tmp_path, config, RubricJudge(), 9) as log:
        log.rollouts([row])
    assert read_jsonl(tmp_path / "rollouts.jsonl") == [row]
    with RunLog(tmp_path, config, RubricJudge(), 9, 1):
        pass
    assert read_jsonl(tmp_path / "rollouts.jsonl") == [row]


def test_resuming_drops_later_steps_and_the_torn_line_and_appends(run: Callable[..., Any]) -> None:
    folder = run(line(1), line(2), line(3))
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        with (folder / name).open("a") as file:
            file.write('{"step": 4, "torn')
    run(line(3, reward_mean=0.7), resumed_from=2)
    assert read_jsonl(folder / "metrics.jsonl") == [line(1), line(2), line(3, reward_mean=0.7)]
    assert [row["step"] for row in read_jsonl(folder / "rollouts.jsonl")] == [1, 1, 2, 2, 3, 3]


def test_new_run_in_a_folder_without_checkpoints_starts_over(run: Callable[..., Any]) -> None:
    run(line(1), line(2))
    assert read_jsonl(run(line(1)) / "metrics.jsonl") == [line(1)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.policy.optimizer_config.lr", 5e-5),
        ("trainer.train_batch_size", 32),
        ("generator.n_samples_per_prompt", 8),
        ("trainer.seed", 7),
        ("judge.provider", "rubric"),
        ("trainer.policy.optimizer_config.adam_betas", [0.9, 0.95]),
    ],
)
def test_continuing_with_other_settings_is_refused_naming_key_and_both_values(
    run: Callable[..., Any], config: Config, key: str, value: Any
) -> None:
    folder = run(line(1))
    before = (folder / "metrics.jsonl").read_text()
    *parents, name = key.split(".")
    node = config
    for parent in parents:
        node = getattr(node, parent)
    old = getattr(node, name)
    setattr(node, name, value)
    with pytest.raises(ConfigError) as caught:
        run(resumed_from=1)
    assert f"{key}={old}, not {value}" in str(caught.value)
    assert "trainer.ckpt_path" in str(caught.value)
    assert (folder / "metrics.jsonl").read_text() == before


def test_continuing_longer_or_with_other_intervals_is_allowed(run: Callable[..., Any], config: Config) -> None:
    run(line(1))
    config.trainer.epochs, config.trainer.ckpt_interval, config.trainer.max_training_steps = 50, 3, 99
    config.judge.max_unscored, config.trainer.eval_interval = 0.9, 1
    assert len(read_jsonl(run(line(2), resumed_from=1) / "metrics.jsonl")) == 2


def test_step_is_shown_with_reward_spread_length_unscored_kl_time_and_time_left(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run(line(3, unscored=2, kl=0.0123, reward_mean=0.4567))
    shown = capsys.readouterr().out
    for part in ("step 3/9", "reward 0.457 ±0.10", "length 9", "unscored 2/4", "KL 0.0123", "1.0 s", "left"):
        assert part in shown


@pytest.mark.parametrize(("cut_off", "said"), [(2, False), (3, True)])
def test_answers_that_mostly_do_not_end_are_said(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str], cut_off: int, said: bool
) -> None:
    run(line(3, cut_off=cut_off))
    assert ("length 9, 75% cut off" in capsys.readouterr().out) == said


@pytest.mark.parametrize("missing", [{"reward_mean": None, "reward_std": None}, {"reward_std": None}])
def test_step_without_reward_or_spread_is_shown_and_stored(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str], missing: dict[str, Any]
) -> None:
    folder = run(line(1, **missing))
    assert read_jsonl(folder / "metrics.jsonl") == [line(1, **missing)]
    assert "0.000" not in capsys.readouterr().out


# ---- a step's figures ------------------------------------------------------------------------------------------------


def rollout(role: Any, *values: float | None, lengths: Any = (2, 4), finished: bool = True) -> Rollout:
    rewards = []
    for value in values:
        judgement = Judgement.unscored("timed out") if value is None else Judgement(scored(value, value + 1, value + 2))
        rewards.append(Reward(judgement, 0.25, None if value is None else known(judgement.reward) - 0.05))
    samples = [Sample("Why?", [1] * length, [0.0] * length, finished) for length in lengths]
    return Rollout(role, [], samples, rewards=rewards)


def test_step_metrics_by_hand(role: MakeRole) -> None:
    rollouts = [rollout(role(0), 3, 5), rollout(role(1), 7, None, lengths=(6, 8), finished=False)]
    sums = TokenSums(tokens=10, loss=-5.0, kl=1.0, entropy=20.0, clipped=3.0, ratio=9.0, max_ratios=[1.5], has_kl=True)
    metrics = step_metrics(4, rollouts, sums, [UpdateResult(2.0, 1e-4), UpdateResult(4.0, 2e-4)], RUBRIC.names)
    expected = {
        "step": 4,
        "reward_mean": (0.35 + 0.55 + 0.75) / 3,
        "reward_std": 0.2 / 2**0.5,  # of the one group with two scored samples: 0.35 and 0.55
        "composite": 6.0,
        "relevance": 5.0,
        "clarity": 6.0,
        "discriminative": 7.0,
        "overlap": 0.25,
        "penalty": 0.05,
        "samples": 4,
        "unscored": 1,
        "groups": 2,
        "groups_without_spread": 1,
        "length_mean": 5.0,
        "length_max": 8,
        "cut_off": 2,
        "trained_tokens": 10,
        "loss": -0.5,
        "kl": 0.1,
        "entropy": 2.0,
        "clipped": 0.3,
        "rollout_ratio_mean": 0.9,
        "rollout_ratio_max": 1.5,
        "updates": 2,
        "grad_norm": 3.0,
        "learning_rate": 2e-4,
    }
    found: dict[str, Any] = {**metrics}
    assert found.pop("unscored_reasons") == {"timed out": 1}
    assert found == pytest.approx(expected)


def test_means_over_nothing_are_none_and_never_zero(role: MakeRole) -> None:
    metrics: Any = step_metrics(1, [rollout(role(), None, None)], TokenSums(), [], RUBRIC.names)
    nothing: tuple[str, ...] = (
        "reward_mean",
        "reward_std",
        "composite",
        "relevance",
        "clarity",
        "discriminative",
        "penalty",
        "loss",
    )
    nothing += ("kl", "entropy", "clipped", "rollout_ratio_mean", "rollout_ratio_max", "grad_norm", "learning_rate")
    assert {name: metrics[name] for name in nothing} == dict.fromkeys(nothing)
    assert (metrics["samples"], metrics["unscored"], metrics["trained_tokens"], metrics["updates"]) == (2, 2, 0, 0)


def test_kl_is_none_when_it_is_off(role: MakeRole) -> None:
    assert step_metrics(1, [rollout(role(), 3, 5)], TokenSums(tokens=4, kl=0.0), [], RUBRIC.names)["kl"] is None


def test_rollout_rows_keep_the_question_what_was_said_of_it_and_unscored_ones(role: MakeRole) -> None:
    first, second = rollout_rows(3, [rollout(role(7), 3, None)])
    assert (first["step"], first["role_id"], first["sample"], first["question"]) == (3, "role-007", 0, "Why?")
    assert first["scores"] == {"relevance": 3, "clarity": 4, "discriminative": 5}
    assert first["reward"] == pytest.approx(0.35)
    assert (second["scores"], second["reward"], second["unscored_reason"]) == (None, None, "timed out")
