"""What one step does: which groups, which advantages, how many updates."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.files import read_jsonl
from recruiter.objective import group_advantages
from recruiter.prompts import generator_messages
from recruiter.roles.schedule import sampling_seed, step_roles
from tests.conftest import MakeRole
from tests.fake_policy import FakeJudge
from tests.train.running import Train


def test_step_samples_each_role_once_trains_in_order_and_updates_once(
    small: Config, train: Train, role: MakeRole
) -> None:
    small.trainer.max_training_steps = 1
    policy, metrics, _ = train(small)
    assert policy.names() == ["sample", *["forward_backward"] * 4, "optim_step"]
    assert policy.calls[0] == ("sample", sampling_seed(42, 1), 4, 4)
    expected = [generator_messages(r) for r in step_roles(small, [role(i) for i in range(10)], 1)]
    assert [call[3].messages for call in policy.calls[1:5]] == expected
    trained = sum(call[3].tokens for call in policy.calls[1:5])
    assert policy.calls[5] == ("optim_step", trained)
    assert metrics[0]["trained_tokens"] == trained
    assert all(call[3].old_logprobs is None for call in policy.calls[1:5])


def test_advantages_that_reach_the_policy_come_from_shaped_rewards_of_the_group(small: Config, train: Train) -> None:
    small.trainer.max_training_steps = 1
    policy, _, folder = train(small)
    rows = read_jsonl(folder / "rollouts.jsonl")
    for group, call in enumerate(policy.calls[1:5]):
        rewards = [row["reward"] for row in rows[4 * group : 4 * group + 4]]
        assert call[2] == group_advantages(rewards)
        assert [sample.text for sample in call[3].samples] == [row["question"] for row in rows[4 * group :][:4]]


def test_last_partial_batch_of_an_epoch_is_trained_on(small: Config, train: Train) -> None:
    policy, metrics, _ = train(small)
    assert [call[2] for call in policy.calls if call[0] == "sample"] == [4, 4, 2, 4, 4, 2]
    assert [row["groups"] for row in metrics] == [4, 4, 2, 4, 4, 2]
    assert policy.names().count("optim_step") == 6


def test_unscored_samples_train_as_if_they_had_never_existed(small: Config, train: Train) -> None:
    small.judge.max_unscored, small.reward.overlap_window = 1.0, 0

    def fourth_unscored(role: Any, question: Any, index: Any) -> Any:
        return None if index == 3 else FakeJudge().score_one(role, question, index)

    with_gaps, gap_metrics, _ = train(small, FakeJudge(fourth_unscored), "gaps")
    small.generator.n_samples_per_prompt = 3
    without, metrics, _ = train(small, FakeJudge(), "without")
    assert with_gaps.weight == without.weight != 0.0
    same = ("reward_mean", "reward_std", "composite", "loss", "trained_tokens", "grad_norm", "groups_without_spread")
    assert [{k: row[k] for k in same} for row in gap_metrics] == [{k: row[k] for k in same} for row in metrics]
    assert [row["unscored"] for row in gap_metrics] == [4, 4, 2, 4, 4, 2]
    assert gap_metrics[0]["unscored_reasons"] == {"timed out": 4}


def test_group_with_one_scored_sample_gives_no_gradient(small: Config, train: Train) -> None:
    small.judge.max_unscored, small.trainer.max_training_steps = 1.0, 1
    judge = FakeJudge(lambda role, question, index: 5.0 if index == 0 else None)
    policy, metrics, _ = train(small, judge)
    assert policy.names() == ["sample"]
    assert metrics[0]["reward_mean"] == pytest.approx(0.5)
    assert (metrics[0]["reward_std"], metrics[0]["loss"], metrics[0]["updates"]) == (None, None, 0)


def test_training_does_not_depend_on_when_the_judge_answers(small: Config, train: Train) -> None:
    instant, metrics, _ = train(small, FakeJudge(), "instant")
    delays = random.Random(0)
    late, late_metrics, _ = train(small, FakeJudge(delay=lambda role: delays.random() * 0.02), "late")

    def trace(policy: Any) -> list[Any]:
        return [call[:3] for call in policy.calls]

    assert trace(late) == trace(instant)
    assert late.weight == instant.weight
    assert late_metrics == metrics


def test_groups_are_at_the_judge_together(small: Config, train: Train) -> None:
    now, most = [], []

    class Counting(FakeJudge):
        async def score(self, role: Any, questions: Any) -> Any:
            now.append(role.id)
            most.append(len(now))
            await asyncio.sleep(0.02)
            now.remove(role.id)
            return await super().score(role, questions)

    train(small, Counting())
    assert max(most) == 4


def test_several_mini_batches_compare_with_the_policy_that_sampled(small: Config, train: Train) -> None:
    small.trainer.policy_mini_batch_size, small.trainer.update_epochs_per_batch = 2, 2
    small.trainer.max_training_steps = 2
    policy, metrics, _ = train(small)
    update = ["forward_backward", "forward_backward", "optim_step"]
    step = ["sample", *["logprobs"] * 4, *update * 4]
    assert policy.names() == step * 2
    second = policy.calls[len(step) :]
    before = {weight for name, weight, *_ in second if name == "logprobs"}
    assert len(before) == 1
    assert before != {0.0}
    for call in second:
        if call[0] == "forward_backward":
            assert call[3].old_logprobs == [[*before] * len(sample.token_ids) for sample in call[3].samples]
    assert [row["updates"] for row in metrics] == [4, 4]


def test_each_update_is_divided_by_the_tokens_of_its_own_groups(small: Config, train: Train) -> None:
    small.trainer.policy_mini_batch_size, small.trainer.max_training_steps = 1, 1
    policy, _, _ = train(small)
    groups = [call[3].tokens for call in policy.calls if call[0] == "forward_backward"]
    assert [call[1] for call in policy.calls if call[0] == "optim_step"] == groups


@pytest.mark.parametrize("filtered", [True, False])
def test_groups_without_spread_are_left_out_unless_switched_off(
    small: Config, train: Train, role: MakeRole, filtered: bool
) -> None:
    small.trainer.algorithm.zero_variance_filter, small.trainer.max_training_steps = filtered, 1
    flat = step_roles(small, [role(i) for i in range(10)], 1)[1]
    judge = FakeJudge(lambda r, question, index: 5.0 if r.id == flat.id else float(index))
    policy, metrics, _ = train(small, judge)
    trained = [call[3] for call in policy.calls if call[0] == "forward_backward"]
    assert (generator_messages(flat) in [group.messages for group in trained]) is not filtered
    assert len(trained) == (3 if filtered else 4)
    assert metrics[0]["groups_without_spread"] == 1
    assert metrics[0]["trained_tokens"] == sum(group.tokens for group in trained)


def test_step_in_which_no_group_has_spread_updates_nothing(small: Config, train: Train) -> None:
    small.trainer.max_training_steps = 2
    policy, metrics, _ = train(small, FakeJudge(lambda *_: 5.0))
    assert set(policy.names()) == {"sample"}
    assert policy.weight == 0.0
    assert [(row["updates"], row["loss"], row["grad_norm"]) for row in metrics] == [(0, None, None)] * 2
