import itertools
from typing import NamedTuple

import krippendorff
import numpy as np
import pytest

from recruiter.evaluation.estimates import Estimate
from recruiter.evaluation.statistics import (
    clustered_share,
    estimate,
    holm,
    krippendorff_alpha,
    sign_flip_p_value,
    spearman,
    trimmed_means,
)
from tests.conftest import known


class Interval(NamedTuple):
    mean: float
    low: float
    high: float
    roles: int


def interval(found: Estimate | None) -> Interval:
    """An estimate that has an interval."""
    estimated = known(found)
    return Interval(estimated.mean, known(estimated.low), known(estimated.high), estimated.roles)


def test_interval_holds_the_mean_and_has_the_width_of_theory() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 100)
    found = interval(estimate(values))
    assert found == interval(estimate(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.05)
    assert found.roles == 100


def test_interval_covers_the_truth_about_95_times_of_100() -> None:
    generator = np.random.default_rng(0)
    found = [interval(estimate(generator.normal(0.0, 1.0, 50))) for _ in range(200)]
    assert 180 <= sum(each.low <= 0.0 <= each.high for each in found) <= 199


def test_few_values_have_a_mean_but_no_interval_and_none_have_nothing() -> None:
    few = known(estimate(np.array([1.0, 2.0])))
    assert (few.mean, few.low, few.high, few.roles) == (1.5, None, None, 2)
    assert estimate(np.array([])) is None


def test_trimming_is_symmetric_and_leaves_out_whole_values() -> None:
    rows = np.array([[9.0, 1.0, 5.0, 3.0, 100.0]])
    assert trimmed_means(rows, 0.2) == pytest.approx((3 + 5 + 9) / 3)
    assert trimmed_means(rows, 0.1) == pytest.approx(rows.mean())
    assert known(estimate(np.arange(10.0), trim=0.2)).mean == pytest.approx(4.5)


def test_p_value_of_few_differences_is_that_of_all_sign_patterns() -> None:
    differences = np.array([2.0, 1.5, -0.5, 3.0, 1.0, 0.7, -0.2, 2.5])
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=len(differences))]
    exact = np.mean([total >= abs(differences.sum()) - 1e-9 for total in sums])
    assert sign_flip_p_value(differences) == pytest.approx(exact, abs=0.006)


def test_p_value_without_differences_is_one_and_never_zero() -> None:
    assert sign_flip_p_value(np.zeros(20)) == 1.0
    assert 0 < sign_flip_p_value(np.full(100, 5.0)) < 0.001


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_rank_correlation() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 400]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(0.9487, abs=1e-4)  # ties share their mean rank
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert spearman([1, 2], [1, 2]) is None


def test_share_of_clustered_decisions_by_hand() -> None:
    # share 7/10; residuals 0.6, 0.6, -0.4, -1.4, 0.6: variance 5/4 * 3.2 / 100 = 0.04, as of 0.21 / 0.04 = 5.25 decisions
    won, lost = np.array([2.0, 2.0, 1.0, 0.0, 2.0, 0.0]), np.array([0.0, 0.0, 1.0, 2.0, 0.0, 0.0])
    found = interval(clustered_share(won, lost))
    assert found.roles == 5
    assert [found.mean, found.low, found.high] == pytest.approx([0.7, 0.3059, 0.9251], abs=1e-4)


def test_several_readers_of_a_role_who_agree_are_not_more_decisions() -> None:
    won, lost = np.array([1.0] * 14 + [0.0] * 6), np.array([0.0] * 14 + [1.0] * 6)
    once, thrice = interval(clustered_share(won, lost)), interval(clustered_share(3 * won, 3 * lost))
    assert (once.mean, once.low, once.high) == pytest.approx((thrice.mean, thrice.low, thrice.high))
    assert once.high - once.low == pytest.approx(0.39, abs=0.02)  # Wilson, 14 of 20: 0.48 to 0.85


def test_share_that_all_won_has_an_interval_as_wide_as_its_roles_allow() -> None:
    found = interval(clustered_share(np.full(6, 2.0), np.zeros(6)))
    assert (found.mean, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(6 / (6 + 1.959964**2), abs=1e-6)
    assert clustered_share(np.zeros(3), np.zeros(3)) is None
    few = known(clustered_share(np.ones(4), np.zeros(4)))
    assert (few.mean, few.low, few.high) == (1.0, None, None)


@pytest.mark.parametrize("truth", [0.5, 0.8, 0.95])
def test_interval_of_a_share_covers_the_truth_where_readers_agree_by_half(truth: float) -> None:
    generator, covered = np.random.default_rng(0), 0
    for _ in range(400):
        first = generator.random(40) < truth
        second = np.where(generator.random(40) < 0.5, first, generator.random(40) < truth)
        won = first.astype(float) + second
        found = interval(clustered_share(won, 2 - won))
        covered += found.low <= truth <= found.high
    assert 368 <= covered <= 398  # 92% to 99.5%


def test_alpha_by_hand_and_as_the_library_computes_it() -> None:
    # six values of mean 3: sum of squares 10; within units 2 * (0.5 + 0 + 0.5); alpha = 1 - 5/6 * 2/10
    assert krippendorff_alpha([[1, 2], [3, 3], [5, 4], [9]]) == pytest.approx(5 / 6)
    generator = np.random.default_rng(3)
    table = np.round(generator.normal(5, 2, 40) + generator.normal(0, 1, (3, 40)), 1)
    table[generator.random((3, 40)) < 0.2] = np.nan
    units = [[value for value in column if not np.isnan(value)] for column in table.T]
    expected = krippendorff.alpha(table, level_of_measurement="interval")
    assert krippendorff_alpha(units) == pytest.approx(expected)
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha([[1], [2]]) is None
