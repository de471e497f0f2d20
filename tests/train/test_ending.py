"""How a run ends and goes on: failures, kills, interrupts, checkpoints."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.engines import Sample
from recruiter.errors import JudgeError, ModelError, UnscoredError
from recruiter.roles.schedule import sampling_seed
from recruiter.rubric import Judgement
from recruiter.train.interruption import Interrupted
from recruiter.train.layout import RunFolder
from tests.fake_policy import FakeJudge, FakePolicy
from tests.train.conftest import saved_weight
from tests.train.running import Train


def test_too_many_unscored_end_the_run_before_anything_is_updated(small: Config, train: Train) -> None:
    good, _, _ = train(small, name="undisturbed")
    roles_seen = []

    def fails_in_third_step(role: Any, question: Any, index: Any) -> Any:
        if index == 0:
            roles_seen.append(role.id)
        return None if len(roles_seen) > 8 and index > 0 else FakeJudge().score_one(role, question, index)

    policy, metrics, folder = train(small, FakeJudge(fails_in_third_step), raises=UnscoredError)
    assert [row["step"] for row in metrics] == [1, 2]
    assert RunFolder(folder).steps == [2]
    assert policy.names().count("optim_step") == 2
    assert saved_weight(folder, 2) == policy.weight
    for part in ("3 of 8 samples of step 3", "judge.max_unscored=0.2", "timed out", "up to step 2 is saved"):
        assert part in policy.error
    assert "\n" not in policy.error
    resumed, metrics, _ = train(small, resume=2)
    assert resumed.weight == good.weight
    assert [row["step"] for row in metrics] == [1, 2, 3, 4, 5, 6]


def test_unscored_share_at_the_limit_is_allowed(small: Config, train: Train) -> None:
    small.judge.max_unscored, small.trainer.max_training_steps = 0.25, 1
    judge = FakeJudge(lambda role, question, index: None if index == 0 else float(index))
    policy, metrics, _ = train(small, judge)
    assert metrics[0]["unscored"] == 4
    assert policy.names().count("optim_step") == 1


class QuarterUnscored(FakeJudge):
    """Leaves the first of four samples of every group unscored, from a step on, perhaps with one step's pause."""

    def __init__(self, from_step: int, groups: int, pause_at: int = 0) -> None:
        super().__init__()
        self.from_step, self.groups, self.pause_at, self.asked = from_step, groups, pause_at, 0

    async def score(self, role: Any, questions: Any) -> Any:
        step, self.asked = self.asked // self.groups + 1, self.asked + 1
        judgements = await super().score(role, questions)
        fails = step >= self.from_step and step != self.pause_at
        return [Judgement.unscored("timed out"), *judgements[1:]] if fails else judgements


@pytest.fixture
def strained(small: Config) -> Config:
    """A quarter unscored is above half of the limit, and below the limit."""
    small.judge.max_unscored, small.data.val_size = 0.4, 0
    small.trainer.train_batch_size, small.trainer.epochs, small.trainer.max_training_steps = 5, 4, 8
    return small


def test_three_steps_in_a_row_above_half_of_the_limit_end_the_run(strained: Config, train: Train) -> None:
    policy, metrics, folder = train(strained, QuarterUnscored(from_step=2, groups=5), raises=UnscoredError)
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert RunFolder(folder).steps == [3]
    assert policy.names().count("optim_step") == 3
    for part in ("of 20 samples of step 4", "half of judge.max_unscored=0.4", "two steps before", "timed out"):
        assert part in policy.error


def test_strained_steps_count_only_in_a_row(strained: Config, train: Train) -> None:
    strained.trainer.max_training_steps = 5
    _, metrics, _ = train(strained, QuarterUnscored(from_step=1, groups=5, pause_at=3))
    assert [bool(row["unscored"]) for row in metrics] == [True, True, False, True, True]


def test_strained_steps_are_remembered_over_a_resume(strained: Config, train: Train) -> None:
    train(strained, QuarterUnscored(from_step=2, groups=5), raises=UnscoredError)
    policy, metrics, _ = train(strained, QuarterUnscored(from_step=1, groups=5), resume=3, raises=UnscoredError)
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert "of step 4" in policy.error
    _, metrics, _ = train(strained, resume=3)
    assert metrics[-1]["step"] == 8


def test_judge_that_cannot_be_used_ends_the_run_with_a_checkpoint_of_the_last_step(small: Config, train: Train) -> None:
    class Breaks(FakeJudge):
        async def score(self, role: Any, questions: Any) -> Any:
            self.count = getattr(self, "count", 0) + 1
            if self.count > 4:
                raise JudgeError("the key was refused")
            return await super().score(role, questions)

    policy, _, folder = train(small, Breaks(), raises=JudgeError)
    assert RunFolder(folder).steps == [1]
    assert saved_weight(folder, 1) == policy.weight


