"""The task as a SkyRL-Gym environment: one role, one question, one reward.

The scorer is injected, so offline, online and rubric training use this one class. The role arrives in the row of the data
set (`extra_info.role`), never out of the prompt. A question without a score has the reward NaN: no trainer can take it for
a number. `recruiter.skyrl.trainer` reads the judgement itself, from `get_metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import skyrl_gym
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from recruiter.roles import Role
from recruiter.roles.dataset import ENV_CLASS
from recruiter.rubric import Judgement

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class GroupKey:
    """The group that a question belongs to.

    Attributes:
        name: unique in a run.
        size: how many questions are written for the role.
        step: the step it is sampled for; 0: validation.
    """

    name: str
    size: int
    step: int = 0


class Scorer(Protocol):
    """Waits for the judgement of one question. Called from many threads at a time."""

    def __call__(self, role: Role, question: str, group: GroupKey) -> Judgement:
        """The judgement.

        Raises:
            ApiError: the judge cannot be used any more, or its budget is spent.
        """
        ...


class QuestionEnv(BaseTextEnv):  # type: ignore[misc]
    """One episode: the policy writes a question, the scorer judges it."""

    def __init__(self, scorer: Scorer, extras: Mapping[str, Any], special_tokens: Sequence[str] = ()) -> None:
        """Read the role of this episode.

        Args:
            scorer: whoever judges.
            extras: the row of the data set: `extra_info.role` is the role as JSON, `group` its `GroupKey`.
            special_tokens: what is no part of a question; SkyRL leaves the token that ends an answer in its text.
        """
        super().__init__()
        self.scorer, self.special_tokens = scorer, special_tokens
        self.role = Role.model_validate_json(extras["extra_info"]["role"])
        self.group: GroupKey = extras["group"]
        self.question = ""
        self.judgement: Judgement | None = None

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Judge the question `action`, whole but for special tokens; the episode ends."""
        for token in self.special_tokens:
            action = action.replace(token, "")
        self.question = action.strip()
        self.judgement = self.scorer(self.role, self.question, self.group)
        reward = self.judgement.reward
        return BaseTextEnvStepOutput(
            observations=[], reward=math.nan if reward is None else reward, done=True, metadata={}
        )

    def get_metrics(self) -> dict[str, Any]:
        """What the trainer needs of the episode: the question and its judgement."""
        return {"question": self.question, "judgement": self.judgement}


class _Creator:
    """What SkyRL-Gym calls for each episode. The scorer is held here because `skyrl_gym.make` copies its arguments."""

    aggregate_metrics = staticmethod(BaseTextEnv.aggregate_metrics)

    def __init__(self, scorer: Scorer, special_tokens: Sequence[str]) -> None:
        self.scorer, self.special_tokens = scorer, special_tokens

    def __call__(self, *, extras: Mapping[str, Any], **_: Any) -> QuestionEnv:
        return QuestionEnv(self.scorer, extras, self.special_tokens)


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The texts of the tokens that `skip_special_tokens` leaves out."""
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]


def register_environment(scorer: Scorer, special_tokens: Sequence[str]) -> None:
    """Make `skyrl_gym.make("question-gen", …)` return episodes judged by `scorer`, without `special_tokens`."""
    if ENV_CLASS in skyrl_gym.registry:
        skyrl_gym.envs.deregister(ENV_CLASS)
    skyrl_gym.register(id=ENV_CLASS, entry_point=_Creator(scorer, special_tokens))
