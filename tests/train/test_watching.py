"""Watching judges and the alarm in a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recruiter.config import Config, ListedJudgeConfig
from recruiter.files import read_jsonl
from recruiter.judges.panel import Panel
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.train.layout import RunFolder
from recruiter.train.state import RunState
from tests.fake_policy import FakeJudge
from tests.train.test_validation import ScriptedValidation

REWARDING = ListedJudgeConfig(name="one")
EYE = ListedJudgeConfig(name="eye", does="watch", share=0.5)


def two(config: Config, one: Any, eye: Any, *others: tuple[ListedJudgeConfig, Any]) -> Panel:
    """A rewarding and a watching judge, and what the configuration says of them."""
    config.judges = [REWARDING, EYE, *(settings for settings, _ in others)]
    return Panel(config.judges, [one, eye, *(judge for _, judge in others)])


def test_a_watching_judge_changes_nothing_of_what_is_trained(small: Config, train: Any) -> None:
    alone, metrics, folder = train(small, FakeJudge(), "alone")
    judge = two(small, FakeJudge(), FakeJudge(lambda *_: None))
    watched, watched_metrics, watched_folder = train(small, judge, "watched")
    assert watched.weight == alone.weight != 0.0
    assert all(row["watch_eye"] is None and row["watch_eye_unscored"] > 0 for row in watched_metrics)
    assert [row["reward_mean"] for row in watched_metrics] == [row["reward_mean"] for row in metrics]
    assert [row["unscored"] for row in watched_metrics] == [0] * 6
    mine, theirs = (read_jsonl(place / "rollouts.jsonl") for place in (folder, watched_folder))
    assert [row["reward"] for row in mine] == [row["reward"] for row in theirs]
    assert not any("judges" in row for row in mine)


def test_metrics_and_rollouts_say_what_each_judge_gave(small: Config, train: Any) -> None:
    gate = ListedJudgeConfig(name="rules", does="gate")
    judge = two(small, FakeJudge(), FakeJudge(lambda role, question, index: float(index)), (gate, RubricJudge()))
    _, metrics, folder = train(small, judge)
    rows = [row for row in read_jsonl(folder / "rollouts.jsonl") if row["step"] == 1]
    assert {tuple(row["judges"]) for row in rows} == {("one", "rules"), ("one", "eye", "rules")}
    seen = [row["judges"]["eye"] for row in rows if "eye" in row["judges"]]
    assert 0 < len(seen) < len(rows)
    assert metrics[0]["watch_eye"] == pytest.approx(sum(seen) / len(seen))
    assert metrics[0]["watch_eye_unscored"] == 0
    assert 0.0 < metrics[0]["kept"] < 1.0
    assert metrics[0]["reward_level"] <= metrics[0]["composite"] / 10


def test_watching_judges_decide_which_checkpoint_is_the_best_and_when_to_stop(
    small: Config, train: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    small.trainer.eval_interval, small.trainer.early_stop_patience = 1, 2
    judge = two(small, ScriptedValidation([1, 2, 3, 4, 5, 6, 7]), ScriptedValidation([3, 2, 5, 4, 1, 9, 9]))
    _, metrics, folder = train(small, judge)
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    assert [row["validation_watch_eye"] for row in metrics] == [2, 5, 4, 1]
    assert [row["validation_reward"] for row in metrics] == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert RunFolder(folder).best_step == 2
    assert json.loads((folder / "best.json").read_text()) == {"global_step": 2, "validation_watch": 0.5}
    said = " ".join(capsys.readouterr().out.split())
    assert "validation after step 2: reward 0.300 on 3 of 3 roles; eye, watching, gives 5.00" in said


def test_a_validation_that_a_watching_judge_could_not_score_decides_nothing(small: Config) -> None:
    small.judges = [REWARDING, EYE]
    state = RunState(small)
    assert state.validated([0.5], {"eye": 6.0}).is_best
    found = state.validated([0.9], {"eye": None})
    assert (found.is_best, found.reward, state.best, state.since_best) == (False, 0.9, 0.6, 0)
    assert found.sentence.endswith("; eye, watching, gives no score")
    assert state.validated([0.1], {"eye": 7.0}).is_best


def test_the_run_says_the_alarm_once_and_the_metrics_hold_it_while_it_lasts(
    small: Config, train: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rewarding judge gives more with every step, the watching one less."""
    steps = {"now": 0}
    small.trainer.max_training_steps, small.trainer.epochs, small.reward.overlap_window = 14, 5, 0

    class Rising(FakeJudge):
        def read(self, groups: Any) -> None:
            steps["now"] += 1

    rising = Rising(lambda role, question, index: min(10.0, 0.5 * steps["now"] + index % 2))
    judge = two(small, rising, FakeJudge(lambda *_: max(0.0, 9.0 - 0.5 * steps["now"])))
    _, metrics, _ = train(small, judge)
    sounding = [row["step"] for row in metrics if "alarm" in row]
    assert sounding == list(range(10, 15))
    assert "the watching judge eye fell" in metrics[-1]["alarm"]
    assert " ".join(capsys.readouterr().out.split()).count("Alarm: ") == 1
    small.trainer.max_training_steps = 15
    train(small, two(small, rising, FakeJudge(lambda *_: 1.0)), resume=14)
    assert "Alarm: " not in " ".join(capsys.readouterr().out.split())


def test_sense_is_the_mean_log_probability_under_the_untrained_model(small: Config, train: Any) -> None:
    _, metrics, folder = train(small)
    firsts = [row for row in read_jsonl(folder / "rollouts.jsonl") if row["step"] == 1 and row["sample"] == 0]
    means = [-sum(range(len(words))) / len(words) for words in (row["question"].split() for row in firsts[::4])]
    assert metrics[0]["sense"] == pytest.approx(sum(means) / len(means))
