"""A calibrated judge: made from ratings by command, used like any other judge, refused in a sentence where it cannot be."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config, JudgeConfig
from recruiter.config.loading import load_config
from recruiter.errors import ApiError, ConfigError
from recruiter.evaluation.spending import took
from recruiter.judges import Judge
from recruiter.judges.calibrated import CalibratedJudge
from recruiter.judges.llm.estimate import probe_and_estimate
from recruiter.judges.making import make_judge, named_judge, training_judge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.llm.providers import PROVIDERS
from recruiter.roles import Role, load_roles
from recruiter.rubric import Rubric, load_rubric
from tests import REPOSITORY
from tests.conftest import known
from tests.fake_judge import FakeJudge
from tests.judges.conftest import score

RUBRIC = load_rubric()
GOOD = "A consumer dies after it charged a customer and before it acknowledged the message. How do you find out?"
QUESTIONS = (
    GOOD,
    "What is Go?",
    "Queue backpressure Go Kafka latency throughput replication",
    "Tell us about yourself and Go and tests?",
)


def judged(role: Role, questions: Sequence[str]) -> list[dict[str, float]]:
    return [dict(one.scores.values) for one in asyncio.run(RubricJudge().score(role, questions)) if one.scores]


def ratings(path: Path, groups: int, opinion: Callable[[str, float], float]) -> Path:
    """An export in which people hold an opinion of what the rubric judge says."""
    roles = load_roles(REPOSITORY / "data/backend_roles.json")[:groups]
    with path.open("w") as file:
        for role in roles:
            for question, scores in zip(QUESTIONS, judged(role, QUESTIONS), strict=True):
                stars = {name: round(1 + 0.4 * min(10, max(0, opinion(name, value)))) for name, value in scores.items()}
                row = {"group_id": role.id, "role": json.dumps(role.model_dump(mode="json")), "question": question,
                       "rater": "rater-1", "counts": True, **stars}  # fmt: skip
                file.write(json.dumps(row) + "\n")
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/judge.py", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)


def written(path: Path, weight: float = 1.0, **changes: Any) -> Path:
    """A calibrated judge of the rubric judge alone."""
    member = {"judge": "rubric", "base_url": None, "weights": dict.fromkeys(RUBRIC.names, weight)}
    content = {
        "kind": "calibrated judge", "rubric_hash": RUBRIC.hash, "members": [member], "groups": 30,
        "offsets": dict.fromkeys(RUBRIC.names, 1.0), "agreement": {}, "made_at": "2026-11-30", **changes,
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


def test_the_command_writes_a_judge_only_if_it_agrees_better(tmp_path: Path) -> None:
    """People think the opposite of the judge on two criteria, which no plain mean can say."""
    contrary = ratings(tmp_path / "contrary.jsonl", 30, lambda name, v: v if name == "clarity" else 10 - v)
    done = run("--calibrate", contrary, "--judge", "rubric", "--output", tmp_path / "team.json")
    assert done.returncode == 0, done.stderr
    assert "tau-b with people within 30 groups" in done.stderr
    found = json.loads((tmp_path / "team.json").read_text())
    assert found["groups"] == 30
    assert found["members"][0]["weights"]["relevance"] < 0 < found["members"][0]["weights"]["clarity"]
    assert found["agreement"]["gain"][1] > 0

    few = ratings(tmp_path / "few.jsonl", 5, lambda name, v: 10 - v)
    row = json.loads(few.read_text().splitlines()[0])
    pair = {name: row[name] for name in ("group_id", "role")} | {"chosen": GOOD, "rejected": "Why?"}
    few.write_text(few.read_text() + json.dumps(pair) + "\n")
    done = run("--calibrate", few, "--judge", "rubric", "--output", tmp_path / "few.json")
    assert done.returncode != 0
    assert "5 groups are rated and judged; at least 20 are needed" in done.stderr
    assert "without scores (orders, pairs, better wordings, edits): 1." in done.stderr
    chance = random.Random(0)
    unlike = ratings(tmp_path / "unlike.jsonl", 25, lambda name, v: chance.uniform(0, 10))
    done = run("--calibrate", unlike, "--judge", "rubric", "--output", tmp_path / "unlike.json")
    assert done.returncode == 2
    assert "nothing was written" in done.stderr
    assert not list(tmp_path.glob("few.json")) + list(tmp_path.glob("unlike.json"))
    done = run("--judge", f"calibrated/{tmp_path / 'team.json'}", "--role", "ad-serving-01", GOOD, "--format", "json")
    assert done.returncode == 0, done.stderr


def test_scores_are_weighed_shifted_and_kept_in_range(role: Callable[..., Role], tmp_path: Path) -> None:
    plain = judged(role(1), QUESTIONS)
    judge = make_judge(named_judge(f"calibrated/{written(tmp_path / 'team.json', 0.5)}"))
    for before, after in zip(plain, asyncio.run(judge.score(role(1), QUESTIONS)), strict=True):
        assert after.scores is not None
        assert dict(after.scores.values) == pytest.approx({name: 1 + 0.5 * value for name, value in before.items()})
    high = make_judge(named_judge(f"calibrated/{written(tmp_path / 'high.json', 9.0)}"))
    (judgement,) = asyncio.run(high.score(role(1), [GOOD]))
    assert judgement.scores is not None
    assert max(judgement.scores.values.values()) == 10.0
    assert judge.version != high.version
    assert judge.name == "calibrated/team.json"


def paid(tmp_path: Path, *judges: str) -> Path:
    """A calibrated judge of several."""
    share = 1 / len(judges)
    members = [{"judge": name, "base_url": None, "weights": dict.fromkeys(RUBRIC.names, share)} for name in judges]
    return written(tmp_path / "team.json", members=members)


@pytest.fixture
def xai(server: FakeJudge, monkeypatch: pytest.MonkeyPatch) -> FakeJudge:
    """The fake judge in place of a provider, whose address a calibrated judge's file does not name."""
    monkeypatch.setitem(PROVIDERS, "xai", replace(PROVIDERS["xai"], base_url=server.openai_url))
    return server


