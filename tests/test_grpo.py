import asyncio
import json
import math
import random
import shutil
import zlib
from collections.abc import Callable
from itertools import chain

import pytest
import torch

from recruiter.checkpoints import best_step, checkpoint_steps
from recruiter.config import Config
from recruiter.dataset import sampling_seed, step_roles, steps_per_epoch, total_steps
from recruiter.engines import Sample, TokenSums, UpdateResult
from recruiter.errors import JudgeError, ModelError, UnscoredError
from recruiter.grpo import Interrupted, Trainer, group_advantages, token_losses
from recruiter.metrics_logger import RunLog, read_jsonl
from recruiter.prompts import generator_messages
from recruiter.rubric import Judgement, Scores

# ---- advantages ------------------------------------------------------------------------------------------------------


def test_advantages_by_hand():
    # mean 0.5, sample standard deviation sqrt((0.09 + 0.01 + 0.01 + 0.09) / 3)
    std = math.sqrt(0.2 / 3)
    expected = [x / (std + 1e-4) for x in (-0.3, -0.1, 0.1, 0.3)]
    assert group_advantages([0.2, 0.4, 0.6, 0.8]) == pytest.approx(expected)


def test_advantages_without_std_are_distances_from_the_mean():
    assert group_advantages([0.2, 0.4, 0.9], norm_by_std=False) == pytest.approx([-0.3, -0.1, 0.4])


def test_unscored_samples_are_left_out_of_mean_and_spread():
    with_gap, without = group_advantages([0.2, None, 0.8, None]), group_advantages([0.2, 0.8])
    assert with_gap == [without[0], None, without[1], None]
    assert group_advantages([0.0, None, 1.0], norm_by_std=False) == [-0.5, None, 0.5]


@pytest.mark.parametrize("rewards", [[], [0.5], [None, None], [None, 0.7, None]])
def test_fewer_than_two_scored_samples_give_no_advantage(rewards):
    assert group_advantages(rewards) == [None] * len(rewards)


def test_group_without_spread_has_zero_advantages():
    assert group_advantages([0.5, 0.5, 0.5]) == [0.0, 0.0, 0.0]


# ---- loss ------------------------------------------------------------------------------------------------------------


def losses(ratio: float, advantage: float, **settings):
    logprobs = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    out = token_losses(logprobs, torch.zeros(1), torch.tensor([advantage]), 0.2, 0.3, **settings)
    out.loss_T.sum().backward()
    return out.loss_T.item(), out.clipped_T.item(), logprobs.grad.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped", "gradient"),
    [
        (1.0, 2.0, -2.0, 0, -2.0),
        (1.1, 2.0, -2.2, 0, -2.2),
        (1.5, 2.0, -2.6, 1, 0.0),  # good and already likelier than 1 + 0.3: clipped
        (0.5, 2.0, -1.0, 0, -1.0),  # good and less likely: pulled back in full
        (0.5, -2.0, 1.6, 1, 0.0),  # bad and already below 1 - 0.2: clipped
        (1.5, -2.0, 3.0, 0, 3.0),  # bad and likelier: pushed down in full
    ],
)
def test_clipped_surrogate_by_hand(ratio, advantage, loss, clipped, gradient):
    got = losses(ratio, advantage)
    assert got == pytest.approx((loss, clipped, gradient), abs=1e-6)


def test_kl_is_the_k3_estimate_and_is_added_with_its_coefficient():
    logprobs = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-1.5, -2.0], dtype=torch.float64)
    out = token_losses(logprobs, logprobs.detach(), torch.tensor([1.0, 1.0]), 0.2, 0.2, reference, kl_coef=0.1)
    k3 = math.exp(-0.5) + 0.5 - 1
    assert out.kl_T.tolist() == pytest.approx([k3, 0.0])
    assert out.loss_T.tolist() == pytest.approx([-1.0 + 0.1 * k3, -1.0])
    assert not out.kl_T.requires_grad
    out.loss_T.sum().backward()
    # d(k3)/d(log p) = 1 - exp(log p_ref - log p)
    assert logprobs.grad.tolist() == pytest.approx([-1.0 + 0.1 * (1 - math.exp(-0.5)), -1.0])


