from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.our_step import make_config, measure_ours
from benchmarks.workload import FixedTimeJudge
from recruiter.engines.local import LocalPolicy
from recruiter.judges import Judge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.roles import Role
from tests.engines.trl_oracle import save_tiny_model

ROLES, GROUP, TOKENS = 2, 3, 6


@pytest.mark.parametrize("judge", [FixedTimeJudge(), RubricJudge()], ids=["instant", "rubric"])
def test_every_answer_of_our_step_is_as_long_as_the_peers(
    tmp_path: Path, role: Callable[..., Role], judge: Judge
) -> None:
    save_tiny_model("llama", tmp_path)
    config = make_config(str(tmp_path), ROLES, GROUP, TOKENS, "float32", "cpu")
    policy = LocalPolicy(config)
    result = measure_ours(config, [role(i) for i in range(ROLES)], 2, judge, policy)
    assert len(result["samples"]["seconds"]) == 2
    assert 0 < result["seconds_sampling"] < result["seconds"]
    assert result["tokens_training"] > ROLES * GROUP * (TOKENS - 1)
    assert result["ratio_mean"] == pytest.approx(1, abs=1e-3)
