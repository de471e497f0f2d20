"""Gradients and figures that are no numbers: never applied, stored or gone on from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.engines import UpdateResult
from recruiter.errors import DivergedError
from recruiter.files import read_jsonl
from recruiter.train.layout import RunFolder
from tests.fake_policy import FakePolicy
from tests.train.conftest import saved_weight
from tests.train.running import Train


class Diverges(FakePolicy):
    """Has no finite gradient in some of its updates, counted from 1."""

    def __init__(self, updates: Any, value: float = math.nan) -> None:
        super().__init__()
        self.bad, self.value = updates, value

    def forward_backward(self, groups: Any) -> Any:
        sums = super().forward_backward(groups)
        if self.names().count("optim_step") + 1 in self.bad:
            sums.loss, sums.kl, sums.has_kl = self.value, self.value, True
        return sums

    def optim_step(self, tokens: Any) -> UpdateResult:
        if self.names().count("optim_step") + 1 not in self.bad:
            return super().optim_step(tokens)
        self.calls.append(("optim_step", tokens))
        self.gradient = 0.0
        return UpdateResult(self.value, 0.01)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_skipped_updates_are_counted_and_their_figures_are_null(small: Config, train: Train, value: float) -> None:
    _, rows, folder = train(small, policy=Diverges({2}, value))
    assert [row.get("updates_skipped") for row in rows] == [None, 1, None, None, None, None]
    assert [row["updates"] for row in rows] == [1, 0, 1, 1, 1, 1]
    assert (rows[1]["loss"], rows[1]["kl"], rows[1]["grad_norm"], rows[1]["learning_rate"]) == (None,) * 4
    assert RunFolder(folder).steps == [6]


def test_one_of_several_updates_of_a_step_is_skipped(small: Config, train: Train) -> None:
    small.trainer.policy_mini_batch_size = 2
    _, rows, _ = train(small, policy=Diverges({1}))
    assert (rows[0]["updates"], rows[0]["updates_skipped"]) == (1, 1)
    assert rows[0]["grad_norm"] is not None


def test_three_steps_without_a_finite_gradient_end_the_run_with_a_finite_checkpoint(
    small: Config, train: Train
) -> None:
    small.trainer.ckpt_interval = 1
    policy, rows, folder = train(small, policy=Diverges(range(3, 99)), raises=DivergedError)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    for part in ("last 3 steps", "after step 2", "optimizer_config.lr"):
        assert part in policy.error
    assert "\n" not in policy.error
    assert RunFolder(folder).steps[-1] == 5
    assert math.isfinite(saved_weight(folder, 5))
    assert saved_weight(folder, 5) == saved_weight(folder, 2)


def test_the_checkpoint_of_a_step_with_bad_figures_can_be_continued(
    small: Config, train: Train, tmp_path: Path
) -> None:
    small.trainer.max_training_steps = 2
    train(small, policy=Diverges({2}))
    state = tmp_path / "run/global_step_2/trainer_state.json"
    stored = json.loads(state.read_text(), parse_constant=pytest.fail)
    assert stored["step"] == 2
    unlogged = {**read_jsonl(tmp_path / "run/metrics.jsonl")[1], "kl": math.nan}  # as earlier versions stored it
    state.write_text(json.dumps({**stored, "unlogged": unlogged}))
    small.trainer.max_training_steps = 3
    _, rows, _ = train(small, resume=2)
    assert rows[-1]["step"] == 3
    assert next(row for row in reversed(rows) if row["step"] == 2)["kl"] is None