def test_without_reference_there_is_no_kl():
    out = token_losses(torch.tensor([-1.0]), torch.tensor([-1.0]), torch.tensor([1.0]), 0.2, 0.2, kl_coef=5.0)
    assert (out.kl_T.item(), out.loss_T.item()) == (0.0, -1.0)


# ---- which roles when ------------------------------------------------------------------------------------------------


def test_steps_count_the_last_partial_batch_of_each_epoch(config):
    config.trainer.train_batch_size, config.trainer.epochs = 4, 3
    assert (steps_per_epoch(config, 10), total_steps(config, 10)) == (3, 9)
    assert (steps_per_epoch(config, 8), total_steps(config, 8)) == (2, 6)
    assert total_steps(config, 3) == 3
    config.trainer.max_training_steps = 5
    assert total_steps(config, 10) == 5
    config.trainer.max_training_steps = 50
    assert total_steps(config, 10) == 9


def test_every_epoch_visits_each_role_once_in_another_order(config, role):
    config.trainer.train_batch_size = 4
    roles = [role(i) for i in range(10)]
    steps = [step_roles(config, roles, step) for step in range(1, 7)]
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = [*chain(*steps[:3])], [*chain(*steps[3:])]
    assert sorted(r.id for r in first) == sorted(r.id for r in second) == [r.id for r in roles]
    assert first != second


def test_roles_of_a_step_depend_on_seed_and_step_only(config, role):
    config.trainer.train_batch_size = 4
    roles = [role(i) for i in range(10)]
    assert step_roles(config, roles, 5) == step_roles(config, roles, 5)
    before = step_roles(config, roles, 5)
    config.trainer.seed += 1
    assert step_roles(config, roles, 5) != before


def test_no_two_steps_share_a_sampling_seed():
    seeds = [sampling_seed(seed, step) for seed in (1, 2, 42) for step in range(500)]
    assert len(set(seeds)) == len(seeds)


# ---- the loop, with a policy of one number ---------------------------------------------------------------------------


class FakePolicy:
    """A policy whose only parameter is `weight`; samples depend on it, so that nothing can be right by luck."""

    def __init__(self) -> None:
        self.weight, self.gradient, self.calls = 0.0, 0.0, []
        self.sampling = False

    def groups_per_pass(self, prompts, group_size):
        return 1

    def sample(self, prompts, group_size, sampling, seed):
        self.calls.append(("sample", seed, len(prompts), group_size))
        self.sampling = True
        for messages in prompts:
            yield [self._sample(f"{seed}/{messages[1]['content']}/{i}/{self.weight!r}") for i in range(group_size)]
        self.sampling = False

    def _sample(self, key: str) -> Sample:
        generator = random.Random(key)
        tokens = [generator.randrange(1000) for _ in range(generator.randint(3, 8))]
        return Sample(" ".join(f"w{token}" for token in tokens), tokens, [-t / 1000 for t in tokens], len(tokens) < 8)

    def logprobs(self, group):
        self.calls.append(("logprobs", self.weight))
        return [[self.weight] * len(sample.token_ids) for sample in group.samples]

    def forward_backward(self, groups):
        (group,) = groups
        self.calls.append(("forward_backward", group.messages[1]["content"], list(group.advantages), group))
        for sample, advantage in zip(group.samples, group.advantages, strict=True):
            self.gradient += advantage * sum(sample.token_ids) / 1000
        return TokenSums(tokens=group.tokens, loss=self.gradient, ratio=group.tokens, max_ratio=1.0)

    def optim_step(self, tokens):
        self.calls.append(("optim_step", tokens))
        norm, self.gradient = self.gradient / tokens, 0.0
        self.weight += norm
        return UpdateResult(abs(norm), 0.01)

    def snapshot(self):
        weight = self.weight

        def write(folder):
            (folder / "lora_adapter").mkdir()
            (folder / "weight.json").write_text(json.dumps(weight))

        return write

    def load(self, folder):
        self.weight = json.loads((folder / "weight.json").read_text())

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


class FakeJudge:
    """Scores by `score(role, question, index)`, a number of 0 to 10 or None; answers after `delay(role)` seconds."""

    name = "fake"
    version = "1"

    def __init__(self, score=None, delay: Callable = lambda role: 0.0) -> None:
        self.score_one = score or (lambda role, question, index: zlib.crc32(question.encode()) % 101 / 10)
        self.delay = delay

    async def score(self, role, questions):
        await asyncio.sleep(self.delay(role))
        values = [self.score_one(role, question, index) for index, question in enumerate(questions)]
        return [Judgement.unscored("timed out") if v is None else Judgement(Scores(v, v, v)) for v in values]


