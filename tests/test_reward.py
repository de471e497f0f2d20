from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any, Literal

import pytest

from recruiter.config import ListedJudgeConfig, RewardConfig
from recruiter.judges.overlap import OverlapWindow
from recruiter.reward import ALONE, Reward, group_rewards, shape
from recruiter.roles import Role
from recruiter.rubric import Judgement
from tests.conftest import MakeRole, known
from tests.scoring import scored

NINE = Judgement(scored(9.0))
DATA = Path(__file__).parent / "data"


def shaped(settings: RewardConfig, window: OverlapWindow, role: Role, question: str, judgement: Judgement) -> Reward:
    """The reward of one question, alone in its group."""
    (reward,) = shape(settings, window, role, [question], [judgement])
    return reward


def questions_of(file: str, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (DATA / file).read_text(encoding="utf-8").splitlines()]
    return [{**row, "role": Role.model_validate(row["role"])} for row in rows if row["kind"] == kind]


@pytest.mark.parametrize(
    ("overlap_words", "overlap", "value"),
    [
        ("aa ab ac", 0.0, 0.9),  # nothing in common
        ("one two three ba bb", 1 / 3, 0.9 * (1 - 0.5 * (1 / 3 - 0.2) / 0.8)),
        ("one two three four ca", 2 / 3, 0.9 * (1 - 0.5 * (2 / 3 - 0.2) / 0.8)),
        ("one two three four five", 1.0, 0.45),
    ],
)
def test_shaped_reward_by_hand(role: MakeRole, overlap_words: str, overlap: Any, value: Any) -> None:
    settings = RewardConfig(overlap_penalty=0.5, overlap_free=0.2, overlap_window=8)
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three four five"])
    reward = shaped(settings, window, role(2), overlap_words, NINE)
    assert reward.overlap == pytest.approx(overlap)
    assert reward.value == pytest.approx(value)
    assert reward.penalty == pytest.approx(0.9 - value)
    assert reward.judgement is NINE


def test_overlap_up_to_what_is_free_costs_exactly_nothing(role: MakeRole) -> None:
    settings = RewardConfig(overlap_penalty=0.9, overlap_free=0.5)
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    reward = shaped(settings, window, role(2), "one two three four", NINE)
    assert (reward.overlap, reward.value, reward.penalty) == (0.5, NINE.reward, 0.0)


def test_unscored_question_stays_without_a_value(role: MakeRole) -> None:
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    reward = shaped(RewardConfig(), window, role(2), "one two three", Judgement.unscored("timed out"))
    assert reward.value is None
    assert reward.penalty == 0.0
    assert reward.overlap == 1.0


def test_shaping_never_leaves_the_unit_interval(role: MakeRole) -> None:
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    for score in (0.0, 10.0):
        judgement = Judgement(scored(score))
        for free in (0.0, 1.0):
            value = shaped(RewardConfig(1.0, free, 8), window, role(2), "one two three", judgement).value
            assert 0.0 <= known(value) <= 1.0


@pytest.mark.parametrize("template", [0, 1, 2])
def test_every_instance_of_a_template_ends_at_four_of_ten_or_less_even_if_the_judge_gives_nine(template: int) -> None:
    settings = RewardConfig()
    instances = [row for row in questions_of("attack_questions.jsonl", "template") if row["template"] == template]
    assert len(instances) == 10
    values = {}
    for row in instances:
        window = OverlapWindow(settings.overlap_window)
        for other in instances:
            if other["role"].id != row["role"].id:
                window.remember(other["role"], [other["question"]])
        values[row["role"].id] = round(
            10 * known(shaped(settings, window, row["role"], row["question"], NINE).value), 2
        )
    assert {role_id: value for role_id, value in values.items() if value > 4.0} == {}


def test_honest_questions_lose_nothing_or_nearly_nothing() -> None:
    settings = RewardConfig()
    rows = questions_of("honest_questions.jsonl", "honest")
    assert len(rows) >= 30
    window = OverlapWindow(settings.overlap_window)
    for row in rows:
        window.remember(row["role"], [row["question"]])
    losses = [10 * shaped(settings, window, row["role"], row["question"], NINE).penalty for row in rows]
    assert statistics.median(losses) == 0.0
    assert max(losses) <= 0.5


# ---- several judges -----------------------------------------------------------------------------------------------


