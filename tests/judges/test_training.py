"""Training against a judge that misbehaves: the same parameters, nothing paid twice, no key anywhere.

The loop, the judge, the cache and HTTP are real; in the fast tests the policy is one number that draws from honest
questions, in the long ones it is the starter model.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recruiter.config.loading import load_config
from recruiter.engines import Sample
from recruiter.errors import ApiError, BudgetError, UnscoredError
from recruiter.files import read_jsonl
from recruiter.judges import Judge
from recruiter.judges.making import make_judge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.metrics_logger import RunLog
from recruiter.prompts import judge_messages
from recruiter.roles import load_roles
from recruiter.roles.schedule import total_steps
from recruiter.rubric import Judgement
from recruiter.train.groups import JudgedGroups
from recruiter.train.grpo import Trainer
from recruiter.train.layout import RunFolder
from recruiter.writers.starter import ensure_starter
from tests import REPOSITORY
from tests.conftest import known
from tests.fake_judge import FakeJudge, Faults
from tests.fake_policy import FakePolicy
from tests.judges.conftest import KEY
from tests.scoring import RUBRIC
from tests.test_main import command_for, data, tiny  # noqa: F401

MIXED = (
    "rate_limit",
    "server_error",
    "silence",
    "cut",
    "garbage",
    "malformed",
    "out_of_range",
    "missing_score",
    "empty",
)
LASTING = (*MIXED, "refusal", "truncated", "bad_request")
HONEST = [row["question"] for row in read_jsonl(Path(__file__).parents[1] / "data/honest_questions.jsonl")]
FEW, MANY = 8, 20  # steps: with the policy of one number, and with the starter model
PATIENT = {"judge.attempt_timeout": 5.0}  # no answer is given up where a model keeps the processor busy


class HonestPolicy(FakePolicy):
    """Draws honest questions, so that scores differ; which ones depends on its parameter."""

    def _sample(self, key: str) -> Sample:
        text = random.Random(key).choice(HONEST)
        tokens = list(hashlib.sha256(text.encode()).digest()[:6])
        return Sample(text, tokens, [-token / 1000 for token in tokens], True)


class Masked(Judge):
    """The rubric judge without the samples whose messages a plan of faults hits."""

    name, version = "masked", "1"
    rubric = RUBRIC

    def __init__(self, faults: Faults) -> None:
        self.faults, self.judge = faults, RubricJudge()

    async def score(self, role: Any, questions: Any) -> list[Any]:
        judged = await self.judge.score(role, questions)
        hit = [self.faults.hits(judge_messages(RUBRIC, role, question)[1]["content"]) for question in questions]
        return [Judgement.unscored("masked") if h else j for h, j in zip(hit, judged, strict=True)]


@pytest.fixture
def training(tmp_path: Path, server: FakeJudge, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Train in folder `name`; every folder has a cache of its own. Gives the folder and the policy."""
    monkeypatch.setattr("recruiter.llm.retry.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("recruiter.llm.retry.LONGEST_PAUSE", 0.05)
    roles = load_roles(REPOSITORY / "data/backend_roles.json")[:40]

    def run(
        name: Any, judge: Any = None, policy: Any = HonestPolicy, raises: Any = None, resume: Any = None, **changes: Any
    ) -> tuple[Any, ...]:
        steps = FEW if policy is HonestPolicy else MANY
        overrides = [
            "trainer.train_batch_size=2", f"trainer.max_training_steps={steps}", "trainer.eval_interval=0",
            "trainer.ckpt_interval=1000", "judge.max_unscored=1.0", "trainer.device=cpu", "data.val_size=0",
            "trainer.micro_train_batch_size_per_gpu=4", "generator.sampling_params.max_generate_length=24",
            f"judge.provider={'rubric' if judge else 'xai'}", f"judge.base_url={server.openai_url}",
            f"judge.cache_path={tmp_path / name}.sqlite", "judge.attempt_timeout=0.5", "judge.max_attempts=3",
            "trainer.policy.model.dtype=float32", *(f"{key}={value}" for key, value in changes.items()),
        ]  # fmt: skip
        config = load_config("quickstart_config", overrides)
        folder = tmp_path / name
        made = judge or make_judge(config.judge)
        trained: Any = policy() if policy is HonestPolicy else policy(config)
        with RunLog(folder, config, made, total_steps(config, len(roles)), resume or 0) as log:
            trainer = Trainer(config, trained, JudgedGroups(made), roles, [], log)
            if resume:
                trainer.resume(RunFolder(folder).checkpoint(resume))
            if raises is None:
                trainer.train()
            else:
                with pytest.raises(raises) as caught:
                    trainer.train()
                trained.error = str(caught.value)
        return folder, trained

    return run


def parameters(folder: Path) -> bytes:
    saved = known(RunFolder(folder).latest).policy
    whole = saved / "lora_adapter/adapter_model.safetensors"
    return (whole if whole.is_file() else saved / "weight.json").read_bytes()


def rewards(folder: Path) -> list[float | None]:
    return [row["reward"] for row in read_jsonl(folder / "rollouts.jsonl")]


def failing_once_changes_nothing(training: Any, server: Any, policy: Any, share: Any, **changes: Any) -> Any:
    undisturbed, _ = training("undisturbed", policy=policy, **changes)
    server.faults = Faults(MIXED, share=share, times=1, seed=5, retry_after=0.05)
    disturbed, _ = training("disturbed", policy=policy, **changes)
    fell = {request.fault for request in server.requests if request.fault}
    assert fell
    assert all(row["unscored"] == 0 for row in read_jsonl(disturbed / "metrics.jsonl"))
    assert rewards(disturbed) == rewards(undisturbed)
    assert parameters(disturbed) == parameters(undisturbed)
    assert len(set(rewards(undisturbed))) > 5
    return fell


def failing_for_good_is_masking(training: Any, server: Any, policy: Any, share: Any, **changes: Any) -> None:
    server.faults = Faults(LASTING, share=share, times=None, seed=5, retry_after=200)
    failed, _ = training("failed", policy=policy, **changes)
    masked, _ = training("masked", Masked(server.faults), policy=policy, **changes)
    assert sum(row["unscored"] for row in read_jsonl(failed / "metrics.jsonl")) > 0
    assert rewards(failed) == rewards(masked)
    assert parameters(failed) == parameters(masked)


def stopping_and_resuming_changes_nothing(training: Any, server: Any, policy: Any) -> Any:
    """Gives the seconds from the first failure until the run had ended, saved."""
    changes = {"judge.max_unscored": 0.2, **PATIENT}
    undisturbed, _ = training("undisturbed", policy=policy, **changes)
    metrics = read_jsonl(undisturbed / "metrics.jsonl")
    asked = len(server.requests)
    needed = {request.message for request in server.requests}
    server.faults = Faults(
        ["server_error"], share=1.0, times=None, after=sum(row["judge_calls"] for row in metrics[:4])
    )
    stopped, trained = training("stopped", policy=policy, raises=UnscoredError, **changes)
    seconds = time.monotonic() - min(request.at for request in server.requests if request.fault)
    assert "of step 5 have no score" in trained.error
    assert "server_error: HTTP 500" in trained.error
    assert [row["step"] for row in read_jsonl(stopped / "metrics.jsonl")] == [1, 2, 3, 4]
    server.faults = Faults()
    training("stopped", policy=policy, resume=4, **changes)
    assert parameters(stopped) == parameters(undisturbed)
    assert rewards(stopped) == rewards(undisturbed)
    answered = [request.message for request in server.requests[asked:] if not request.fault]
    assert len(answered) == len(set(answered))
    assert set(answered) == needed
    return seconds


# ---- the loop with a policy of one number ----------------------------------------------------------------------------


def test_calls_that_fail_once_leave_the_same_parameters(training: Callable[..., Any], server: FakeJudge) -> None:
    fell = failing_once_changes_nothing(training, server, HonestPolicy, share=0.3)
    assert len(fell) >= 5


@pytest.mark.parametrize("mode", ["group", "pairs"])
def test_judging_whole_groups_leaves_the_same_parameters_where_calls_fail_once(
    training: Callable[..., Any], server: FakeJudge, mode: str
) -> None:
    server.faults = Faults()
    undisturbed, _ = training("undisturbed", **{"judge.mode": mode})
    server.faults = Faults(["rate_limit", "server_error", "cut", "garbage"], share=0.3, times=1, seed=5)
    disturbed, _ = training("disturbed", **{"judge.mode": mode})
    assert any(request.fault for request in server.requests)
    assert parameters(disturbed) == parameters(undisturbed)
    rows = read_jsonl(undisturbed / "rollouts.jsonl")
    names = {"win_share"} if mode == "pairs" else set(RUBRIC.names)
    assert {frozenset(row["scores"]) for row in rows} == {frozenset(names)}
    metrics = read_jsonl(undisturbed / "metrics.jsonl")
    assert all((row["clarity"] is None) == (mode == "pairs") for row in metrics)
    assert len({row["reward"] for row in rows}) > 3


def test_samples_whose_calls_fail_for_good_train_as_if_masked(training: Callable[..., Any], server: FakeJudge) -> None:
    failing_for_good_is_masking(training, server, HonestPolicy, share=0.15)


def test_outage_stops_the_run_saved_and_it_resumes_without_paying_twice(
    training: Callable[..., Any], server: FakeJudge
) -> None:
    stopping_and_resuming_changes_nothing(training, server, HonestPolicy)


def test_outage_of_a_whole_step_does_not_wait_for_every_sample(training: Callable[..., Any], server: FakeJudge) -> None:
    """Once too many are unscored the rest need not fail first."""
    server.faults = Faults(["silence"], share=1.0, times=None)
    changes = {
        "trainer.train_batch_size": 16, "trainer.micro_train_batch_size_per_gpu": 4, "judge.max_unscored": 0.2,
        "judge.concurrency": 16, "judge.max_attempts": 1, "judge.attempt_timeout": 4.0,
    }  # fmt: skip
    start = time.monotonic()
    _, trained = training("silent", raises=UnscoredError, **changes)
    assert "timeout: no answer within 4 s" in trained.error
    assert time.monotonic() - start < 12  # four rounds of four seconds each would be needed for all


def test_wrong_key_in_the_middle_ends_the_run_saved(training: Callable[..., Any], server: FakeJudge) -> None:
    server.faults = Faults(["wrong_key"], share=1.0, times=None, after=30)
    folder, trained = training("revoked", raises=ApiError)
    assert "XAI_API_KEY" in trained.error
    last = read_jsonl(folder / "metrics.jsonl")[-1]["step"]
    assert (folder / f"global_step_{last}/trainer_state.json").is_file()


def test_budget_stops_the_run_saved_and_more_of_it_goes_on(training: Callable[..., Any], server: FakeJudge) -> None:
    undisturbed, _ = training("undisturbed")
    price = {"judge.prices": "{grok-4.3: {input: 10, cached_input: 10, output: 10}}"}
    stopped, trained = training("poor", raises=BudgetError, **price, **{"judge.budget_usd": 0.3})
    assert "judge.budget_usd=0.3" in trained.error
    rows = read_jsonl(stopped / "metrics.jsonl")
    assert 0 < rows[-1]["judge_cost_usd_total"] <= 0.3
    _, again = training("poor", raises=BudgetError, resume=rows[-1]["step"], **price, **{"judge.budget_usd": 0.31})
    assert "$0.3" in again.error or "$0.2" in again.error  # what was spent before counts
    training("poor", resume=rows[-1]["step"], **price, **{"judge.budget_usd": 100})
    assert parameters(stopped) == parameters(undisturbed)
    rows = read_jsonl(stopped / "metrics.jsonl")
    assert rows[-1]["judge_cost_usd_total"] > 0.3
    assert [row["step"] for row in rows] == list(range(1, FEW + 1))


def test_metrics_and_progress_say_what_judging_took(
    training: Callable[..., Any], server: FakeJudge, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = training("counted", **{"trainer.max_training_steps": 3})
    rows = read_jsonl(folder / "metrics.jsonl")
    assert sum(row["judge_calls"] for row in rows) == len(server.requests)
    first = rows[0]
    assert first["judge_input_tokens"] > first["judge_output_tokens"] > 0
    assert 0 < first["judge_latency_p50"] <= first["judge_latency_p95"]
    assert first["judge_errors"] == {}
    assert rows[-1]["judge_cost_usd_total"] == pytest.approx(sum(row["judge_cost_usd"] for row in rows))
    assert f"judge {first['judge_calls']} calls $0.0" in capsys.readouterr().out


def test_no_key_is_left_anywhere(
    training: Callable[..., Any], server: FakeJudge, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.faults = Faults(LASTING, share=0.3, times=1, seed=2)
    training("talkative")
    server.faults = Faults(["wrong_key"], share=1.0, times=None)
    _, trained = training("refused", raises=ApiError)
    assert KEY in server.requests[-1].headers["authorization"]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 8
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
    out = capfd.readouterr()
    assert KEY not in out.out + out.err + trained.error


# ---- the command -----------------------------------------------------------------------------------------------------


def finished(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200, env={**os.environ, **environment}
    )


def test_command_asks_once_estimates_trains_and_sums_up(
    server: FakeJudge,
    tiny: Path,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    command = command_for(
        tiny,
        data,
        tmp_path / "run",
        "trainer.max_training_steps=2",
        "trainer.eval_interval=0",
        "judge.provider=xai",
        f"judge.base_url={server.openai_url}",
        f"judge.cache_path={tmp_path / 'cache.sqlite'}",
    )
    done = finished(command)
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    for part in ("xai/grok-4.3 will be asked at most 32 times", "about $0.0", "minutes of judging"):
        assert part in first
    assert "judge xai/grok-4.3: 32 judgements" in done.stdout
    assert json.loads((tmp_path / "run/run.json").read_text())["judge_notes"] == []
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path

    asked = len(server.requests)
    server.faults = Faults(["wrong_key"], share=1.0, times=None)
    refused = finished([*command[:-1], command[-1], "trainer.max_training_steps=3"])
    assert refused.returncode == 1
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "xai refused the key" in refused.stderr
    assert KEY not in refused.stderr + refused.stdout
    assert len(server.requests) == asked + 1

    missing = finished([*command, "judge.provider=anthropic"], ANTHROPIC_API_KEY="")
    assert missing.returncode == 1
    assert "anthropic needs a key: set ANTHROPIC_API_KEY" in missing.stderr
    assert len(server.requests) == asked + 1


# ---- the starter model -----------------------------------------------------------------------------------------------


@pytest.fixture
def starter() -> Any:
    from recruiter.engines.local import LocalPolicy

    ensure_starter(REPOSITORY / "exports/starter")
    return LocalPolicy


@pytest.mark.soak
def test_starter_trains_alike_where_a_tenth_of_the_calls_fails_once(
    training: Callable[..., Any], server: FakeJudge, starter: Any
) -> None:
    failing_once_changes_nothing(training, server, starter, share=0.1, **PATIENT)


@pytest.mark.soak
def test_starter_trains_as_if_masked_where_a_tenth_fails_for_good(
    training: Callable[..., Any], server: FakeJudge, starter: Any
) -> None:
    failing_for_good_is_masking(training, server, starter, share=0.1, **PATIENT)


@pytest.mark.soak
def test_starter_stops_within_two_minutes_of_an_outage_and_resumes_to_the_same_end(
    training: Callable[..., Any], server: FakeJudge, starter: Any
) -> None:
    assert stopping_and_resuming_changes_nothing(training, server, starter) < 120