@pytest.fixture
def small(config) -> Config:
    trainer = config.trainer
    trainer.train_batch_size, trainer.epochs, trainer.max_training_steps = 4, 3, 6
    trainer.eval_interval, trainer.ckpt_interval, trainer.max_ckpts_to_keep = 0, 100, -1
    config.generator.n_samples_per_prompt = 4
    return config


@pytest.fixture
def train(tmp_path, role):
    """Train on ten roles in folder `name`; returns the policy, the metrics without times, and the run's folder."""
    roles, held_back = [role(i) for i in range(10)], [role(i) for i in range(10, 13)]

    def run(config, judge=None, name="run", policy=None, resume=None, stop=lambda: False, raises=None):
        folder = tmp_path / name
        policy = policy or FakePolicy()
        start = folder / f"global_step_{resume}" if resume else None
        with RunLog(folder, config, FakeJudge(), total_steps(config, len(roles)), resume or 0) as log:
            trainer = Trainer(config, policy, judge or FakeJudge(), roles, held_back, log, stop)
            if start:
                trainer.resume(start)
            if raises is None:
                trainer.train()
            else:
                with pytest.raises(raises) as caught:
                    trainer.train()
                policy.error = str(caught.value)
        rows = read_jsonl(folder / "metrics.jsonl")
        return policy, [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows], folder

    return run


def saved_weight(folder, step: int) -> float:
    return json.loads((folder / f"global_step_{step}/policy/weight.json").read_text())


def test_step_samples_each_role_once_trains_in_order_and_updates_once(small, train, role):
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


def test_advantages_that_reach_the_policy_come_from_shaped_rewards_of_the_group(small, train):
    small.trainer.max_training_steps = 1
    policy, _, folder = train(small)
    rows = read_jsonl(folder / "rollouts.jsonl")
    for group, call in enumerate(policy.calls[1:5]):
        rewards = [row["reward"] for row in rows[4 * group : 4 * group + 4]]
        assert call[2] == group_advantages(rewards)
        assert [sample.text for sample in call[3].samples] == [row["question"] for row in rows[4 * group :][:4]]


def test_last_partial_batch_of_an_epoch_is_trained_on(small, train):
    policy, metrics, _ = train(small)
    assert [call[2] for call in policy.calls if call[0] == "sample"] == [4, 4, 2, 4, 4, 2]
    assert [row["groups"] for row in metrics] == [4, 4, 2, 4, 4, 2]
    assert policy.names().count("optim_step") == 6


def test_unscored_samples_train_as_if_they_had_never_existed(small, train):
    small.judge.max_unscored, small.reward.overlap_window = 1.0, 0

    def fourth_unscored(role, question, index):
        return None if index == 3 else FakeJudge().score_one(role, question, index)

    with_gaps, gap_metrics, _ = train(small, FakeJudge(fourth_unscored), "gaps")
    small.generator.n_samples_per_prompt = 3
    without, metrics, _ = train(small, FakeJudge(), "without")
    assert with_gaps.weight == without.weight != 0.0
    same = ("reward_mean", "reward_std", "composite", "loss", "trained_tokens", "grad_norm", "groups_without_spread")
    assert [{k: row[k] for k in same} for row in gap_metrics] == [{k: row[k] for k in same} for row in metrics]
    assert [row["unscored"] for row in gap_metrics] == [4, 4, 2, 4, 4, 2]
    assert gap_metrics[0]["unscored_reasons"] == {"timed out": 4}


def test_group_with_one_scored_sample_gives_no_gradient(small, train):
    small.judge.max_unscored, small.trainer.max_training_steps = 1.0, 1
    judge = FakeJudge(lambda role, question, index: 5.0 if index == 0 else None)
    policy, metrics, _ = train(small, judge)
    assert policy.names() == ["sample"]
    assert metrics[0]["reward_mean"] == pytest.approx(0.5)
    assert (metrics[0]["reward_std"], metrics[0]["loss"], metrics[0]["updates"]) == (None, None, 0)


