"""Several judges with a job each."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import JudgeConfig, ListedJudgeConfig
from recruiter.config.loading import load_config
from recruiter.errors import ApiError
from recruiter.judges import Judge
from recruiter.judges.llm import LLMJudge
from recruiter.judges.llm.estimate import probe_and_estimate
from recruiter.judges.making import make_judge, training_judge
from recruiter.judges.panel import Panel
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.llm.usage import Tally
from recruiter.roles import Role
from recruiter.rubric import Judgement
from tests.conftest import MakeRole, known
from tests.fake_judge import FakeJudge as FakeServer
from tests.fake_policy import FakeJudge, FakePolicy
from tests.judges.conftest import GOOD, QUESTIONS, MakeJudge, score

BROKEN = "Queue queue queue payment ledger Kafka Redis the the"


def panel(*members: tuple[dict[str, Any], Judge], seed: int = 0) -> Panel:
    """Of pairs of settings and judge."""
    return Panel([ListedJudgeConfig(**settings) for settings, _ in members], [judge for _, judge in members], seed)


def fixed(*values: float | None) -> FakeJudge:
    """A judge that gives the first question the first value, and so on."""
    return FakeJudge(lambda role, question, index: values[index])


def test_the_merged_judgement_holds_the_weighted_mean_what_gates_keep_and_what_everybody_said(role: MakeRole) -> None:
    judge = panel(
        ({"name": "one", "weight": 3.0}, fixed(8.0, 2.0)),
        ({"name": "two"}, fixed(4.0, 6.0)),
        ({"name": "guard", "does": "gate"}, fixed(2.0, 9.0)),
        ({"name": "rules", "does": "gate"}, RubricJudge()),
        ({"name": "eye", "does": "watch"}, fixed(1.0, 1.0)),
    )
    first, second = score(judge, role(), [GOOD, BROKEN])
    assert [first.scores.composite, second.scores.composite] == pytest.approx([7.0, 3.0])
    rules = [RubricJudge().judge(role(), question).kept for question in (GOOD, BROKEN)]
    assert [first.parts["guard"].kept, second.parts["guard"].kept] == [0.4, 1.0]
    assert [first.kept, second.kept] == [pytest.approx(0.4 * rules[0]), rules[1]]
    assert rules[1] < rules[0]
    assert list(first.parts) == ["one", "two", "guard", "rules", "eye"]
    assert "[rules] Red flag" in second.reasoning


def test_one_rewarding_judge_keeps_its_scores_to_the_last_bit(role: MakeRole) -> None:
    judge = panel(({"name": "one", "weight": 0.3}, RubricJudge()), ({"name": "eye", "does": "watch"}, FakeJudge()))
    (judgement,) = score(judge, role(), [GOOD])
    assert judgement.scores == RubricJudge().judge(role(), GOOD).scores


@pytest.mark.parametrize("does", ["reward", "gate"])
def test_what_a_rewarding_or_gating_judge_could_not_score_is_unscored(role: MakeRole, does: Any) -> None:
    judge = panel(({"name": "one"}, fixed(8.0, 8.0)), ({"name": "two", "does": does}, fixed(None, 5.0)))
    first, second = score(judge, role(), ["a", "b"])
    assert (first.scores, first.unscored_reason) == (None, "two: timed out")
    assert first.parts["one"].scores is not None
    assert second.scores is not None


def test_a_watching_judge_that_fails_changes_nothing_and_its_failure_is_kept(role: MakeRole) -> None:
    class Broke(FakeJudge):
        async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
            raise ApiError("There is no credit left.")

    judge = panel(({"name": "one"}, fixed(8.0)), ({"name": "eye", "does": "watch"}, Broke()))
    (judgement,) = score(judge, role(), ["a"])
    assert judgement.scores.composite == 8.0
    assert judgement.parts["eye"].unscored_reason == "There is no credit left."
    rewarding = panel(({"name": "one"}, Broke()), ({"name": "two"}, fixed(8.0)))
    with pytest.raises(ApiError, match="no credit"):
        score(rewarding, role(), ["a"])


def test_a_watching_judge_sees_its_share_of_a_step_chosen_by_seed_and_step_and_all_of_a_validation(
    role: MakeRole,
) -> None:
    questions = [f"question {number}" for number in range(200)]

    def seen(judge: Judge) -> list[int]:
        return [i for i, found in enumerate(score(judge, role(), questions)) if "eye" in found.parts]

    def watched(seed: int = 0) -> Panel:
        return panel(
            ({"name": "one"}, FakeJudge()), ({"does": "watch", "name": "eye", "share": 0.3}, FakeJudge()), seed=seed
        )

    third = seen(watched().in_step(3))
    assert 40 < len(third) < 80
    assert third == seen(watched().in_step(3))
    assert third != seen(watched().in_step(4))
    assert third != seen(watched(seed=1).in_step(3))
    assert len(seen(watched())) == 200


def test_judges_are_asked_at_the_same_time(role: MakeRole) -> None:
    now: list[object] = []
    most: list[int] = []

    class Slow(FakeJudge):
        async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
            now.append(self)
            most.append(len(now))
            await asyncio.sleep(0.02)
            now.remove(self)
            return await super().score(role, questions)

    score(panel(({"name": "one"}, Slow()), ({"name": "two"}, Slow())), role(), ["a"])
    assert max(most) == 2


def test_judges_that_compute_with_the_policy_hear_of_it_and_read_what_they_are_asked_about(role: MakeRole) -> None:
    class Reader(FakeJudge):
        def attach(self, policy: Any) -> None:
            self.policy = policy

        def read(self, groups: Any) -> None:
            self.groups = [(role.id, list(questions)) for role, questions in groups]

    always, eye = Reader(), Reader()
    judge = panel(({"name": "one"}, always), ({"name": "eye", "does": "watch", "share": 0.5}, eye))
    groups = [(role(i), [f"{i}/{n}" for n in range(4)]) for i in range(6)]
    policy: Any = FakePolicy()
    judge.attach(policy)
    judge.in_step(2).read(groups)
    assert always.policy is eye.policy is policy
    assert always.groups == [(r.id, questions) for r, questions in groups]
    asked = [(r.id, [q for q, found in zip(questions, score(judge.in_step(2), r, questions), strict=True)
                     if "eye" in found.parts]) for r, questions in groups]  # fmt: skip
    assert eye.groups == [(name, questions) for name, questions in asked if questions]


def test_usage_is_counted_by_judge_and_in_all_and_survives_a_restart(
    judge: MakeJudge, role: MakeRole, tmp_path: Path
) -> None:
    def made() -> Panel:
        return panel(
            ({"name": "grok"}, judge("xai", cache_path=str(tmp_path / "a"))),
            ({"name": "claude", "does": "gate"}, judge("anthropic", cache_path=str(tmp_path / "b"))),
            ({"name": "rules", "does": "watch"}, RubricJudge()),
        )

    first = made()
    score(first, role(), QUESTIONS)
    state = first.usage.state()
    figures = first.usage.take_step()
    assert (figures["calls"], figures["grok_calls"], figures["claude_calls"]) == (16, 8, 8)
    assert figures["cost_usd"] == pytest.approx(figures["grok_cost_usd"] + figures["claude_cost_usd"])
    assert figures["hit_rate"] == 0.0
    assert "rules_calls" not in figures
    assert first.usage.take_step()["calls"] == 0
    again = made()
    again.usage.load_state(state)
    assert again.usage.take_step()["grok_calls"] == 8
    assert again.usage.summary().startswith("grok: 8 judgements")
    score(again, role(), QUESTIONS)
    assert again.usage.take_step()["hit_rate"] == 1.0  # each has its cache


def test_the_figures_of_the_only_judge_that_calls_keep_their_names(judge: MakeJudge, role: MakeRole) -> None:
    made = panel(({"name": "grok"}, judge("xai")), ({"name": "rules", "does": "gate"}, RubricJudge()))
    score(made, role(), QUESTIONS)
    assert made.usage.take_step().keys() == judge("xai").usage.take_step().keys()
    assert isinstance(made.usage.parts[0].total, Tally)


def test_budgets_hold_for_each_judge(judge: MakeJudge, role: MakeRole, tmp_path: Path) -> None:
    dear = judge("xai", budget_usd=1e-6, cache_path=str(tmp_path / "dear"))
    watching = panel(({"name": "rules"}, RubricJudge()), ({"name": "eye", "does": "watch"}, dear))
    assert all(found.scores for found in score(watching, role(), QUESTIONS))
    gating = panel(({"name": "rules"}, RubricJudge()), ({"name": "eye", "does": "gate"}, dear))
    with pytest.raises(ApiError, match="budget"):
        score(gating, role(), QUESTIONS)


def test_every_judge_that_costs_something_is_probed_and_estimated_at_its_share(
    role: MakeRole, server: FakeServer, tmp_path: Path
) -> None:
    given = {"base_url": server.openai_url, "cache_path": str(tmp_path / "cache")}
    config = load_config("quickstart_config", [
        "judges=[{provider: rubric}]", "judges.1.provider=xai", "judges.1.does=watch", "judges.1.share=0.5",
        *(f"judges.1.{key}={value}" for key, value in given.items()), "data.val_size=0", "trainer.eval_interval=0",
    ])  # fmt: skip
    made = training_judge(config)
    lines = probe_and_estimate(config, made, [role(index) for index in range(8)], 0, 0)
    assert "will be asked at most 80 times" in known(lines)  # half of 5 steps of 8 roles by 4 questions
    assert len(server.requests) == 1


def test_the_configuration_makes_one_judge_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(training_judge(load_config("quickstart_config", ["judge.provider=rubric"])), RubricJudge)
    assert isinstance(training_judge(load_config("quickstart_config", ["judges=[{provider: rubric}]"])), RubricJudge)
    both = training_judge(
        load_config("quickstart_config", ["judges=[{provider: xai}, {provider: rubric, does: gate}]"])
    )
    assert (both.name, list(both.members)) == ("xai/grok-4.3 + rubric", ["xai", "rubric"])
    lowered = training_judge(
        load_config("quickstart_config", ["judges=[{provider: xai, weight: 2}, {provider: rubric, does: gate}]"])
    )
    assert lowered.version != both.version


def test_sentences_about_a_judge_name_its_place_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)
    entry = ListedJudgeConfig(provider="openai_compatible", model="m").at(1)
    with pytest.raises(Exception, match=r"judges\.1\.base_url=http"):
        make_judge(entry)
    assert isinstance(make_judge(JudgeConfig()), LLMJudge)


def test_the_fake_scores_differ() -> None:
    assert len({zlib.crc32(question.encode()) for question in QUESTIONS}) == len(QUESTIONS)
