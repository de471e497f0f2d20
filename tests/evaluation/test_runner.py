from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import JudgeConfig
from recruiter.errors import ModelError
from recruiter.evaluation.figures import judge_figures
from recruiter.evaluation.records import JudgementRecord
from recruiter.evaluation.results import SCHEMA_VERSION, load_results
from recruiter.evaluation.tables import warnings
from recruiter.judges.llm import LLMJudge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.llm.usage import Budget
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from tests.conftest import MakeRole, known
from tests.evaluation.conftest import Evaluate, ListWriter, WordJudge
from tests.fake_judge import FakeJudge
from tests.fake_judge.faults import Faults
from tests.scoring import METRICS


@pytest.fixture
def server() -> Iterator[Any]:
    with FakeJudge() as server:
        yield server


@pytest.fixture
def asked(server: Any, tmp_path: Path) -> Callable[..., Any]:
    """A factory of LLM judges at the fake server."""

    def make(model: str = "fake", **changes: Any) -> LLMJudge:
        settings = {"base_url": server.openai_url, "cache_path": str(tmp_path / "cache.sqlite"), "max_attempts": 1}
        return LLMJudge(JudgeConfig("openai_compatible", model, **{**settings, **changes}))

    return make


@pytest.fixture
def honest(pytestconfig: Any) -> tuple[Any, ...]:
    """Roles with three sound questions each."""
    roles = {}
    questions: dict[Any, Any] = {}
    path = pytestconfig.rootpath / "tests/data/honest_questions.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        role = Role(**row["role"])
        roles[role.id] = role
        questions.setdefault(role.id, []).append(row["question"])
    return list(roles.values()), [list(texts) for texts in zip(*questions.values(), strict=True)]


def without_times(results: Any) -> dict[str, Any]:
    data = results.model_dump(mode="json")
    return {name: value for name, value in data.items() if name not in ("made_at", "seconds", "spent")}


# ---- everything is written, judged, stored ---------------------------------------------------------------------------


def test_every_question_is_judged_and_compared_with_the_first_model(evaluate: Evaluate, role: MakeRole) -> None:
    writers = [
        ListWriter("before", ["a b", "a b c d", "a"]),
        ListWriter("after", ["a b c", "a b c d", "please refuse"]),
    ]
    results, evaluation = evaluate(writers)
    after = [sample for sample in results.samples if sample.model == "after"]
    assert [sample.question for sample in after] == ["a b c", "a b c d", "please refuse"]
    judgements = [sample.judgements["words"] for sample in after]
    assert [each.scores and each.scores["composite"] for each in judgements] == [3.0, 4.0, None]
    assert [each.unscored_reason for each in judgements] == [None, None, "refusal"]
    difference = results.figures["words"]["after"].difference
    assert (known(known(difference).scores["composite"]).mean, known(difference).roles) == (0.5, 2)
    assert results.prompts["role-000"] == generator_messages(role(0))
    assert results.texts["after"].cost_usd == pytest.approx(0.003)
    assert evaluation.problems == []


