"""Training on orders instead of scores, and on people for a share of the groups with judges for the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from recruiter.config import Config, JudgeConfig, ListedJudgeConfig, to_dict
from recruiter.config.checks import checked
from recruiter.errors import ConfigError
from recruiter.files import read_jsonl
from recruiter.human_feedback import HumanJudge, PeopleAndJudges
from recruiter.judges.making import training_judge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.train.interruption import Interrupted
from tests.train.online.people import Crowd, Person, stars_of
from tests.train.running import Train


def liking(text: str) -> int:
    return sum(stars_of(text).values())


def puts_in_order(person: Person, shown: dict[str, Any]) -> None:
    """Rank a group by what the scripted people think of each question."""
    candidates = shown["group"]["candidates"]
    order = sorted({liking(one["text"]) for one in candidates}, reverse=True)
    places = {one["candidate_id"]: {"place": order.index(liking(one["text"])) + 1} for one in candidates}
    person.post(f"/api/rate/leases/{shown['lease']['id']}/submit", {"ratings": places})


def test_an_order_is_the_reward_within_the_group(online: Config, train: Train) -> None:
    online.human_feedback.task = "rank"
    online.reward.overlap_penalty = 0.0
    with Crowd(online.human_feedback.api_url, puts_in_order) as crowd:
        policy, rows, folder = train(online)
    assert len(crowd.handled) == 12
    assert [row["unscored"] for row in rows] == [0, 0, 0]
    assert all(row["relevance"] is None for row in rows)  # of single criteria an order says nothing
    assert all(row["composite"] is not None for row in rows)
    assert policy.weight != 0.0
    rollouts = read_jsonl(folder / "rollouts.jsonl")
    for start in range(0, len(rollouts), 4):
        group = rollouts[start : start + 4]
        assert all(row["scores"] == {} and 0 <= row["reward"] <= 1 for row in group)
        for one in group:
            for other in group:
                assert (liking(one["question"]) > liking(other["question"])) == (one["reward"] > other["reward"])


@pytest.fixture
def mixed(online: Config) -> Config:
    """People for one of four groups, the rubric for the others."""
    online.judge = JudgeConfig()
    online.judges = [ListedJudgeConfig(provider="human", share=0.25), ListedJudgeConfig(provider="rubric")]
    checked(to_dict(online))
    return online


@pytest.fixture
def made_of(train: Train) -> Callable[..., Any]:
    """Train with the judge that the configuration names."""
    return lambda config, **more: train(config, people=training_judge(config), **more)


@pytest.mark.parametrize("ask", ["uncertain", "random"])
def test_people_are_asked_about_a_share_and_judges_fill_in_the_rest(
    mixed: Config, made_of: Callable[..., Any], ask: Any
) -> None:
    mixed.human_feedback.ask = ask
    with Crowd(mixed.human_feedback.api_url) as crowd:
        _, rows, folder = made_of(mixed)
        assert len(crowd.handled) == 3  # one a step
        judges = {one["judge"] for one in crowd.person.get("/api/stats")["judges"]}
    assert [row["unscored"] for row in rows] == [0, 0, 0]
    rollouts = read_jsonl(folder / "rollouts.jsonl")
    by_people = [row for row in rollouts if row["scores"] == scores_of(row["question"])]
    assert (len(by_people), len(rollouts)) == (12, 48)
    assert "judge" in judges  # what it says of the same questions is there to be compared


def scores_of(question: str) -> dict[str, float]:
    return {name: (stars - 1) * 2.5 for name, stars in stars_of(question).items()}


def test_a_run_that_is_stopped_asks_about_the_same_groups(mixed: Config, made_of: Callable[..., Any]) -> None:
    asked: list[str] = []

    def look(person: Person, shown: dict[str, Any]) -> None:
        asked.append(shown["group"]["group_id"])
        person.post(f"/api/rate/leases/{shown['lease']['id']}/release", {})

    with Crowd(mixed.human_feedback.api_url, look):
        made_of(mixed, name="stopped", stop=lambda: bool(asked), raises=Interrupted)
    with Crowd(mixed.human_feedback.api_url) as crowd:
        made_of(mixed, name="stopped")
    assert crowd.handled[0] == asked[0]
    assert len(set(crowd.handled)) == len(crowd.handled) == 3


def test_the_judge_of_a_mixed_run(mixed: Config) -> None:
    judge = training_judge(mixed)
    assert isinstance(judge, PeopleAndJudges)
    assert (judge.name, list(judge.members)) == ("human + rubric", ["human", "rubric"])
    assert isinstance(judge.people, HumanJudge)
    assert isinstance(judge.filling, RubricJudge)
    second = ListedJudgeConfig(provider="rubric", name="second", does="gate")
    assert training_judge(replace(mixed, judges=[*mixed.judges, second])).version != judge.version


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        ([{"provider": "human"}], "no other judge rewards the rest"),
        ([{"provider": "human", "does": "watch"}, {"provider": "rubric"}], "with does: reward"),
        ([{"provider": "human"}, {"provider": "human", "name": "more"}, {"provider": "rubric"}], "People stand once"),
    ],
)
def test_people_among_judges_that_cannot_work_are_refused(
    config: Config, judges: list[dict[str, Any]], said: str
) -> None:
    config.judges = [ListedJudgeConfig(**entry) for entry in judges]
    with pytest.raises(ConfigError, match=said):
        checked(to_dict(config))
