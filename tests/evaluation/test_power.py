"""What an evaluation of 100 roles can find, and how often it finds what is not there.

The noise is that of the rubric judge on sound questions: how much the composites of questions differ that one writer
wrote for one role (`tests/data/honest_questions.jsonl`, 20 roles × 3).
"""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest

from recruiter.evaluation.figures import judge_figures
from recruiter.evaluation.statistics import sign_flip_p_value
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.roles import Role
from tests import REPOSITORY
from tests.conftest import MakeRole, known
from tests.evaluation.conftest import sample
from tests.scoring import METRICS

NOISE = 1.266  # points; standard deviation within a role, of the rubric judge until 2026-11-30: harder than today's
NOISE_TODAY = 0.975
SAMPLES = 2  # questions a role, the default of eval.py
ROLES, SEED, LEVEL = 100, 2026, 0.05


def differences(better_by: float, repeats: int) -> np.ndarray:
    """Paired differences of role means (repeats, ROLES)."""
    noise = np.random.default_rng(SEED).normal(0.0, NOISE, (2, repeats, ROLES, SAMPLES)).mean(axis=-1)
    return better_by + noise[1] - noise[0]


def test_the_noise_is_that_of_the_rubric_judge() -> None:
    composites, judge = defaultdict(list), RubricJudge()
    for line in (REPOSITORY / "tests/data/honest_questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        composites[row["role"]["id"]].append(known(judge.judge(Role(**row["role"]), row["question"]).scores).composite)
    variances = [np.var(values, ddof=1) for values in composites.values()]
    assert np.sqrt(np.mean(variances)) == pytest.approx(NOISE_TODAY, abs=0.01)


def test_a_model_that_is_better_by_half_a_point_is_found_in_90_of_100_repeats() -> None:
    found = sum(sign_flip_p_value(each) < LEVEL for each in differences(0.5, 100))
    assert found >= 90


def test_equal_models_are_called_different_in_at_most_65_of_1000_repeats() -> None:
    found = sum(sign_flip_p_value(each) < LEVEL for each in differences(0.0, 1000))
    assert 30 <= found <= 65


def test_the_figures_of_an_evaluation_are_those_of_the_simulation(role: MakeRole) -> None:
    roles = [role(i) for i in range(ROLES)]
    quality = np.random.default_rng(SEED).uniform(3.0, 7.0, (ROLES, 1))
    noise = np.random.default_rng(SEED).normal(0.0, NOISE, (2, ROLES, SAMPLES))
    scores = {"before": (quality + noise[0]).clip(0, 10), "after": (quality + 0.5 + noise[1]).clip(0, 10)}
    samples = [
        sample(model, each.id, float(values[i, k]), k)
        for model, values in scores.items()
        for i, each in enumerate(roles)
        for k in range(SAMPLES)
    ]
    difference = known(judge_figures("judge", METRICS, ["before", "after"], roles, samples)["after"].difference)
    expected = (scores["after"] - scores["before"]).mean(axis=1)
    assert difference.p_value == sign_flip_p_value(expected)
    assert known(difference.scores["composite"]).mean == pytest.approx(expected.mean())
    assert known(difference.p_value) < LEVEL
