"""Which groups people are asked about: those that judges contradict one another on, or see no order in."""

from __future__ import annotations

import pytest

from recruiter.rubric import Judgement
from recruiter.train.choosing import choose_groups, uncertainties
from tests.scoring import RUBRIC


def by(**composites: float | None) -> Judgement:
    """A question with a composite by each judge; None: it gave none."""
    parts = {
        name: Judgement.unscored("away")
        if value is None
        else Judgement(RUBRIC.scores(dict.fromkeys(RUBRIC.names, value)))
        for name, value in composites.items()
    }
    if None in composites.values():
        return Judgement(None, "", "away", 1.0, parts)
    mean = sum(value or 0 for value in composites.values()) / len(composites)
    return Judgement(RUBRIC.scores(dict.fromkeys(RUBRIC.names, mean)), parts=parts)


AGREED = [by(a=2, b=2), by(a=5, b=5), by(a=8, b=8)]
CONTRARY = [by(a=2, b=8), by(a=5, b=5), by(a=8, b=2)]
CLOSE = [by(a=5.0, b=5.1), by(a=5.1, b=5.0), by(a=5.05, b=5.05)]
UNSCORED = [by(a=None, b=3)] * 3


def test_contradiction_and_closeness_are_uncertain() -> None:
    agreed, contrary, close, unscored = uncertainties([AGREED, CONTRARY, CLOSE, UNSCORED])
    assert agreed < 0.3
    assert contrary == pytest.approx(1.0)
    assert close > 0.9
    assert unscored == 1.0


def test_judges_are_heard_on_their_own_scale() -> None:
    """A judge that uses a tenth of the scale says as much by its order as one that uses all of it."""
    wide = [[by(a=1), by(a=9)], [by(a=4.9), by(a=5.1)]]
    narrow = [[by(a=4.6), by(a=5.4)], [by(a=4.99), by(a=5.01)]]
    assert uncertainties(wide) == pytest.approx(uncertainties(narrow), abs=1e-6)


def test_the_most_uncertain_are_asked_or_any_at_least_one() -> None:
    groups = [AGREED, CONTRARY, AGREED, CLOSE]
    assert choose_groups(groups, 0.5, True, seed=1, step=1) == [1, 3]
    assert choose_groups(groups, 0.25, True, seed=1, step=1) == [1]
    assert len(choose_groups(groups, 0.01, True, seed=1, step=1)) == 1
    drawn = {tuple(choose_groups(groups, 0.5, False, seed=1, step=step)) for step in range(30)}
    assert len(drawn) > 3
    assert choose_groups(groups, 0.5, False, seed=1, step=5) == choose_groups(groups, 0.5, False, seed=1, step=5)


def test_one_judge_alone_says_what_is_close() -> None:
    one = Judgement(RUBRIC.scores(dict.fromkeys(RUBRIC.names, 2.0)))
    other = Judgement(RUBRIC.scores(dict.fromkeys(RUBRIC.names, 8.0)))
    near = Judgement(RUBRIC.scores(dict.fromkeys(RUBRIC.names, 8.1)))
    assert choose_groups([[one, other], [other, near]], 0.5, True, seed=0, step=1) == [1]
