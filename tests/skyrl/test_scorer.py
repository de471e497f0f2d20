"""The actor that judges, on a real Ray of this machine, with a real HTTP judge behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray

from recruiter.config import Config, JudgeConfig
from recruiter.env import GroupKey
from recruiter.errors import ApiError, BudgetError, ConfigError, JudgeError
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.skyrl.scorer import ClusterScorer
from tests.fake_judge import FakeJudge, Faults
from tests.train.online.people import Crowd, Server, stars_of
from tests.train.online.people import judged as judged_as

KEY = "xai-0123456789-the-key-of-the-tests"
GROUP = GroupKey("step-1/role", 4)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def judged_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ClusterScorer]]:
    """A factory of scorers at a server. The key is set after Ray has started, so it cannot come from Ray."""
    monkeypatch.setenv("XAI_API_KEY", KEY)
    made: list[ClusterScorer] = []

    def make(server: FakeJudge, **changes: object) -> ClusterScorer:
        settings = JudgeConfig(base_url=server.openai_url, cache_path=str(tmp_path / "cache.sqlite"), **changes)
        made.append(ClusterScorer(Config(judge=settings)))
        return made[-1]

    yield make
    for scorer in made:
        scorer.close()


@ray.remote(num_cpus=0.1)
def ask_many(scorer: ClusterScorer, role: Role, worker: int, count: int) -> list[Judgement]:
    """Another process of the cluster that has questions judged, many at a time."""
    with ThreadPoolExecutor(count) as pool:
        return list(
            pool.map(lambda i: scorer(role, f"Question {worker}-{i}: how would you do it?", GROUP), range(count))
        )


def test_the_rubric_judge_scores_as_it_does_without_ray(role: Callable[..., Role]) -> None:
    scorer = ClusterScorer(Config(judge=JudgeConfig(provider="rubric")))
    question = "A queue of your service grows by 200 messages a second; how do you find out why?"
    assert scorer(role(), question, GROUP) == RubricJudge().judge(role(), question)
    assert scorer.take_metrics() == {}
    assert scorer.usage_state() is None
    scorer.close()


def test_ten_workers_do_not_make_ten_times_the_calls(
    role: Callable[..., Role], judged_by: Callable[..., ClusterScorer]
) -> None:
    with FakeJudge(latency=0.05, key=KEY) as server:
        scorer = judged_by(server, concurrency=4)
        judged = ray.get([ask_many.remote(scorer, role(), worker, 6) for worker in range(10)])
        assert all(judgement.scores is not None for group in judged for judgement in group)
        assert len(server.requests) == 60
        assert 2 <= server.most_running <= 4
        metrics = scorer.take_metrics()
        assert metrics["judge_calls"] == 60


def test_the_same_question_of_two_workers_is_asked_for_once(
    role: Callable[..., Role], judged_by: Callable[..., ClusterScorer]
) -> None:
    with FakeJudge(latency=0.1) as server:
        scorer = judged_by(server)
        first, second = ray.get([ask_many.remote(scorer, role(), 0, 5) for _ in range(2)])
        assert first == second
        assert len(server.requests) == 5


def test_the_budget_holds_for_the_whole_cluster(
    role: Callable[..., Role], judged_by: Callable[..., ClusterScorer]
) -> None:
    with FakeJudge() as server:
        scorer = judged_by(server, budget_usd=0.0005, concurrency=2)
        questions = (f"Question {number}?" for number in range(50))
        with pytest.raises(BudgetError, match=r"budget_usd"):
            list(map(scorer, [role()] * 50, questions, [GROUP] * 50))
        spent = len(server.requests)
        with pytest.raises(BudgetError, match=r"budget_usd"):
            scorer(role(), "One more?", GROUP)
        assert len(server.requests) == spent


def test_a_failed_call_is_unscored_and_a_refused_key_one_sentence(
    role: Callable[..., Role], judged_by: Callable[..., ClusterScorer]
) -> None:
    with FakeJudge(Faults(kinds=("malformed",), share=1.0, times=None)) as server:
        assert judged_by(server)(role(), "Why?", GROUP).unscored_reason.startswith("malformed")
    with FakeJudge(key="another") as server, pytest.raises(ApiError, match="XAI_API_KEY") as caught:
        judged_by(server)(role(), "Why not?", GROUP)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_judge_that_cannot_be_made_is_the_same_sentence_as_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"^xai needs a key"):
        ClusterScorer(Config())


def test_ending_the_actor_ends_whoever_waits_for_it(
    role: Callable[..., Role], judged_by: Callable[..., ClusterScorer]
) -> None:
    with FakeJudge(latency=30) as server, ThreadPoolExecutor(1) as pool:
        scorer = judged_by(server)
        waiting = pool.submit(scorer, role(), "How long?", GROUP)
        while not server.running:
            time.sleep(0.01)
        start = time.monotonic()
        scorer.close()
        with pytest.raises(JudgeError, match="has ended"):
            waiting.result(timeout=20)
        assert time.monotonic() - start < 10
        server.stopping.set()


def test_people_get_whole_groups_and_each_question_its_own_rating(
    role: Callable[..., Role], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEEDBACK_API_KEY", raising=False)
    server = Server(tmp_path).start()
    settings = Config(judge=JudgeConfig(provider="human"))
    settings.human_feedback.api_url, settings.human_feedback.poll_interval = server.url, 0.3
    scorer = ClusterScorer(settings, "online")
    questions = [f"Question {number}: how would you do it?" for number in range(4)]
    group = GroupKey("step-3/role-000", 4, step=3)
    try:
        with Crowd(server.url) as crowd, ThreadPoolExecutor(4) as pool:
            judged = list(pool.map(lambda question: scorer(role(), question, group), questions))
        assert [judgement.scores for judgement in judged] == [judged_as(stars_of(q)).scores for q in questions]
        assert len(crowd.handled) == 1
        view = crowd.person.get(f"/api/groups/{crowd.handled[0]}")
        assert (view["run"], view["policy_step"], view["consumed_step"]) == ("online", 3, 3)
    finally:
        scorer.close()
        server.close()


def test_people_who_rate_nothing_in_time_make_unscored_samples(
    role: Callable[..., Role], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEEDBACK_API_KEY", raising=False)
    server = Server(tmp_path).start()
    settings = Config(judge=JudgeConfig(provider="human"))
    settings.human_feedback.api_url = server.url
    settings.human_feedback.poll_interval, settings.human_feedback.timeout = 0.1, 0.3
    scorer = ClusterScorer(settings, "online")
    try:
        assert scorer(role(), "Why?", GroupKey("step-1/x", 1, step=1)) == Judgement.unscored("not rated in time")
    finally:
        scorer.close()
        server.close()
