"""The environment, as SkyRL-Gym makes and steps it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
import skyrl_gym
from skyrl_gym.metrics import aggregate_for_environment

from recruiter.env import GroupKey, QuestionEnv, register_environment
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.roles import Role
from recruiter.roles.dataset import ENV_CLASS, prompt_row
from recruiter.rubric import Judgement
from recruiter.train.background_judge import BackgroundJudge
from tests.scoring import scored

GROUP = GroupKey("step-1/role", 4)


def made(role: Role, score: Callable[[Role, str, GroupKey], Judgement]) -> QuestionEnv:
    register_environment(score, ["<|im_end|>"])
    row = prompt_row(role, 3, "train")
    return skyrl_gym.make(ENV_CLASS, env_config={}, extras={"extra_info": row["extra_info"], "group": GROUP})


def test_an_episode_is_one_question_with_its_judges_reward(role: Callable[..., Role]) -> None:
    asked = []

    def score(role: Role, question: str, group: GroupKey) -> Judgement:
        asked.append((role, question, group))
        return Judgement(scored(9, 6, 3))

    env = made(role(2), score)
    prompt = [{"role": "user", "content": "anything"}]
    assert env.init(prompt) == (prompt, {})
    output = env.step("  How would you shard this?\n<|im_end|>")
    assert (output["reward"], output["done"], output["observations"]) == (pytest.approx(0.6), True, [])
    assert asked == [(role(2), "How would you shard this?", GROUP)]
    assert env.get_metrics() == {"question": "How would you shard this?", "judgement": Judgement(scored(9, 6, 3))}


def test_an_unscored_question_is_never_a_number(role: Callable[..., Role]) -> None:
    env = made(role(), lambda *_: Judgement.unscored("timeout"))
    assert math.isnan(env.step("a question")["reward"])
    assert env.get_metrics()["judgement"].unscored_reason == "timeout"


def test_the_role_comes_from_the_row_and_not_from_the_prompt(role: Callable[..., Role]) -> None:
    env = made(role(1), lambda *_: Judgement(scored(1)))
    env.init([{"role": "user", "content": json.dumps(role(5).model_dump())}])
    assert env.role == role(1)


def test_any_judge_of_the_project_can_be_the_scorer(role: Callable[..., Role]) -> None:
    judge = BackgroundJudge(RubricJudge())
    try:
        env = made(role(), lambda role, question, _: judge.submit(role, [question]).result()[0])
        reward = env.step("A queue of your service grows by 200 messages a second; how do you find out why?")["reward"]
    finally:
        judge.close()
    assert 0 < reward <= 1


def test_registering_again_replaces_the_scorer(role: Callable[..., Role]) -> None:
    made(role(), lambda *_: Judgement(scored(1)))
    assert made(role(), lambda *_: Judgement(scored(8))).step("q")["reward"] == pytest.approx(0.8)


def test_skyrl_can_aggregate_what_an_episode_reports(role: Callable[..., Role]) -> None:
    env = made(role(), lambda *_: Judgement(scored(1)))
    env.step("q")
    assert aggregate_for_environment(ENV_CLASS, [env.get_metrics()]) == {}
