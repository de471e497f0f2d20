"""Simulated candidates in an evaluation: held once, stored, in results and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import JudgeConfig
from recruiter.evaluation.contestants import Contestant, Setup
from recruiter.evaluation.results import Results
from recruiter.evaluation.runner import Evaluation
from recruiter.evaluation.store import RecordStore
from recruiter.evaluation.tables import markdown
from recruiter.judges.simulated import SimulatedJudge
from tests.conftest import MakeRole
from tests.evaluation.conftest import ListWriter, make_plan
from tests.fake_judge import FakeJudge, Faults
from tests.judges.conftest import QUESTIONS
from tests.judges.test_simulated import interviewing

PLAIN = [f"What is the default port of service {number}?" for number in range(6)]


@pytest.fixture
def run(tmp_path: Path, role: MakeRole, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Evaluate a model whose questions tell candidates apart, and one whose do not; returns the results."""
    monkeypatch.setattr("recruiter.llm.retry.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("recruiter.llm.retry.LONGEST_PAUSE", 0.05)

    def evaluate(server: FakeJudge) -> Results:
        server.instead = lambda request: None if request.fault else interviewing(request)
        settings = JudgeConfig(
            provider="simulated",
            model="openai_compatible/fake",
            base_url=server.openai_url,
            answers=2,
            cache_path=str(tmp_path / "cache.sqlite"),
        )
        writers = [ListWriter("telling", QUESTIONS[:6]), ListWriter("plain", PLAIN)]
        contestants = [Contestant(writer.name, writer) for writer in writers]
        plan, roles = make_plan(["telling", "plain"]), [role(index) for index in range(6)]
        setup = Setup(plan, roles, contestants, [], SimulatedJudge(settings))
        store = RecordStore(tmp_path / "store.sqlite")
        return Evaluation(setup, store, lambda who, what, share: None).run()

    return evaluate


def test_each_model_gets_its_figure_with_interval_and_cost(run: Any) -> None:
    with FakeJudge() as server:
        results = run(server)
        asked = len(server.requests)
    found = results.simulated
    assert (found.models["telling"].mean, found.models["plain"].mean) == (1.0, 0.5)
    assert (found.models["plain"].low, found.models["plain"].high) == pytest.approx((0.5, 0.5))
    assert found.missing == {"telling": 0, "plain": 0}
    assert results.spent["simulated/openai_compatible/fake"].calls == asked == 12 * 5
    interviews = results.samples[0].interviews
    assert interviews.probability == 1.0
    assert {grade for _, grade in interviews.strong} == {9.0}
    table = markdown(results)
    assert "## Simulated candidates (simulated/openai_compatible/fake, 2 answers each)" in table
    assert "| telling | 100% (100% to 100%) | 0 |" in table
    assert Results.model_validate_json(json.dumps(results.model_dump(mode="json"))).simulated == found


def test_what_was_measured_is_not_measured_again(run: Any) -> None:
    with FakeJudge() as server:
        first = run(server)
        asked = len(server.requests)
        again = run(server)
        assert len(server.requests) == asked
    assert again.samples == first.samples


def test_an_outage_leaves_questions_without_a_figure_and_the_next_run_asks_for_them(run: Any) -> None:
    with FakeJudge() as server:
        server.faults = Faults(["wrong_key"], share=1.0, times=None)
        results = run(server)
        assert results.simulated.models == {"telling": None, "plain": None}
        assert results.simulated.missing == {"telling": 6, "plain": 6}
        assert any("refused the key" in flag for flag in results.flags)
        server.faults = Faults()
        assert run(server).simulated.models["telling"].mean == 1.0
