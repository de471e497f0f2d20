"""Validation, the best checkpoint, and stopping early."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.roles.schedule import sampling_seed
from recruiter.rubric import Judgement
from recruiter.train.layout import RunFolder
from tests.fake_policy import FakeJudge
from tests.scoring import scored
from tests.train.running import Train


class ScriptedValidation(FakeJudge):
    """Gives the scripted mean at each validation (roles 10 to 12 are held back)."""

    def __init__(self, means: list[float | None]) -> None:
        super().__init__()
        self.means, self.asked = means, 0

    async def score(self, role: Any, questions: Any) -> Any:
        if int(role.id[-3:]) < 10:
            return await super().score(role, questions)
        value = self.means[self.asked // 3]
        self.asked += 1
        return [Judgement.unscored("timed out") if value is None else Judgement(scored(value))]


def test_validation_is_every_few_steps_always_with_the_same_random_numbers(small: Config, train: Train) -> None:
    small.trainer.eval_interval = 2
    policy, metrics, _ = train(small, ScriptedValidation([1, 2, 3, 4]))
    validations = [call for call in policy.calls if call[0] == "sample" and call[3] == 1]
    assert validations == [("sample", sampling_seed(42, 0), 3, 1)] * 4
    assert [row.get("validation_reward") for row in metrics] == pytest.approx([None, 0.2, None, 0.3, None, 0.4])


def test_best_checkpoint_is_marked_and_survives_pruning(small: Config, train: Train) -> None:
    small.trainer.eval_interval, small.trainer.max_ckpts_to_keep, small.trainer.ckpt_interval = 1, 1, 1
    _, _, folder = train(small, ScriptedValidation([1, 2, 6, 3, 5, 4, 2]))
    assert RunFolder(folder).best_step == 2
    assert json.loads((folder / "best.json").read_text())["validation_reward"] == pytest.approx(0.6)
    assert RunFolder(folder).steps == [2, 6]


def test_best_is_saved_even_between_checkpoint_intervals(small: Config, train: Train) -> None:
    small.trainer.eval_interval, small.trainer.ckpt_interval = 1, 100
    _, _, folder = train(small, ScriptedValidation([1, 1, 6, 3, 5, 4, 2]))
    assert RunFolder(folder).steps == [2, 6]


def test_early_stop_after_validations_without_a_new_best(small: Config, train: Train) -> None:
    small.trainer.eval_interval, small.trainer.early_stop_patience = 1, 2
    _, metrics, folder = train(small, ScriptedValidation([3, 2, 5, 4, 5, 9, 9]))
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    assert RunFolder(folder).steps == [2, 4]


def test_patience_is_remembered_over_a_resume(small: Config, train: Train) -> None:
    small.trainer.eval_interval, small.trainer.early_stop_patience, small.trainer.max_training_steps = 1, 2, 3
    train(small, ScriptedValidation([1, 2, 5, 4]))
    small.trainer.max_training_steps = 6
    _, metrics, _ = train(small, ScriptedValidation([4, 9, 9]), resume=3)
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]


def test_run_that_stopped_early_is_not_trained_further_when_started_again(small: Config, train: Train) -> None:
    small.trainer.eval_interval, small.trainer.early_stop_patience = 1, 2
    train(small, ScriptedValidation([1, 2, 5, 4, 5]))
    policy, metrics, _ = train(small, ScriptedValidation([1]), resume=4)
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    assert policy.calls == []


def test_validation_in_which_nothing_was_scored_is_no_number(small: Config, train: Train) -> None:
    small.trainer.eval_interval, small.trainer.max_training_steps = 1, 2
    _, metrics, folder = train(small, ScriptedValidation([None, None, 3]))
    assert [row["validation_reward"] for row in metrics] == [None, pytest.approx(0.3)]
    assert RunFolder(folder).best_step == 2


def test_no_validation_without_validation_roles_or_interval(small: Config, train: Train) -> None:
    policy, metrics, _ = train(small)
    assert sampling_seed(42, 0) not in {call[1] for call in policy.calls if call[0] == "sample"}
    assert all("validation_reward" not in row for row in metrics)
