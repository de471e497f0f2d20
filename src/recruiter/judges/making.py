"""The judge that settings name."""

from __future__ import annotations

from typing import cast

from recruiter.config import Config, HumanFeedbackConfig, JudgeConfig, NamedJudgeConfig
from recruiter.config.paths import command_line
from recruiter.errors import ConfigError
from recruiter.judges import Judge
from recruiter.judges.calibrated import CalibratedJudge
from recruiter.judges.panel import Panel
from recruiter.llm.providers import PROVIDERS
from recruiter.rubric import Rubric, load_rubric


def make_judge(
    settings: JudgeConfig,
    human_feedback: HumanFeedbackConfig | None = None,
    rubric: Rubric | None = None,
    base: str | None = None,
) -> Judge:
    """The judge that the settings name; `human_feedback` says where people rate, if they are the judge.

    Args:
        rubric: what it scores by; None: the built-in one.
        base: what the policy is trained from, where one is trained.

    Raises:
        ConfigError: there is no such provider, or something that it needs is missing.
        ApiError: its cache cannot be used.
    """
    if settings.examples and (settings.provider not in PROVIDERS or settings.mode != "single"):
        raise ConfigError(
            f"{settings.place}.examples is for language models behind an API that score one question at a time, and "
            f"{settings.provider} with mode={settings.mode} is none; leave it out."
        )
    if settings.provider == "rubric":
        from recruiter.judges.rubric_judge import RubricJudge

        return RubricJudge(rubric)
    if settings.asks_people:
        from recruiter.human_feedback import HumanJudge

        return HumanJudge(human_feedback or HumanFeedbackConfig(), rubric)
    if settings.provider == "local":
        from recruiter.judges.local import LocalJudge

        return LocalJudge(settings, rubric, base)
    if settings.provider == "simulated":
        from recruiter.judges.simulated import SimulatedJudge

        return SimulatedJudge(settings, rubric, base)
    if settings.provider == "calibrated":
        return CalibratedJudge(
            settings, rubric or load_rubric(), lambda member, by: make_judge(member, rubric=by, base=base)
        )
    from recruiter.judges.llm import LLMJudge
    from recruiter.judges.llm.modes import GroupJudge, PairsJudge

    kinds = {"single": LLMJudge, "group": GroupJudge, "pairs": PairsJudge}
    return kinds[settings.mode](settings, rubric)


def training_judge(config: Config) -> Judge:
    """Whoever judges a run: the judge of the configuration, or a panel of several.

    Raises:
        ConfigError: there is no such provider or rubric, or something that it needs is missing.
        ApiError: a cache cannot be used.
    """
    rubric = load_rubric(config.rubric)
    base = config.trainer.policy.model.path
    made = [make_judge(settings, config.human_feedback, rubric, base) for settings in config.all_judges]
    if len(made) == 1:
        return made[0]
    if not config.asks_people:
        return Panel(config.judges, made, config.trainer.seed)
    from recruiter.human_feedback import HumanJudge, PeopleAndJudges

    named = list(zip(config.judges, made, strict=True))
    (people,) = (judge for entry, judge in named if entry.asks_people)
    others = [(entry, judge) for entry, judge in named if not entry.asks_people]
    filling = others[0][1]
    if len(others) > 1:
        filling = Panel([entry for entry, _ in others], [judge for _, judge in others], config.trainer.seed)
    return PeopleAndJudges(cast(HumanJudge, people), filling, {entry.title: judge for entry, judge in named})


def named_judge(name: str, base_url: str | None = None, kind: type[JudgeConfig] = NamedJudgeConfig) -> JudgeConfig:
    """Settings of a judge that is named: `rubric`, `xai`, `anthropic/claude-haiku-5-5`, …; `kind` knows by what option.

    Args:
        base_url: address of a server to ask instead of the provider's own.

    Raises:
        ConfigError: people are named: nobody waits for them outside training.
    """
    provider, _, model = name.partition("/")
    settings = kind(provider=provider, model=model or None, base_url=base_url)
    if settings.asks_people:
        raise ConfigError(
            f"{settings.spelled('provider', provider)} cannot be waited for here: have people read an evaluation's questions "
            f"with `{command_line('eval')} --people URL`, train on their ratings with judge.provider=human, or name another "
            f"judge, such as rubric."
        )
    return settings
