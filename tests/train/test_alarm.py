"""The alarm over hand-made metrics."""

from __future__ import annotations

from typing import Any

import pytest

from recruiter.train.alarm import alarm, change
from tests.conftest import known


def rows(steps: int = 20, **figures: Any) -> list[dict[str, Any]]:
    """Metrics whose figures go evenly from the first value of a pair to the second."""
    ways = {"composite": (2.0, 6.0), "samples": (32, 32), "cut_off": (1, 1), "length_mean": (30.0, 30.0), **figures}
    return [
        {"step": n + 1, **{key: a + (b - a) * n / (steps - 1) for key, (a, b) in ways.items() if a is not None}}
        for n in range(steps)
    ]


def test_means_of_the_first_and_the_last_five_steps_are_compared_by_hand() -> None:
    values = (1, 1, 1, 1, 2, 9, 9, 3, 3, 3, 3, 4)
    moved = known(change([{"x": value} for value in values], lambda row: row.get("x")))
    assert (moved.first, moved.last) == pytest.approx((1.2, 3.2))
    # neighbours differ by 1, 7, -6, 1 and otherwise nothing: 1 + 49 + 36 + 1 = 87 over 11 differences and halved
    assert moved.noise == pytest.approx(2 * (87 / 11 / 2) ** 0.5 * (2 / 5) ** 0.5)
    assert change([{"x": 1.0}] * 9, lambda row: row.get("x")) is None


def test_a_rising_reward_alone_is_no_alarm_nor_is_a_falling_sense_alone() -> None:
    assert alarm(rows()) is None
    assert alarm(rows(composite=(5.0, 5.2), sense=(-1.5, -4.0))) is None
    assert alarm(rows(composite=(6.0, 2.0), sense=(-1.5, -4.0))) is None


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"sense": (-1.5, -3.0)}, "under the untrained model (nats a token) fell from -1.66 to -2.84"),
        ({"watch_grok": (7.0, 5.0)}, "the watching judge grok fell from its best 6.79 to 5.21"),
        ({"overlap": (0.1, 0.6)}, "the wording shared with other roles rose from 0.15 to 0.55"),
        ({"cut_off": (0, 16)}, "the share of questions that are cut off rose"),
        ({"kl": (0.0, 1.0)}, "(KL, nats a token) rose"),
        ({"length_mean": (20.0, 50.0)}, "the length in tokens rose"),
        ({"length_mean": (50.0, 20.0)}, "the length in tokens fell"),
    ],
)  # fmt: skip
def test_a_figure_that_goes_the_other_way_is_named_in_one_sentence(figures: dict[str, Any], words: str) -> None:
    text = alarm(rows(**figures))
    assert words in known(text)
    assert known(text).startswith("Alarm: since the first steps the reward rose from 0.24 to 0.56, but ")
    assert known(text).count(". ") == 0


@pytest.mark.parametrize(
    "figures",
    [
        {"sense": (-3.0, -1.5)},
        {"watch_grok": (5.0, 7.0)},
        {"watch_grok_unscored": (8, 0)},
        {"overlap": (0.6, 0.1)},
        {"kl": (0.0, 0.5)},
        {"length_mean": (30.0, 38.0)},
    ],
)
def test_a_figure_that_goes_the_right_way_or_little_is_none(figures: dict[str, Any]) -> None:
    assert alarm(rows(**figures)) is None


def test_a_watching_judge_is_compared_with_its_best_other_figures_with_the_first_steps() -> None:
    better, worse = rows(10, watch_grok=(5.0, 7.0)), rows(10, composite=(6.0, 6.5), watch_grok=(7.0, 5.0))
    assert alarm(better) is None
    assert "fell from its best 6.82 to 5.44" in (alarm([*better, *worse]) or "")
    back = [*rows(10, sense=(-2.3, -1.5)), *rows(10, composite=(6.0, 6.5), sense=(-1.5, -2.4))]
    assert alarm(back) is None  # no worse than at the start


def test_a_figure_that_jumps_about_must_move_further() -> None:
    jumping = rows(sense=(-1.5, -2.2))
    for index, row in enumerate(jumping):
        row["sense"] += 2.0 if index % 2 else -2.0
    assert alarm(jumping) is None
    assert alarm(rows(sense=(-1.5, -2.2))) is not None


def test_several_judges_are_watched_by_the_level_of_their_reward() -> None:
    """Standardised within the group, the mean reward stays where it is; the level can be compared."""
    assert alarm(rows(reward_level=(0.5, 0.5), sense=(-1.5, -3.0))) is None
    assert "from 0.24 to 0.56" in known(alarm(rows(composite=(5.0, 5.0), reward_level=(0.2, 0.6), sense=(-1.5, -3.0))))


def test_steps_without_a_figure_are_passed_over() -> None:
    some = rows(watch_grok=(7.0, 5.0))
    for row in some[3:8]:
        row["watch_grok"] = None
    assert "grok" in known(alarm(some))
    for row in some[3:16]:
        row["watch_grok"] = None
    assert alarm(some) is None
