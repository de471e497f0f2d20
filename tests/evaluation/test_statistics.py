import itertools

import numpy as np
import pytest

from recruiter.evaluation.statistics import (
    estimate,
    holm,
    sign_flip_p_value,
    spearman,
    trimmed_means,
)  # fmt: skip


def test_interval_holds_the_mean_and_has_the_width_of_theory() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 100)
    found = estimate(values)
    assert found == estimate(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.05)
    assert found.roles == 100


def test_interval_covers_the_truth_about_95_times_of_100() -> None:
    generator = np.random.default_rng(0)
    found = [estimate(generator.normal(0.0, 1.0, 50)) for _ in range(200)]
    assert 180 <= sum(each.low <= 0.0 <= each.high for each in found) <= 199


def test_few_values_have_a_mean_but_no_interval_and_none_have_nothing() -> None:
    few = estimate(np.array([1.0, 2.0]))
    assert (few.mean, few.low, few.high, few.roles) == (1.5, None, None, 2)
    assert estimate(np.array([])) is None


def test_trimming_is_symmetric_and_leaves_out_whole_values() -> None:
    rows = np.array([[9.0, 1.0, 5.0, 3.0, 100.0]])
    assert trimmed_means(rows, 0.2) == pytest.approx((3 + 5 + 9) / 3)
    assert trimmed_means(rows, 0.1) == pytest.approx(rows.mean())
    assert estimate(np.arange(10.0), trim=0.2).mean == pytest.approx(4.5)


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