def said(composites: dict[str, float | None], kept: float = 1.0) -> Judgement:
    """What a panel says of a question: the parts' composites, and what its gates keep."""
    parts = {
        name: Judgement.unscored("timed out") if c is None else Judgement(scored(c)) for name, c in composites.items()
    }
    if None in composites.values():
        return Judgement(None, unscored_reason="timed out", parts=parts)
    return Judgement(scored(5.0), kept=kept, parts=parts)


def of(name: str, does: Literal["reward", "gate", "watch"] = "reward", weight: float = 1.0) -> ListedJudgeConfig:
    return ListedJudgeConfig(name=name, does=does, weight=weight)


def test_rewarding_judges_are_standardised_within_the_group_by_hand() -> None:
    group = [said({"a": 2.0, "b": 8.5}), said({"a": 4.0, "b": 8.0}), said({"a": 6.0, "b": 9.0})]
    # a: mean 4, deviation 2: z -1, 0, 1. b: mean 8.5, deviation 0.5: z 0, -1, 1. Divided by the root of 1 + 1.
    expected = [0.5 - 0.15 / 2**0.5, 0.5 - 0.15 / 2**0.5, 0.5 + 0.15 * 2 / 2**0.5]
    assert group_rewards(group, [of("a"), of("b")]) == pytest.approx(expected)
    # weights 3 and 1: the sums are -3, -1, 4, divided by the root of 9 + 1
    expected = [0.5 + 0.15 * total / 10**0.5 for total in (-3.0, -1.0, 4.0)]
    assert group_rewards(group, [of("a", weight=3.0), of("b")]) == pytest.approx(expected)


def test_gates_lower_a_standardised_reward_and_watching_judges_have_no_part_in_it() -> None:
    group = [said({"a": 2.0, "b": 1.0, "w": 9.0}), said({"a": 4.0, "b": 3.0, "w": 0.0}, kept=0.25)]
    judges = [of("a"), of("b"), of("g", "gate"), of("w", "watch")]
    z = 0.5**0.5 * 2 / 2**0.5  # each is half the root of 2 away from its mean
    assert group_rewards(group, judges) == pytest.approx([0.5 - 0.15 * z, (0.5 + 0.15 * z) * 0.25])
    assert group_rewards(group, [of("a"), of("b"), of("w", "watch")])[1] == pytest.approx(0.5 + 0.15 * z)


def test_one_odd_score_and_noise_do_not_decide() -> None:
    outlier = [said({"a": 10.0, "b": 5.0}), *[said({"a": 5.0, "b": 5.0})] * 15]
    assert group_rewards(outlier, [of("a"), of("b")])[0] == pytest.approx(0.5 + 0.15 * 2.5 / 2**0.5)
    noise = [said({"a": 5.0, "b": 5.0}), said({"a": 5.0 + 1e-6, "b": 5.0})]
    assert group_rewards(noise, [of("a"), of("b")]) == pytest.approx([0.5, 0.5], abs=1e-5)


def test_rewards_of_several_judges_stay_in_the_unit_interval() -> None:
    group = [said(dict.fromkeys("abcdefgh", 10.0 if index == 0 else 0.0)) for index in range(16)]
    rewards = group_rewards(group, [of(name) for name in "abcdefgh"])
    assert rewards[0] == 1.0
    assert min(map(known, rewards)) >= 0.0


def test_unscored_samples_are_left_out_of_the_standardising_and_fewer_than_two_give_no_reward(role: MakeRole) -> None:
    group = [said({"a": 2.0, "b": 1.0}), said({"a": None, "b": 9.0}), said({"a": 4.0, "b": 3.0})]
    judges = [of("a"), of("b")]
    without = group_rewards([group[0], group[2]], judges)
    assert group_rewards(group, judges) == [without[0], None, without[1]]
    assert group_rewards(group[:2], judges) == [None, None]
    rewards = shape(RewardConfig(), OverlapWindow(8), role(), ["x", "y"], group[:2], judges)
    assert [reward.value for reward in rewards] == [None, None]
    assert [reward.missing for reward in rewards] == [ALONE, "timed out"]


def test_one_rewarding_judge_with_gates_gives_its_composite_times_what_they_keep() -> None:
    group = [Judgement(scored(8.0), kept=0.5), Judgement(scored(6.0)), Judgement.unscored("timed out")]
    assert group_rewards(group, [of("a"), of("g", "gate")]) == [pytest.approx(0.4), 0.6, None]
    assert group_rewards(group[:1], [of("a"), of("w", "watch")]) == [0.8]  # nobody gates
    assert group_rewards(group[:1]) == [0.8]
