"""Groups that are sampled and judged a step ahead (`trainer.max_staleness_steps=1`)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.errors import UnscoredError
from recruiter.files import read_jsonl
from recruiter.train.asked_groups import AskedGroups
from recruiter.train.interruption import Interrupted
from recruiter.train.layout import RunFolder
from tests.fake_policy import FakeJudge, FakePolicy
from tests.train.running import Train


@pytest.fixture
def ahead(small: Config) -> Config:
    small.trainer.max_staleness_steps = 1
    return small


class AnswersWhenTheNextStepIsAsked(FakeJudge):
    """Holds back what it says of a step's groups until questions of the next step are there; of the last step, nothing."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.sizes, self.asked, self.gates = sizes, 0, [asyncio.Event() for _ in range(len(sizes) + 1)]
        self.gates[-1].set()

    async def score(self, role: Any, questions: Any) -> list[Any]:
        step = next(i for i in range(len(self.sizes)) if self.asked < sum(self.sizes[: i + 1]))
        self.asked += 1
        if step:
            self.gates[step].set()
        await asyncio.wait_for(self.gates[step + 1].wait(), 20)
        return await super().score(role, questions)


def test_a_step_is_judged_while_the_next_one_is_sampled(ahead: Config, train: Train) -> None:
    policy, metrics, folder = train(ahead, AnswersWhenTheNextStepIsAsked([4, 4, 2, 4, 4, 2]))
    assert [row["step"] for row in metrics] == [1, 2, 3, 4, 5, 6]
    assert all(row["unscored"] == 0 for row in metrics)
    for row in read_jsonl(folder / "rollouts.jsonl"):
        assert row.get("sampled_in") == (row["step"] - 1 or None)
    kinds = [name for name in policy.names() if name in ("sample", "optim_step")]
    assert kinds == ["sample", "sample", *["optim_step", "sample"] * 4, "optim_step", "optim_step"]


def test_stale_groups_are_compared_with_the_policy_that_sampled_them(ahead: Config, train: Train) -> None:
    policy, metrics, _ = train(ahead)
    groups = [call[3] for call in policy.calls if call[0] == "forward_backward"]
    first = metrics[0]["groups"]
    assert all(group.old_logprobs is None for group in groups[:first])
    assert all(group.old_logprobs == [s.logprobs for s in group.samples] for group in groups[first:])


@pytest.mark.parametrize("updates", [1, 2])
def test_a_run_that_is_stopped_goes_on_with_the_same_questions(ahead: Config, train: Train, updates: int) -> None:
    ahead.trainer.update_epochs_per_batch = updates
    whole, expected, _ = train(ahead, name="whole")
    policy = FakePolicy()

    def stop() -> bool:
        return policy.updates >= 3 * updates and policy.sampling

    _, _, folder = train(ahead, policy=policy, stop=stop, raises=Interrupted)
    (last,) = RunFolder(folder).steps
    assert last + 1 in AskedGroups(RunFolder(folder)).steps
    resumed, metrics, _ = train(ahead, resume=last)
    assert resumed.weight == whole.weight
    assert metrics == expected


def test_a_run_that_ends_by_an_error_goes_on_with_the_same_questions(ahead: Config, train: Train) -> None:
    whole, _, _ = train(ahead, name="whole")
    seen: list[str] = []

    def fails(role: Any, question: Any, index: Any) -> Any:
        seen.append(role.id)
        return None if len(seen) > 4 * 11 else FakeJudge().score_one(role, question, index)

    _, _, folder = train(ahead, FakeJudge(fails), raises=UnscoredError)
    last = RunFolder(folder).steps[-1]
    resumed, metrics, _ = train(ahead, resume=last)
    assert resumed.weight == whole.weight
    assert [row["step"] for row in metrics] == [1, 2, 3, 4, 5, 6]


def test_samples_are_forgotten_once_a_checkpoint_holds_their_step(ahead: Config, train: Train) -> None:
    ahead.trainer.ckpt_interval = 2
    _, _, folder = train(ahead)
    assert AskedGroups(RunFolder(folder)).steps == []


def test_a_run_may_go_on_without_staleness(ahead: Config, train: Train) -> None:
    policy = FakePolicy()
    _, _, folder = train(ahead, policy=policy, stop=lambda: policy.updates >= 3, raises=Interrupted)
    ahead.trainer.max_staleness_steps = 0
    train(ahead, resume=RunFolder(folder).steps[-1])
    rows = [row for row in read_jsonl(folder / "rollouts.jsonl") if row["step"] > 3]
    assert rows
    assert not any("sampled_in" in row for row in rows)
