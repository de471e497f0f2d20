"""Judges: whoever scores the questions of one role. All share one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from recruiter.config import JudgeConfig
from recruiter.errors import ConfigError
from recruiter.roles import Role
from recruiter.rubric import Judgement


class Judge(Protocol):
    """Scores questions that were written for one role.

    Attributes:
        name: what tables and logs call it.
        version: changes whenever it could score differently.
    """

    name: str
    version: str

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """Return one judgement per question, in order. A question that could not be judged is unscored."""
        ...


def make_judge(settings: JudgeConfig) -> Judge:
    """The judge that the configuration names.

    Raises:
        ConfigError: there is no such provider.
    """
    if settings.provider == "rubric":
        from recruiter.judges.rubric_judge import RubricJudge

        return RubricJudge()
    raise ConfigError(f"judge.provider={settings.provider} is not available; write rubric.")
