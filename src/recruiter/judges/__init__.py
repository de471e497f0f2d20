"""Judges: whoever scores the questions of one role. All share one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from recruiter.config import HumanFeedbackConfig, JudgeConfig
from recruiter.roles import Role
from recruiter.rubric import Judgement

if TYPE_CHECKING:
    from recruiter.judges.llm import Probe
    from recruiter.llm.usage import Usage


class Judge(Protocol):
    """Scores questions that were written for one role.

    Attributes:
        name: what tables and logs call it.
        version: changes whenever it could score differently.
    """

    name: str
    version: str

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """Return one judgement per question, in order. A question that could not be judged is unscored.

        Raises:
            ApiError: the judge cannot be used any more.
        """
        ...


@runtime_checkable
class PaidJudge(Judge, Protocol):
    """A judge that calls a model.

    Attributes:
        usage: what it has taken so far.
    """

    usage: Usage

    async def probe(self) -> Probe:
        """Ask for one judgement, to see that it can be had, what it costs and how long it takes.

        Raises:
            ApiError: it cannot be had.
        """
        ...

    def again(self) -> PaidJudge:
        """The same judge for a second opinion: it asks anew about what it has judged."""
        ...

    async def close(self) -> None:
        """Close the connections of the present event loop."""
        ...


def make_judge(settings: JudgeConfig, human_feedback: HumanFeedbackConfig | None = None) -> Judge:
    """The judge that the settings name; `human_feedback` says where people rate, if they are the judge.

    Raises:
        ConfigError: there is no such provider, or something that it needs is missing.
        ApiError: its cache cannot be used.
    """
    if settings.provider == "rubric":
        from recruiter.judges.rubric_judge import RubricJudge

        return RubricJudge()
    if settings.provider == "human":
        from recruiter.human_feedback import HumanJudge

        return HumanJudge(human_feedback or HumanFeedbackConfig())
    from recruiter.judges.llm import LLMJudge

    return LLMJudge(settings)


def named_judge(name: str, base_url: str | None = None) -> JudgeConfig:
    """Settings of a judge named on a command line: `rubric`, `xai`, `anthropic/claude-haiku-5-5`, …"""
    provider, _, model = name.partition("/")
    return JudgeConfig(provider=provider, model=model or None, base_url=base_url)
