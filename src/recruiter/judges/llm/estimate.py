"""The estimate that is shown before a paid run starts: calls, cost and time, from the settings and one real call."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recruiter.config import Config, JudgeConfig, ListedJudgeConfig
from recruiter.judges import Judge, Probe
from recruiter.llm.loop_thread import run_async
from recruiter.roles import Role
from recruiter.roles.schedule import step_roles, total_steps


def probe_and_estimate(config: Config, judge: Judge, roles: Sequence[Role], validation: int, done: int) -> str | None:
    """See that every judge answers, and say what the rest of the run will take of those that cost something.

    Returns:
        One line a judge, of one that is made of others a line for each of these; None if none costs anything.

    Raises:
        ApiError: one does not answer.
    """
    each = zip(config.all_judges, judge.members.values(), strict=True)
    lines = [
        estimate(config, settings, judge, probe, roles, validation, done)
        for settings, member in each
        for judge in member.parts
        if (probe := ask_for_probe(judge))
    ]
    return "\n".join(lines) or None


def ask_for_probe(judge: Judge) -> Probe | None:
    """Call `judge.probe` in an event loop of its own."""

    async def ask() -> Probe | None:
        try:
            return await judge.probe()
        finally:
            await judge.close()

    return run_async(ask())


def estimate(
    config: Config,
    settings: JudgeConfig,
    judge: Judge,
    probe: Probe,
    roles: Sequence[Role],
    validation: int,
    done: int,
) -> str:
    """One line: what the steps after `done` will take at most, if every question is a new one.

    Args:
        settings: of this judge; one that watches sees a share of the questions, on average.
        probe: the call that the estimate is scaled by.
        validation: roles that every validation judges.
    """
    trainer, steps = config.trainer, range(done + 1, total_steps(config, len(roles)) + 1)
    groups = sum(len(step_roles(config, roles, step)) for step in steps)
    share = settings.share if isinstance(settings, ListedJudgeConfig) and settings.does == "watch" else 1.0
    validations = 0
    if trainer.eval_interval:
        validations = sum(step % trainer.eval_interval == 0 for step in steps)
        validations += not done and trainer.eval_before_train
    calls = total_in = total_out = usd = 0.0
    for size, count in ((config.generator.n_samples_per_prompt, groups * share), (1, validations * validation)):
        bills = [judge.bill(probe, role, size) for role in roles] if count else []
        for bill in filter(None, bills):
            calls += bill.calls * count / len(roles)
            total_in += bill.tokens.input * count / len(roles)
            total_out += bill.tokens.output * count / len(roles)
            usd += (math.nan if bill.usd is None else bill.usd) * count / len(roles)
    cost = (
        f"cost unknown: {settings.place}.prices has no price of this model" if math.isnan(usd) else f"about ${usd:.2f}"
    )
    minutes = calls * probe.seconds / settings.concurrency / 60
    return (
        f"{judge.name} will be asked at most {round(calls):,} times ({total_in / 1e6:.1f} M tokens in, {total_out / 1e6:.1f} M "
        f"out), {cost}; at {probe.seconds:.1f} s a call and {settings.concurrency} at a time that is "
        f"{minutes:.0f} minutes of judging, most of it while the model samples and trains."
    )