@pytest.mark.parametrize("interval", [0, 2], ids=["no validation", "with validation"])
def test_run_killed_and_resumed_gives_the_same_metrics_and_weights(small: Config, train: Train, interval: int) -> None:
    small.trainer.ckpt_interval, small.trainer.eval_interval = 2, interval
    whole, metrics, whole_folder = train(small, name="whole")
    _, _, folder = train(small, name="killed")
    shutil.rmtree(folder / "global_step_6")  # as after SIGKILL in step 6: lines of 5 and half of 6, checkpoint of 4
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text("\n".join([*lines[:5], lines[5][:40]]))
    resumed, again, _ = train(small, name="killed", resume=4)
    assert resumed.weight == whole.weight
    assert again == metrics
    assert (folder / "rollouts.jsonl").read_text() == (whole_folder / "rollouts.jsonl").read_text()
    assert [c for c in whole.calls if c[0] == "sample"][-2:] == [c for c in resumed.calls if c[0] == "sample"][-2:]


def test_overlap_window_is_part_of_the_checkpoint(small: Config, train: Train) -> None:
    small.reward.overlap_free, small.reward.overlap_penalty = 0.0, 0.9

    class SameWords(FakePolicy):
        def _sample(self, key: Any) -> Sample:
            return Sample(f"what would you do about it {zlib.crc32(key.encode()) % 9}", [1], [0.0], True)

    _, metrics, _ = train(small, name="whole", policy=SameWords())
    assert metrics[-1]["penalty"] > 0
    small.trainer.max_training_steps = 3
    train(small, name="half", policy=SameWords())
    small.trainer.max_training_steps = 6
    _, again, _ = train(small, name="half", policy=SameWords(), resume=3)
    assert [row["overlap"] for row in again] == [row["overlap"] for row in metrics]


@pytest.mark.parametrize("moment", ["sampling", "waiting for the judge"])
def test_interrupt_saves_the_last_finished_step_and_the_run_can_go_on(small: Config, train: Train, moment: str) -> None:
    whole, metrics, _ = train(small, name="whole")
    policy = FakePolicy()

    def asked() -> bool:
        return policy.names().count("sample") == 3 and policy.sampling is (moment == "sampling")

    slow = FakeJudge(delay=lambda role: 0.3 if policy.names().count("sample") == 3 else 0.0)
    policy, cut, folder = train(small, slow, policy=policy, stop=asked, raises=Interrupted)
    assert [row["step"] for row in cut] == [1, 2]
    assert RunFolder(folder).steps == [2]
    resumed, again, _ = train(small, resume=2)
    assert (resumed.weight, again) == (whole.weight, metrics)


def test_interrupt_during_validation_loses_no_metrics_line(small: Config, train: Train) -> None:
    small.trainer.eval_interval, small.trainer.eval_before_train = 2, False
    whole, metrics, _ = train(small, name="whole")
    policy = FakePolicy()
    validation_begun = lambda: ("sample", sampling_seed(42, 0), 3, 1) in policy.calls  # noqa: E731
    _, _, folder = train(small, policy=policy, stop=validation_begun, raises=Interrupted)
    resumed, again, _ = train(small, resume=RunFolder(folder).steps[-1])
    assert resumed.weight == whole.weight
    assert [row["step"] for row in again] == [row["step"] for row in metrics]
    assert again == metrics


def test_error_in_the_middle_of_a_step_never_stores_half_a_step_as_a_whole_one(small: Config, train: Train) -> None:
    small.trainer.policy_mini_batch_size = 2
    after_one_step: list[Any] = []

    class Breaks(FakePolicy):
        def forward_backward(self, groups: Any) -> Any:
            if self.names().count("optim_step") == 2 and not after_one_step:
                after_one_step.append(self.weight)
            if self.names().count("optim_step") == 3:  # in the second half of step 2
                raise RuntimeError("out of memory")
            return super().forward_backward(groups)

    _, _, folder = train(small, policy=Breaks(), raises=RuntimeError)
    assert [saved_weight(folder, step) for step in RunFolder(folder).steps] in ([], after_one_step)


def test_resume_from_a_damaged_checkpoint_is_refused(small: Config, train: Train, tmp_path: Path) -> None:
    (tmp_path / "run/global_step_2").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"global_step_2 is no whole checkpoint"):
        train(small, resume=2)