def test_results_come_back_as_they_were_stored_and_their_figures_can_be_computed_again(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    writers = [ListWriter(name, [f"{name} {i} " + "x " * i for i in range(12)]) for name in ("a", "b b", "c")]
    results, _ = evaluate(writers, samples=2, trim=0.2, twice=5, pairwise=True)
    results.save(tmp_path / "results/eval.json")
    stored = load_results(tmp_path / "results/eval.json")
    assert stored == results
    assert stored.schema_version == SCHEMA_VERSION
    again = judge_figures("words", METRICS, list(stored.models), stored.roles, stored.samples, stored.plan.trim)
    assert again == stored.figures["words"]


def test_several_judges_show_their_agreement_and_their_consistency(
    evaluate: Evaluate, asked: Callable[..., Any]
) -> None:
    questions = [
        "How would you find the slow query behind a full queue?",
        "Why?",
        "What is an index design for, and when?",
    ]
    results, _ = evaluate(
        [ListWriter("a", questions), ListWriter("b", questions[::-1])], [RubricJudge(), asked()], twice=4
    )
    (agreement,) = results.agreement
    assert agreement.judges == ("rubric", "openai_compatible/fake")
    assert agreement.questions == 6
    assert agreement.spearman == pytest.approx(1.0)
    assert {name: each.questions for name, each in results.consistency.items()} == dict.fromkeys(agreement.judges, 4)
    assert results.spent["openai_compatible/fake"].calls == 5 + 4  # one text stands there twice; second opinions


def test_pairwise_sees_both_orders_and_is_not_paid_twice(
    evaluate: Evaluate, asked: Callable[..., Any], server: Any
) -> None:
    questions = ["How would you find the slow query behind a full queue?", "Why?"]
    writers = [ListWriter("a", questions), ListWriter("b", ["Why?", "What is hard?"])]
    results, _ = evaluate(writers, [asked()], pairwise=True)
    found = results.pairwise["openai_compatible/fake"]
    orders = [(c.first, c.second, c.preferred) for c in found.comparisons if c.role_id == "role-000"]
    assert orders == [("a", "b", "first"), ("b", "a", "second")]
    assert (found.orders_agree, found.strengths["a"].wins) == (1.0, 2)
    calls = len(server.requests)
    again, _ = evaluate(writers, [asked()], pairwise=True)
    assert len(server.requests) == calls
    assert without_times(again) == without_times(results)


def test_a_judge_is_asked_about_all_roles_at_once(evaluate: Evaluate, asked: Callable[..., Any], server: Any) -> None:
    server.latency = 0.1
    evaluate([ListWriter("a", [f"Why is {i} slow?" for i in range(8)])], [asked()])
    assert server.most_running == 8


# ---- what fails costs only itself ------------------------------------------------------------------------------------


def test_unwritten_questions_are_counted_and_asked_for_again(evaluate: Evaluate) -> None:
    writer = ListWriter("a", ["a b", "", "a b c"])
    results, _ = evaluate([writer])
    assert [sample.failure for sample in results.samples] == [None, "the server was busy", None]
    assert results.figures["words"]["a"].unwritten == 1
    evaluate([writer])
    assert writer.wrote.count(("role-001", 0)) == 2
    assert writer.wrote.count(("role-000", 0)) == 1


def test_a_model_that_breaks_down_keeps_what_it_wrote_and_the_others_go_on(evaluate: Evaluate) -> None:
    broken = ListWriter("broken", ["a b", "a b c"])
    broken.pause = lambda: (_ for _ in ()).throw(ModelError("Its weights are damaged.")) if broken.wrote else None
    results, evaluation = evaluate([broken, ListWriter("sound", ["a", "b c"])])
    failures = [(sample.model, sample.failure) for sample in results.samples]
    assert failures == [
        ("broken", None), ("broken", "Its weights are damaged."), ("sound", None), ("sound", None),
    ]  # fmt: skip
    assert evaluation.problems == ["broken: Its weights are damaged."]
    assert results.flags == evaluation.problems
    assert known(results.figures["words"]["sound"].difference).roles == 1


def test_a_judge_that_cannot_go_on_leaves_its_questions_unscored_and_the_others_judge(
    evaluate: Evaluate, asked: Callable[..., Any], server: Any
) -> None:
    server.faults = Faults(first=[""] * 2 + ["wrong_key"] * 20)
    results, evaluation = evaluate([ListWriter("a", ["Why?"] * 6)], [asked(concurrency=1), WordJudge()])
    figures = results.figures["openai_compatible/fake"]["a"]
    assert figures.unscored == 4
    assert "refused the key" in next(iter(figures.unscored_reasons))
    assert results.figures["words"]["a"].unscored == 0
    assert len(evaluation.problems) == 1


def test_with_a_judge_that_fails_for_good_all_figures_are_those_of_the_pairs_that_are_left(
    evaluate: Evaluate, asked: Callable[..., Any], server: Any, honest: tuple[Any, ...], tmp_path: Path
) -> None:
    roles, (before, after, third) = honest
    writers = [ListWriter("a", before), ListWriter("b", after), ListWriter("c", third)]
    server.faults = Faults(("refusal", "malformed", "server_error"), share=0.1, times=None)
    failing, _ = evaluate(writers, [asked()], roles, trim=0.1)
    server.faults = Faults()
    clean, _ = evaluate(writers, [asked(cache_path=str(tmp_path / "clean.sqlite"))], roles, trim=0.1)
    judge = "openai_compatible/fake"
    lost = {(s.model, s.role_id) for s in failing.samples if s.judgements[judge].scores is None}
    assert 3 <= len(lost) <= 12
    for sample in clean.samples:
        if (sample.model, sample.role_id) in lost:
            sample.judgements[judge] = JudgementRecord(scores=None, reasoning="", unscored_reason="restricted")
    restricted = judge_figures(judge, METRICS, ["a", "b", "c"], roles, clean.samples, 0.1)
    for model, expected in restricted.items():
        found = failing.figures[judge][model]
        assert found.unscored == expected.unscored == sum(name == model for name, _ in lost)
        assert found.model_dump(exclude={"unscored_reasons"}) == expected.model_dump(exclude={"unscored_reasons"})
    assert known(restricted["b"].difference).roles == 20 - len({role for model, role in lost if model in ("a", "b")})


def test_a_budget_holds_for_all_judges_together(evaluate: Evaluate, asked: Callable[..., Any]) -> None:
    price = {"input": 100.0, "output": 100.0}
    budget = Budget(0.5, "--budget-usd")
    judges = [asked(model, prices={model: price}) for model in ("one", "two")]
    for judge in judges:
        judge.usage.share(budget)
    results, evaluation = evaluate([ListWriter("a", [f"Why is {i}?" for i in range(12)])], judges)
    spent = {name: each.cost_usd for name, each in results.spent.items()}
    assert known(spent["openai_compatible/one"]) > 0
    assert 0.2 < sum(map(known, spent.values())) <= 0.5
    assert "--budget-usd=0.5" in evaluation.problems[0]
    assert results.figures["openai_compatible/two"]["a"].unscored >= 10


# ---- going on where it was -------------------------------------------------------------------------------------------


def test_what_is_stored_is_not_written_again_unless_something_changed(evaluate: Evaluate, role: MakeRole) -> None:
    writer = ListWriter("a", ["a", "b", "c"])
    evaluate([writer])
    evaluate([writer])
    assert len(writer.wrote) == 3
    evaluate([writer], seed=1)
    assert len(writer.wrote) == 6
    evaluate([writer], roles=[role(0), role(1), role(2, description="Another one.")])
    assert len(writer.wrote) == 9
    evaluate([ListWriter("a", ["other", "b", "c"])])


def test_notes_of_a_writer_are_remembered_with_its_questions(evaluate: Evaluate) -> None:
    writer = ListWriter("a", ["a", "b"])
    writer.notes = ["its provider takes no temperature"]
    evaluate([writer])
    results, _ = evaluate([ListWriter("a", ["a", "b"])])
    assert results.models["a"].notes == ["its provider takes no temperature"]
    assert warnings(results) == ["a: its provider takes no temperature."]


def test_killed_at_any_moment_and_run_again_it_gives_the_same_results(
    tmp_path: Path, server: Any, pytestconfig: Any
) -> None:
    server.latency = 0.02
    server.faults = Faults(("refusal",), share=0.1, times=None)

    def start(folder: Any, kill_after: Any = None) -> tuple[Any, ...]:
        """Run it in `folder`, killed after that many lines of progress; returns what it said."""
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.evaluation.killed", str(folder), server.openai_url]
        said = []
        with subprocess.Popen(command, cwd=pytestconfig.rootpath, stdout=subprocess.PIPE, text=True) as process:
            for line in known(process.stdout):
                said.append(line)
                if len(said) == kill_after:
                    process.kill()
                    break
        return said, process.returncode

    whole, code = start(tmp_path / "whole")
    assert code == 0
    calls = len(server.requests)
    for kill_after in (8, 35):
        _, code = start(tmp_path / "killed", kill_after)
        assert code == -signal.SIGKILL
        assert not (tmp_path / "killed/results.json").exists()
    said, code = start(tmp_path / "killed")
    assert code == 0
    assert len(said) < len(whole)
    results = [load_results(tmp_path / name / "results.json") for name in ("whole", "killed")]
    assert without_times(results[0]) == without_times(results[1])
    assert results[0].figures["openai_compatible/fake"]["other"].unscored > 0
    refused = sum(request.fault == "refusal" for request in server.requests[:calls])
    under_way = 2  # calls at a time, which a kill loses
    assert len(server.requests) - calls <= calls + 2 * (refused + under_way)