def test_too_many_unscored_end_the_run_before_anything_is_updated(small, train):
    good, _, _ = train(small, name="undisturbed")
    roles_seen = []

    def fails_in_third_step(role, question, index):
        if index == 0:
            roles_seen.append(role.id)
        return None if len(roles_seen) > 8 and index > 0 else FakeJudge().score_one(role, question, index)

    policy, metrics, folder = train(small, FakeJudge(fails_in_third_step), raises=UnscoredError)
    assert [row["step"] for row in metrics] == [1, 2]
    assert checkpoint_steps(folder) == [2]
    assert policy.names().count("optim_step") == 2
    assert saved_weight(folder, 2) == policy.weight
    for part in ("3 of 8 samples of step 3", "judge.max_unscored=0.2", "timed out", "up to step 2 is saved"):
        assert part in policy.error
    assert "\n" not in policy.error
    resumed, metrics, _ = train(small, resume=2)
    assert resumed.weight == good.weight
    assert [row["step"] for row in metrics] == [1, 2, 3, 4, 5, 6]


def test_unscored_share_at_the_limit_is_allowed(small, train):
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

    async def score(self, role, questions):
        step, self.asked = self.asked // self.groups + 1, self.asked + 1
        judgements = await super().score(role, questions)
        fails = step >= self.from_step and step != self.pause_at
        return [Judgement.unscored("timed out"), *judgements[1:]] if fails else judgements


@pytest.fixture
def strained(small) -> Config:
    """A quarter unscored is above half of the limit, and below the limit."""
    small.judge.max_unscored, small.data.val_size = 0.4, 0
    small.trainer.train_batch_size, small.trainer.epochs, small.trainer.max_training_steps = 5, 4, 8
    return small


def test_three_steps_in_a_row_above_half_of_the_limit_end_the_run(strained, train):
    policy, metrics, folder = train(strained, QuarterUnscored(from_step=2, groups=5), raises=UnscoredError)
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert checkpoint_steps(folder) == [3]
    assert policy.names().count("optim_step") == 3
    for part in ("of 20 samples of step 4", "half of judge.max_unscored=0.4", "two steps before", "timed out"):
        assert part in policy.error


def test_strained_steps_count_only_in_a_row(strained, train):
    strained.trainer.max_training_steps = 5
    _, metrics, _ = train(strained, QuarterUnscored(from_step=1, groups=5, pause_at=3))
    assert [bool(row["unscored"]) for row in metrics] == [True, True, False, True, True]


def test_strained_steps_are_remembered_over_a_resume(strained, train):
    train(strained, QuarterUnscored(from_step=2, groups=5), raises=UnscoredError)
    policy, metrics, _ = train(strained, QuarterUnscored(from_step=1, groups=5), resume=3, raises=UnscoredError)
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert "of step 4" in policy.error
    _, metrics, _ = train(strained, resume=3)
    assert metrics[-1]["step"] == 8


def test_judge_that_cannot_be_used_ends_the_run_with_a_checkpoint_of_the_last_step(small, train):
    class Breaks(FakeJudge):
        async def score(self, role, questions):
            self.count = getattr(self, "count", 0) + 1
            if self.count > 4:
                raise JudgeError("the key was refused")
            return await super().score(role, questions)

    policy, _, folder = train(small, Breaks(), raises=JudgeError)
    assert checkpoint_steps(folder) == [1]
    assert saved_weight(folder, 1) == policy.weight


@pytest.mark.parametrize("interval", [0, 2], ids=["no validation", "with validation"])
def test_run_killed_and_resumed_gives_the_same_metrics_and_weights(small, train, interval):
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


def test_overlap_window_is_part_of_the_checkpoint(small, train):
    small.reward.overlap_free, small.reward.overlap_penalty = 0.0, 0.9

    class SameWords(FakePolicy):
        def _sample(self, key):
            return Sample(f"what would you do about it {zlib.crc32(key.encode()) % 9}", [1], [0.0], True)

    _, metrics, _ = train(small, name="whole", policy=SameWords())
    assert metrics[-1]["penalty"] > 0
    small.trainer.max_training_steps = 3
    train(small, name="half", policy=SameWords())
    small.trainer.max_training_steps = 6
    _, again, _ = train(small, name="half", policy=SameWords(), resume=3)
    assert [row["overlap"] for row in again] == [row["overlap"] for row in metrics]


