"""What the LLM judge keeps: judgements that were paid for, and what they cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recruiter.errors import ApiError, BudgetError, ConfigError
from recruiter.judges.llm.estimate import ask_for_probe
from tests import REPOSITORY
from tests.conftest import MakeRole, known
from tests.fake_judge import FakeJudge
from tests.judges.conftest import GOOD, QUESTIONS, MakeJudge, score

# ---- cache -----------------------------------------------------------------------------------------------------------


def test_what_was_judged_is_not_asked_again_by_anybody(judge: MakeJudge, role: MakeRole, server: FakeJudge) -> None:
    before = score(judge(), role(), QUESTIONS)
    made = judge()
    assert score(made, role(), QUESTIONS) == before
    assert len(server.requests) == len(QUESTIONS)
    assert made.usage.total.hit_rate == 1.0


def test_another_model_provider_role_or_temperature_is_asked(
    judge: MakeJudge, role: MakeRole, server: FakeJudge
) -> None:
    score(judge(), role(), [GOOD])
    for made, who in (
        (judge(model="other"), role()),
        (judge("openai", model="grok-4.3"), role()),
        (judge(temperature=1.0), role()),
        (judge(), role(1)),
    ):
        score(made, who, [GOOD])
    assert len(server.requests) == 5


def test_version_names_model_and_rubric_but_not_where_the_server_is(judge: MakeJudge) -> None:
    assert judge().version == judge(base_url="http://elsewhere:1/v1").version
    assert len({judge().version, judge(model="x").version, judge("openai").version}) == 3


KILLED = """
import asyncio, sys
from recruiter.config import JudgeConfig
from recruiter.judges.llm import LLMJudge
from recruiter.roles import Role
role = Role(**{role!r})
judge = LLMJudge(JudgeConfig(provider="xai", base_url={url!r}, cache_path={cache!r}, concurrency=4))
async def one(n):
    await judge.score(role, [f"Question {{n}} of many: how?"])
    print(n, flush=True)
async def run():
    await asyncio.gather(*(one(n) for n in range(400)))
asyncio.run(run())
"""


def test_killing_the_process_loses_no_judgement_that_had_arrived(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, tmp_path: Path
) -> None:
    server.latency = 0.01
    code = KILLED.format(
        role=role().model_dump(mode="json"), url=server.openai_url, cache=str(tmp_path / "cache.sqlite")
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        arrived = [int(known(process.stdout).readline()) for _ in range(60)]
        process.kill()
        arrived += [int(line) for line in known(process.stdout).read().split("\n") if line.strip().isdigit()]
    asked = len(server.requests)
    made = judge()
    score(made, role(), [f"Question {n} of many: how?" for n in arrived])
    assert len(arrived) >= 60
    assert (made.usage.total.hit_rate, len(server.requests)) == (1.0, asked)


def test_a_cache_that_cannot_be_used_is_one_sentence(judge: MakeJudge, tmp_path: Path) -> None:
    (tmp_path / "broken.sqlite").write_text("this is no database, but long enough to look like one" * 40)
    for path in (tmp_path / "broken.sqlite", tmp_path):
        with pytest.raises(ApiError, match=r"judge\.cache_path=.* cannot be used") as caught:
            judge(cache_path=str(path))
        assert "\n" not in str(caught.value)


# ---- money -----------------------------------------------------------------------------------------------------------


def test_cost_counts_cached_input_at_its_own_price(judge: MakeJudge, role: MakeRole, server: FakeJudge) -> None:
    made = judge(prices={"grok-4.3": {"input": 10.0, "cached_input": 1.0, "output": 100.0}})
    score(made, role(), [GOOD])
    total = made.usage.total
    expected = (total.input_tokens - total.cached_tokens) * 10 + total.cached_tokens * 1 + total.output_tokens * 100
    assert total.cost_usd == pytest.approx(expected / 1e6)
    assert total.cached_tokens == total.input_tokens // 2 > 0


def test_budget_is_never_exceeded_and_what_was_paid_is_kept(
    judge: MakeJudge, role: MakeRole, server: FakeJudge
) -> None:
    server.latency = 0.02
    settings = {"prices": {"grok-4.3": {"input": 10.0, "output": 10.0}}, "budget_usd": 0.05}
    made = judge(concurrency=4, **settings)
    many = [f"{question} Part {n}." for n in range(8) for question in QUESTIONS]
    with pytest.raises(BudgetError) as caught:
        score(made, role(), many)
    assert "judge.budget_usd=0.05" in str(caught.value)
    assert 0.02 < made.usage.total.cost_usd <= 0.05
    asked = len(server.requests)
    score(judge(), role(), many)
    assert len(server.requests) == len(many)
    assert asked < len(many)


def test_budget_without_a_price_is_refused(judge: MakeJudge) -> None:
    with pytest.raises(ConfigError, match=r"judge\.budget_usd=1 needs the price of nameless"):
        judge(model="nameless", budget_usd=1.0)


def test_usage_survives_a_restart(judge: MakeJudge, role: MakeRole) -> None:
    made, later = judge(), judge()
    score(made, role(), QUESTIONS)
    ask_for_probe(later)  # before a run goes on it asks once, and that counts too
    later.usage.load_state(made.usage.state())
    assert later.usage.total.input_tokens > made.usage.total.input_tokens
    metrics = later.usage.take_step()
    assert metrics["calls"] == len(QUESTIONS) + 1
    assert later.usage.take_step()["calls"] == 0
    assert metrics["cost_usd_total"] == later.usage.take_step()["cost_usd_total"] > 0
