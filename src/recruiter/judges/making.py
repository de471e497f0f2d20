"""The judge that settings name."""

from __future__ import annotations

from recruiter.config import Config, HumanFeedbackConfig, JudgeConfig, NamedJudgeConfig
from recruiter.judges import Judge
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
    from recruiter.judges.panel import Panel

    return Panel(config.judges, made, config.trainer.seed)


def named_judge(name: str, base_url: str | None = None, kind: type[JudgeConfig] = NamedJudgeConfig) -> JudgeConfig:
    """Settings of a judge that is named: `rubric`, `xai`, `anthropic/claude-haiku-5-5`, …; `kind` knows by what option."""
    provider, _, model = name.partition("/")
    return kind(provider=provider, model=model or None, base_url=base_url)