@pytest.mark.parametrize("moment", ["sampling", "waiting for the judge"])
def test_interrupt_saves_the_last_finished_step_and_the_run_can_go_on(small, train, moment):
    whole, metrics, _ = train(small, name="whole")
    policy = FakePolicy()

    def asked() -> bool:
        return policy.names().count("sample") == 3 and policy.sampling is (moment == "sampling")

    slow = FakeJudge(delay=lambda role: 0.3 if policy.names().count("sample") == 3 else 0.0)
    policy, cut, folder = train(small, slow, policy=policy, stop=asked, raises=Interrupted)
    assert [row["step"] for row in cut] == [1, 2]
    assert checkpoint_steps(folder) == [2]
    resumed, again, _ = train(small, resume=2)
    assert (resumed.weight, again) == (whole.weight, metrics)


def test_interrupt_during_validation_loses_no_metrics_line(small, train):
    small.trainer.eval_interval, small.trainer.eval_before_train = 2, False
    whole, metrics, _ = train(small, name="whole")
    policy = FakePolicy()
    validation_begun = lambda: ("sample", sampling_seed(42, 0), 3, 1) in policy.calls  # noqa: E731
    _, _, folder = train(small, policy=policy, stop=validation_begun, raises=Interrupted)
    resumed, again, _ = train(small, resume=checkpoint_steps(folder)[-1])
    assert resumed.weight == whole.weight
    assert [row["step"] for row in again] == [row["step"] for row in metrics]
    assert again == metrics


def test_error_in_the_middle_of_a_step_never_stores_half_a_step_as_a_whole_one(small, train):
    small.trainer.policy_mini_batch_size = 2
    after_one_step = []

    class Breaks(FakePolicy):
        def forward_backward(self, groups):
            if self.names().count("optim_step") == 2 and not after_one_step:
                after_one_step.append(self.weight)
            if self.names().count("optim_step") == 3:  # in the second half of step 2
                raise RuntimeError("out of memory")
            return super().forward_backward(groups)

    _, _, folder = train(small, policy=Breaks(), raises=RuntimeError)
    assert [saved_weight(folder, step) for step in checkpoint_steps(folder)] in ([], after_one_step)


def test_resume_from_a_damaged_checkpoint_is_refused(small, train, tmp_path):
    (tmp_path / "run/global_step_2").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"global_step_2 is no whole checkpoint"):
        train(small, resume=2)


def test_training_does_not_depend_on_when_the_judge_answers(small, train):
    instant, metrics, _ = train(small, FakeJudge(), "instant")
    delays = random.Random(0)
    late, late_metrics, _ = train(small, FakeJudge(delay=lambda role: delays.random() * 0.02), "late")

    def trace(policy):
        return [call[:3] for call in policy.calls]

    assert trace(late) == trace(instant)
    assert late.weight == instant.weight
    assert late_metrics == metrics


def test_groups_are_at_the_judge_together(small, train):
    now, most = [], []

    class Counting(FakeJudge):
        async def score(self, role, questions):
            now.append(role.id)
            most.append(len(now))
            await asyncio.sleep(0.02)
            now.remove(role.id)
            return await super().score(role, questions)

    train(small, Counting())
    assert max(most) == 4


def test_several_mini_batches_compare_with_the_policy_that_sampled(small, train):
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


def test_each_update_is_divided_by_the_tokens_of_its_own_groups(small, train):
    small.trainer.policy_mini_batch_size, small.trainer.max_training_steps = 1, 1
    policy, _, _ = train(small)
    groups = [call[3].tokens for call in policy.calls if call[0] == "forward_backward"]
    assert [call[1] for call in policy.calls if call[0] == "optim_step"] == groups


@pytest.mark.parametrize("filtered", [True, False])
def test_groups_without_spread_are_left_out_unless_switched_off(small, train, role, filtered):
    small.trainer.algorithm.zero_variance_filter, small.trainer.max_training_steps = filtered, 1
    flat = step_roles(small, [role(i) for i in range(10)], 1)[1]
    judge = FakeJudge(lambda r, question, index: 5.0 if r.id == flat.id else float(index))
    policy, metrics, _ = train(small, judge)
    trained = [call[3] for call in policy.calls if call[0] == "forward_backward"]
    assert (generator_messages(flat) in [group.messages for group in trained]) is not filtered
    assert len(trained) == (3 if filtered else 4)
    assert metrics[0]["groups_without_spread"] == 1
    assert metrics[0]["trained_tokens"] == sum(group.tokens for group in trained)


