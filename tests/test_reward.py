from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import RewardConfig
from recruiter.reward import shape
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.overlap import OverlapWindow
from tests.conftest import MakeRole
from tests.scoring import scored

NINE = Judgement(scored(9.0))
DATA = Path(__file__).parent / "data"


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
    reward = shape(settings, window, role(2), overlap_words, NINE)
    assert reward.overlap == pytest.approx(overlap)
    assert reward.value == pytest.approx(value)
    assert reward.penalty == pytest.approx(0.9 - value)
    assert reward.judgement is NINE


def test_overlap_up_to_what_is_free_costs_exactly_nothing(role: MakeRole) -> None:
    settings = RewardConfig(overlap_penalty=0.9, overlap_free=0.5)
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    reward = shape(settings, window, role(2), "one two three four", NINE)
    assert (reward.overlap, reward.value, reward.penalty) == (0.5, NINE.reward, 0.0)


def test_unscored_question_stays_without_a_value(role: MakeRole) -> None:
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    reward = shape(RewardConfig(), window, role(2), "one two three", Judgement.unscored("timed out"))
    assert reward.value is None
    assert reward.penalty == 0.0
    assert reward.overlap == 1.0


def test_shaping_never_leaves_the_unit_interval(role: MakeRole) -> None:
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    for score in (0.0, 10.0):
        judgement = Judgement(scored(score))
        for free in (0.0, 1.0):
            value = shape(RewardConfig(1.0, free, 8), window, role(2), "one two three", judgement).value
            assert 0.0 <= value <= 1.0


@pytest.mark.parametrize("template", [0, 1, 2])
def test_every_instance_of_a_template_ends_at_four_of_ten_or_less_even_if_the_judge_gives_nine(template: int) -> None:
    settings = RewardConfig()
    instances = [row for row in questions_of("attack_questions.jsonl", "template") if row["template"] == template]
    assert len(instances) == 10
    shaped = {}
    for row in instances:
        window = OverlapWindow(settings.overlap_window)
        for other in instances:
            if other["role"].id != row["role"].id:
                window.remember(other["role"], [other["question"]])
        shaped[row["role"].id] = round(10 * shape(settings, window, row["role"], row["question"], NINE).value, 2)
    assert {role_id: value for role_id, value in shaped.items() if value > 4.0} == {}


def test_honest_questions_lose_nothing_or_nearly_nothing() -> None:
    settings = RewardConfig()
    rows = questions_of("honest_questions.jsonl", "honest")
    assert len(rows) >= 30
    window = OverlapWindow(settings.overlap_window)
    for row in rows:
        window.remember(row["role"], [row["question"]])
    losses = [10 * shape(settings, window, row["role"], row["question"], NINE).penalty for row in rows]
    assert statistics.median(losses) == 0.0
    assert max(losses) <= 0.5
