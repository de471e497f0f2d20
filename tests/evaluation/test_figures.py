from __future__ import annotations

from typing import Any

import pytest

from recruiter.evaluation.agreement import agreements, consistency
from recruiter.evaluation.figures import judge_figures
from recruiter.evaluation.records import JudgementRecord
from tests.conftest import MakeRole
from tests.evaluation.conftest import sample
from tests.scoring import METRICS


def figures(roles: Any, samples: Any, trim: Any = None) -> Any:
    models = list(dict.fromkeys(each.model for each in samples))
    return judge_figures("judge", METRICS, models, roles, samples, trim)


def test_means_tail_and_counts_by_hand(role: MakeRole) -> None:
    samples = [
        sample("m", "role-000", (9, 6, 3)),
        sample("m", "role-001", (3, 3, 3)),
        sample("m", "role-002", None),
        sample("m", "role-003", None, question=None, failure="busy", judgements={}),
    ]
    found = figures([role(i) for i in range(4)], samples)["m"]
    means = {name: estimate.mean for name, estimate in found.scores.items()}
    assert means == pytest.approx({"relevance": 6.0, "clarity": 4.5, "discriminative": 3.0, "composite": 4.5})
    assert (found.questions, found.unwritten, found.unscored) == (4, 1, 1)
    assert found.unscored_reasons == {"timeout": 1}
    assert (found.below_5.mean, found.below_5.roles) == (0.5, 2)
    assert found.difference is None


def test_several_samples_count_once_a_role(role: MakeRole) -> None:
    samples = [sample("m", "role-000", score, i) for i, score in enumerate((10, 8, 6))]
    samples += [sample("m", "role-001", score, i) for i, score in enumerate((2, None, None))]
    found = figures([role(0), role(1)], samples)["m"]
    assert found.scores["composite"].mean == pytest.approx((8 + 2) / 2)
    assert (found.questions, found.unscored) == (6, 2)


def test_a_difference_stands_on_the_roles_that_are_scored_for_both(role: MakeRole) -> None:
    roles = [role(i) for i in range(5)]
    before = [sample("a", r.id, score) for r, score in zip(roles, (5, 5, 9, 4, None), strict=True)]
    after = [sample("b", r.id, score) for r, score in zip(roles, (8, 5, None, 3, 9), strict=True)]
    found = figures(roles, before + after)
    difference = found["b"].difference
    assert difference.scores["composite"].mean == pytest.approx((3 + 0 - 1) / 3)
    assert (difference.roles, difference.wins, difference.ties, difference.losses) == (3, 1, 1, 1)
    assert found["b"].scores["composite"].roles == 4  # the mean stands on everything that is scored
    assert difference.baseline == "a"


def test_effects_by_level_and_focus(role: MakeRole) -> None:
    roles = [role(i, focus="payments" if i % 2 else "search") for i in range(10)]
    before = [sample("a", r.id, 4) for r in roles]
    after = [sample("b", r.id, 6 if r.focus == "payments" else 5) for r in roles]
    difference = figures(roles, before + after)["b"].difference
    assert list(difference.by_level) == ["junior", "mid", "senior", "staff", "principal"]
    assert {name: each.mean for name, each in difference.by_focus.items()} == {"payments": 2.0, "search": 1.0}
    assert difference.by_focus["payments"].roles == 5
    assert difference.by_level["junior"].low is None  # two roles are too few for an interval


def test_p_values_are_corrected_for_the_number_of_models(role: MakeRole) -> None:
    roles = [role(i) for i in range(12)]
    samples = [sample("a", r.id, 5) for r in roles]
    samples += [sample(model, r.id, 6 - i % 3) for model in ("b", "c", "d") for i, r in enumerate(roles)]
    samples += [sample("e", r.id, 8) for r in roles]
    found = figures(roles, samples)
    assert found["e"].difference.p_corrected == pytest.approx(4 * found["e"].difference.p_value)
    assert all(each.difference.p_corrected >= each.difference.p_value for each in found.values() if each.difference)


def test_nothing_in_common_gives_no_difference_and_nothing_scored_no_numbers(role: MakeRole) -> None:
    found = figures([role(0), role(1)], [sample("a", "role-000", 5), sample("b", "role-001", 9)])
    assert found["b"].difference is None
    found = figures([role(0)], [sample("a", "role-000", None)])["a"]
    assert set(found.scores.values()) == {None}
    assert (found.below_5, found.by_level, found.unscored) == (None, {}, 1)


def test_trimmed_figures_stand_beside_the_full_ones(role: MakeRole) -> None:
    roles = [role(i) for i in range(10)]
    samples = [sample("a", r.id, 5) for r in roles]
    samples += [sample("b", r.id, 10 if i == 0 else 6) for i, r in enumerate(roles)]
    found = figures(roles, samples, trim=0.1)["b"]
    assert found.scores["composite"].mean == pytest.approx(6.4)
    assert found.trimmed.scores["composite"].mean == pytest.approx(6.0)
    assert found.trimmed.difference.mean == pytest.approx(1.0)
    assert found.difference.scores["composite"].mean == pytest.approx(1.4)
    assert figures(roles, samples)["b"].trimmed is None


# ---- judges ----------------------------------------------------------------------------------------------------------


def test_consistency_by_hand() -> None:
    found = consistency([5.0, 6.0, 7.0, 8.0], [5.5, 6.0, 7.6, 8.0])
    assert (found.questions, found.within_half) == (4, 0.75)
    assert found.mean_absolute_difference == pytest.approx(1.1 / 4)
    assert found.spearman == pytest.approx(1.0)
    assert consistency([], []).within_half is None


def test_two_judges_agree_or_not() -> None:
    def judged(model: Any, role_id: Any, one: Any, other: Any) -> Any:
        records = [
            JudgementRecord(scores={"composite": score} if score else None, reasoning="", unscored_reason=None)
            for score in (one, other)
        ]
        return sample(model, role_id, 1, judgements=dict(zip(("x", "y"), records, strict=True)))

    samples = [
        judged("a", "1", 4, 5), judged("b", "1", 6, 8), judged("a", "2", 3, 6), judged("b", "2", 5, 4),
        judged("a", "3", 5, 5), judged("b", "3", 5, 9), judged("a", "4", 5, None), judged("b", "4", 5, 9),
    ]  # fmt: skip
    (found,) = agreements(["x", "y"], samples)
    assert (found.judges, found.questions) == (("x", "y"), 7)
    assert (found.preferences, found.same_preference) == (2, 0.5)  # role 3 is a tie for x, role 4 unscored for y
    assert found.mean_difference == pytest.approx((4 + 6 + 3 + 5 + 5 + 5 + 5 - 5 - 8 - 6 - 4 - 5 - 9 - 9) / 7)
    assert agreements(["x"], samples) == []
