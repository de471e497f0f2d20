from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recruiter.evaluation.records import ComparisonRecord
from recruiter.evaluation.strengths import PRIOR, fit, pairwise_figures
from tests.conftest import known


def compared(role_id: Any, first: Any, second: Any, preferred: Any) -> ComparisonRecord:
    return ComparisonRecord(
        role_id=role_id, sample=0, first=first, second=second, preferred=preferred, reasoning="",
        failure=None if preferred else "timeout",
    )  # fmt: skip


def both_orders(role_id: Any, first: Any, second: Any, winner: Any) -> list[Any]:
    """A pair in both orders; `winner` None is a tie."""
    return [
        compared(role_id, one, other, "tie" if winner is None else "first" if winner == one else "second")
        for one, other in ((first, second), (second, first))
    ]


def test_two_models_have_a_closed_form() -> None:
    wins, ties = np.array([[[0.0, 30.0], [10.0, 0.0]]]), np.array([[[0.0, 8.0], [8.0, 0.0]]])
    strengths, nu = fit(wins, ties)
    one, other = 30 + PRIOR, 10 + PRIOR
    assert strengths[0, 0] / strengths[0, 1] == pytest.approx(one / other, rel=1e-4)
    assert nu[0] == pytest.approx(8 / np.sqrt(one * other), rel=1e-4)


def test_planted_strengths_are_found() -> None:
    generator, names = np.random.default_rng(0), ["a", "b", "c"]
    true, nu = np.array([1.0, 2.0, 4.0]), 0.8
    comparisons = []
    for number in range(1500):
        i, j = generator.choice(3, 2, replace=False)
        weights = np.array([true[i], true[j], nu * np.sqrt(true[i] * true[j])])
        preferred = generator.choice(["first", "second", "tie"], p=weights / weights.sum())
        comparisons.append(compared(f"role-{number % 100}", names[i], names[j], str(preferred)))
    found = pairwise_figures(names, comparisons)
    assert found.strengths["a"].log_strength.mean == 0.0
    for name, strength in zip(names, true, strict=True):
        estimate = found.strengths[name].log_strength
        assert estimate.low <= np.log(strength) <= estimate.high
        assert estimate.mean == pytest.approx(np.log(strength), abs=0.2)
    assert found.tie_parameter == pytest.approx(nu, abs=0.15)
    assert known(found.strengths["c"].beats_baseline).mean == pytest.approx((4 + nu) / (5 + 2 * nu), abs=0.04)
    assert found.strengths["a"].beats_baseline is None


def test_a_model_that_wins_everything_stays_finite() -> None:
    found = pairwise_figures(["a", "b"], [c for i in range(20) for c in both_orders(str(i), "a", "b", "b")])
    assert 3 < found.strengths["b"].log_strength.mean < 10
    assert (found.strengths["b"].wins, found.strengths["b"].losses, found.orders_agree) == (40, 0, 1.0)


def test_a_judge_that_likes_what_it_sees_first_is_seen_through() -> None:
    comparisons = [
        c for i in range(10) for c in (compared(str(i), "a", "b", "first"), compared(str(i), "b", "a", "first"))
    ]
    found = pairwise_figures(["a", "b"], comparisons)
    assert (found.first_preferred, found.orders_agree) == (1.0, 0.0)
    assert found.strengths["b"].log_strength.mean == pytest.approx(0.0, abs=1e-6)


def test_unanswered_comparisons_are_counted_and_left_out() -> None:
    comparisons = [*both_orders("1", "a", "b", None), compared("2", "a", "b", None), compared("2", "b", "a", "first")]
    found = pairwise_figures(["a", "b"], comparisons)
    assert (found.unanswered, found.orders_agree, found.first_preferred) == (1, 1.0, 1.0)
    assert (found.strengths["b"].wins, found.strengths["b"].ties) == (1, 2)
    nothing = pairwise_figures(["a", "b"], [compared("1", "a", "b", None)])
    assert (nothing.strengths, nothing.orders_agree, nothing.tie_parameter) == ({}, None, None)