def test_step_in_which_no_group_has_spread_updates_nothing(small, train):
    small.trainer.max_training_steps = 2
    policy, metrics, _ = train(small, FakeJudge(lambda *_: 5.0))
    assert set(policy.names()) == {"sample"}
    assert policy.weight == 0.0
    assert [(row["updates"], row["loss"], row["grad_norm"]) for row in metrics] == [(0, None, None)] * 2


class ScriptedValidation(FakeJudge):
    """Gives the scripted mean at each validation (roles 10 to 12 are held back)."""

    def __init__(self, means: list[float | None]) -> None:
        super().__init__()
        self.means, self.asked = means, 0

    async def score(self, role, questions):
        if int(role.id[-3:]) < 10:
            return await super().score(role, questions)
        value = self.means[self.asked // 3]
        self.asked += 1
        return [Judgement.unscored("timed out") if value is None else Judgement(Scores(value, value, value))]


def test_validation_is_every_few_steps_always_with_the_same_random_numbers(small, train):
    small.trainer.eval_interval = 2
    policy, metrics, _ = train(small, ScriptedValidation([1, 2, 3, 4]))
    validations = [call for call in policy.calls if call[0] == "sample" and call[3] == 1]
    assert validations == [("sample", sampling_seed(42, 0), 3, 1)] * 4
    assert [row.get("validation_reward") for row in metrics] == pytest.approx([None, 0.2, None, 0.3, None, 0.4])


def test_best_checkpoint_is_marked_and_survives_pruning(small, train):
    small.trainer.eval_interval, small.trainer.max_ckpts_to_keep, small.trainer.ckpt_interval = 1, 1, 1
    _, _, folder = train(small, ScriptedValidation([1, 2, 6, 3, 5, 4, 2]))
    assert best_step(folder) == 2
    assert json.loads((folder / "best.json").read_text())["validation_reward"] == pytest.approx(0.6)
    assert checkpoint_steps(folder) == [2, 6]


def test_best_is_saved_even_between_checkpoint_intervals(small, train):
    small.trainer.eval_interval, small.trainer.ckpt_interval = 1, 100
    _, _, folder = train(small, ScriptedValidation([1, 1, 6, 3, 5, 4, 2]))
    assert checkpoint_steps(folder) == [2, 6]


def test_early_stop_after_validations_without_a_new_best(small, train):
    small.trainer.eval_interval, small.trainer.early_stop_patience = 1, 2
    _, metrics, folder = train(small, ScriptedValidation([3, 2, 5, 4, 5, 9, 9]))
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    assert checkpoint_steps(folder) == [2, 4]


def test_patience_is_remembered_over_a_resume(small, train):
    small.trainer.eval_interval, small.trainer.early_stop_patience, small.trainer.max_training_steps = 1, 2, 3
    train(small, ScriptedValidation([1, 2, 5, 4]))
    small.trainer.max_training_steps = 6
    _, metrics, _ = train(small, ScriptedValidation([4, 9, 9]), resume=3)
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]


def test_run_that_stopped_early_is_not_trained_further_when_started_again(small, train):
    small.trainer.eval_interval, small.trainer.early_stop_patience = 1, 2
    train(small, ScriptedValidation([1, 2, 5, 4, 5]))
    policy, metrics, _ = train(small, ScriptedValidation([1]), resume=4)
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    assert policy.calls == []


def test_validation_in_which_nothing_was_scored_is_no_number(small, train):
    small.trainer.eval_interval, small.trainer.max_training_steps = 1, 2
    _, metrics, folder = train(small, ScriptedValidation([None, None, 3]))
    assert [row["validation_reward"] for row in metrics] == [None, pytest.approx(0.3)]
    assert best_step(folder) == 2


def test_no_validation_without_validation_roles_or_interval(small, train):
    policy, metrics, _ = train(small)
    assert sampling_seed(42, 0) not in {call[1] for call in policy.calls if call[0] == "sample"}
    assert all("validation_reward" not in row for row in metrics)