def test_its_judges_get_its_settings_and_its_budget_together(
    tmp_path: Path, xai: FakeJudge, role: Callable[..., Role]
) -> None:
    cache = str(tmp_path / "cache.sqlite")
    settings = JudgeConfig(
        provider="calibrated", model=str(paid(tmp_path, "xai/grok-4.3", "rubric", "xai/grok-4.5")), budget_usd=3.0,
        cache_path=cache, prices={name: {"input": 1.0, "output": 1.0} for name in ("grok-4.3", "grok-4.5")},
    )  # fmt: skip
    made: list[Judge] = []

    def make(settings: JudgeConfig, rubric: Rubric) -> Judge:
        assert settings.cache_path == cache
        made.append(make_judge(settings, rubric=rubric))
        return made[-1]

    judge = CalibratedJudge(settings, RUBRIC, make)
    budgets = {id(one.usage.budget): one.usage.budget for one in made if one.usage.parts}
    assert [budget.limit_usd for budget in budgets.values()] == [3.0]
    before = len(xai.requests)
    first = score(judge, role(1), QUESTIONS)
    assert len(xai.requests) == before + 2 * len(QUESTIONS)
    assert next(iter(budgets.values())).spent_usd == sum(one.usage.total.cost_usd for one in made) > 0
    assert took(judge.usage).cost_usd == pytest.approx(sum(one.usage.total.cost_usd for one in made))
    again = CalibratedJudge(settings, RUBRIC, make)
    assert score(again, role(1), QUESTIONS) == first
    assert len(xai.requests) == before + 2 * len(QUESTIONS)  # all of it came from the cache

    poor = CalibratedJudge(replace(settings, budget_usd=1e-6, cache_path=cache), RUBRIC, make)
    with pytest.raises(ApiError, match="budget"):
        score(poor, role(2), QUESTIONS)


@pytest.mark.parametrize("place", ["alone", "listed"])
def test_a_paid_judge_under_it_is_probed_and_estimated_before_a_run(
    tmp_path: Path, xai: FakeJudge, role: Callable[..., Role], place: str
) -> None:
    file = paid(tmp_path, "xai/grok-4.3", "rubric")
    given = {"provider": "calibrated", "model": str(file), "cache_path": str(tmp_path / "cache.sqlite")}
    at = "judge." if place == "alone" else "judges.1."
    listed = ["judges=[{provider: rubric, does: gate}]"] if place == "listed" else ["judges=[]"]
    config = load_config("quickstart_config", [
        *listed, *(f"{at}{key}={value}" for key, value in given.items()), "data.val_size=0", "trainer.eval_interval=0",
    ])  # fmt: skip
    line = known(probe_and_estimate(config, training_judge(config), [role(index) for index in range(8)], 0, 0))
    plain = load_config("quickstart_config", [
        "judges=[]", "judge.provider=xai", f"judge.cache_path={tmp_path / 'cache.sqlite'}", "data.val_size=0",
        "trainer.eval_interval=0",
    ])  # fmt: skip
    alone = known(probe_and_estimate(plain, training_judge(plain), [role(index) for index in range(8)], 0, 0))
    assert line.partition("; at ")[0] == alone.partition("; at ")[0]
    assert "xai/grok-4.3 will be asked at most" in line
    assert "about $" in line
    assert len(xai.requests) == 2


def test_training_takes_it_alone_and_in_a_list(tmp_path: Path) -> None:
    file = written(tmp_path / "team.json")
    alone = load_config("quickstart_config", ["judges=[]", "judge.provider=calibrated", f"judge.model={file}"])
    assert training_judge(alone).name == "calibrated/team.json"
    listed: Config = load_config(
        "train_config",
        [
            "trainer.policy.model.path=exports/starter",
            f"judges=[{{provider: calibrated, model: {file}}}, {{provider: rubric, does: gate}}]",
        ],
    )
    assert list(training_judge(listed).members) == ["calibrated", "rubric"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rubric_hash": "0" * 16}, "was calibrated by rubric 0000000000000000"),
        ({"kind": "other"}, "is no calibrated judge"),
        ({"members": [{"judge": "nobody", "weights": {}}]}, "nobody"),
        ({"groups": "many"}, "is no calibrated judge"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_judge(JudgeConfig(provider="calibrated", model=str(written(tmp_path / "team.json", **change))))


def test_a_file_that_is_missing_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"There is no calibrated judge at judge\.model=no\.json"):
        make_judge(JudgeConfig(provider="calibrated", model="no.json"))
    with pytest.raises(ConfigError, match="needs the file that `--calibrate` wrote"):
        make_judge(JudgeConfig(provider="calibrated"))
