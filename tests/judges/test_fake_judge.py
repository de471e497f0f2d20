"""The fake judge itself."""

from __future__ import annotations

import pytest

from recruiter.errors import ApiError
from tests.conftest import MakeRole
from tests.fake_judge import Faults
from tests.judges.conftest import GOOD, MakeJudge, by_hand, score


def test_faults_depend_on_the_message_and_not_on_the_order() -> None:
    messages = [f"message {n}" for n in range(400)]
    one, other = (Faults(["cut", "slow"], share=0.1, seed=3) for _ in range(2))
    forwards = {message: one.next(message) for message in messages}
    backwards = {message: other.next(message) for message in reversed(messages)}
    assert forwards == backwards
    assert 20 < sum(map(bool, forwards.values())) < 60
    assert not any(one.next(message) for message in messages)


def test_fake_judge_runs_by_hand(judge: MakeJudge, role: MakeRole) -> None:
    with (
        by_hand("--fault", "wrong_key") as url,
        pytest.raises(ApiError, match="refused the key"),
    ):
        score(judge(base_url=url), role(), [GOOD])
