"""What a run remembers between steps: the best validation, patience, and what a checkpoint brings back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.errors import ModelError
from recruiter.train.checkpoints import CheckpointWriter
from recruiter.train.layout import Checkpoint, RunFolder
from recruiter.train.rollout import Rollout
from recruiter.train.state import RunState
from tests.conftest import MakeRole
from tests.fake_policy import FakePolicy


@pytest.fixture
def state(config: Config) -> RunState:
    config.trainer.early_stop_patience = 2
    return RunState(config)


def test_validation_is_the_mean_of_what_has_a_score_and_says_so(state: RunState) -> None:
    state.step = 7
    found = state.validated([0.5, None, 0.7])
    assert found.reward == pytest.approx(0.6)
    assert found.is_best
    assert found.sentence == "validation after step 7: reward 0.600 on 2 of 3 roles"
    nothing = state.validated([None, None])
    assert (nothing.reward, nothing.is_best, state.best) == (None, False, found.reward)
    assert nothing.sentence == "validation after step 7: reward none scored on 0 of 2 roles"


def test_patience_counts_validations_since_the_best(state: RunState) -> None:
    stops = []
    for reward in (0.5, 0.5, 0.6, 0.1, 0.2):
        state.validated([reward])
        stops.append(state.should_stop)
    assert stops == [False, False, False, False, True]
    assert state.stop_reason == "Stopped early: no better validation in 2 tries."


def test_without_patience_it_never_stops(config: Config) -> None:
    state = RunState(config)
    for _ in range(100):
        state.validated([None])
    assert not state.should_stop


def test_a_checkpoint_brings_everything_back_as_it_was_when_it_was_taken(
    state: RunState, config: Config, role: MakeRole, tmp_path: Path
) -> None:
    prompt: Any = [{"role": "system"}, {"content": "?"}]
    (samples,) = FakePolicy().sample([prompt], 2, None, 1)
    state.validated([0.4])
    state.validated([0.3])
    metrics: Any = {"step": 3, "unscored": 2, "samples": 2}
    state.trained(3, [Rollout(role(1), [], samples)], metrics)
    write = state.snapshot()
    state.step, state.unlogged = 4, None
    with CheckpointWriter(RunFolder(tmp_path), 3) as checkpoint:
        write(checkpoint)
    loaded = RunState(config)
    loaded.load(RunFolder(tmp_path).checkpoint(3))
    assert (loaded.step, loaded.since_best, loaded.limit.strained) == (3, 1, 1)
    assert loaded.best == pytest.approx(0.4)
    assert loaded.unlogged == metrics
    assert loaded.window.overlap(role(2), samples[0].text) == state.window.overlap(role(2), samples[0].text) == 1.0


def test_a_folder_that_is_no_checkpoint_is_named(state: RunState, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no whole checkpoint"):
        state.load(Checkpoint(tmp_path))
