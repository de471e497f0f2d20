"""Calibration by ratings: weights that are known are found, too few ratings change nothing, chance is called no gain."""

from __future__ import annotations

import numpy as np
import pytest

from recruiter.evaluation.calibration import FEWEST_GROUPS, RatedGroup, calibrate, tau_b
from recruiter.rubric import load_rubric

RUBRIC = load_rubric()
CRITERIA = len(RUBRIC.names)


def rated(
    count: int, noise: tuple[float, float], seed: int = 0, size: int = 4, people: float = 0.5
) -> list[RatedGroup]:
    """Groups in which people see the truth, and two judges see it through noise."""
    chance = np.random.default_rng(seed)
    groups = []
    for _ in range(count):
        truth = chance.uniform(2, 8, (size, CRITERIA))
        judges = np.stack([np.clip(truth + chance.normal(0, spread, truth.shape), 0, 10) for spread in noise])
        groups.append(RatedGroup(np.clip(truth + chance.normal(0, people, truth.shape), 0, 10), judges))
    return groups


def test_the_judge_that_sees_more_counts_more_and_agreement_grows() -> None:
    found = calibrate(RUBRIC, rated(200, (1.0, 6.0)))
    assert found is not None
    good, bad = found.weights.weights
    assert (good > 3 * bad).all()
    assert found.helps
    assert found.before.mean < found.after.mean
    assert found.gain.mean == pytest.approx(found.after.mean - found.before.mean)
    assert found.more is not None
    assert found.more < 0.02  # of three numbers a criterion little is left to learn


def test_offsets_take_a_judges_own_level_out() -> None:
    groups = [RatedGroup(g.people, np.clip(0.5 * g.judges + 4, 0, 10)) for g in rated(100, (0.5, 0.5))]
    found = calibrate(RUBRIC, groups)
    assert found is not None
    scores = np.concatenate([found.weights.apply(group.judges) for group in groups])
    assert scores.mean() == pytest.approx(np.concatenate([group.people for group in groups]).mean(), abs=0.05)


def test_too_few_groups_say_nothing() -> None:
    assert calibrate(RUBRIC, rated(FEWEST_GROUPS - 1, (1.0, 6.0))) is None
    equal = [RatedGroup(np.full((4, CRITERIA), 5.0), group.judges) for group in rated(100, (1.0, 1.0))]
    assert calibrate(RUBRIC, equal) is None
    assert calibrate(RUBRIC, rated(FEWEST_GROUPS, (1.0, 6.0))) is not None


def test_noise_is_rarely_called_a_gain() -> None:
    """Judges that are equally good have nothing to be weighed by: 95% intervals may err once in forty on this side."""
    helped = sum(found.helps for seed in range(40) if (found := calibrate(RUBRIC, rated(40, (3.0, 3.0), seed))))
    assert helped <= 4


def test_little_changes_with_few_ratings_of_noisy_people() -> None:
    found = calibrate(RUBRIC, rated(FEWEST_GROUPS, (3.0, 3.0), people=6.0))
    assert found is not None
    assert np.abs(found.weights.weights - 0.5).max() < 0.5


def test_a_judge_that_sees_no_difference_does_not_agree() -> None:
    groups = [RatedGroup(group.people, np.full_like(group.judges, 5.0)) for group in rated(30, (1.0, 1.0))]
    found = calibrate(RUBRIC, groups)
    assert found is not None
    assert (found.before.mean, found.helps) == (0.0, False)
    assert tau_b([1, 2], [5, 5]) is None
