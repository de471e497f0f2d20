"""Assembling: from samples and judgements to the results, with every figure and every warning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from recruiter.evaluation.agreement import agreements
from recruiter.evaluation.contestants import Setup, contestant_flags, judge_flags, training_rollouts
from recruiter.evaluation.estimates import Consistency, TextFigures
from recruiter.evaluation.figures import judge_figures
from recruiter.evaluation.records import ComparisonRecord, JudgeRecord, SampleRecord
from recruiter.evaluation.results import Results, metrics
from recruiter.evaluation.simulation import simulated_figures
from recruiter.evaluation.spending import spending
from recruiter.evaluation.strengths import pairwise_figures
from recruiter.evaluation.text_figures import text_figures
from recruiter.evaluation.versions import versions
from recruiter.files import short_path
from recruiter.prompts import generator_messages, judge_system
from recruiter.roles import Role


def assemble(
    setup: Setup,
    samples: list[SampleRecord],
    twice: dict[str, Consistency],
    compared: Mapping[str, Sequence[ComparisonRecord]],
    problems: Sequence[str],
    seconds: float,
) -> Results:
    """The results of an evaluation that took `seconds` and met `problems`."""
    names = [contestant.name for contestant in setup.contestants]
    judges = {
        judge.name: JudgeRecord(version=judge.version, flags=judge_flags(judge, setup.contestants))
        for judge in setup.judges
    }
    flags = contestant_flags(setup.contestants, setup.roles, setup.sampling, setup.rubric)
    flags += [f"Judge {judge}: {flag}." for judge, record in judges.items() for flag in record.flags]
    if setup.simulated:
        flags += [f"Simulated candidates: {flag}." for flag in judge_flags(setup.simulated, setup.contestants)]
    flags += problems
    return Results(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        spent=spending(setup.contestants, [*setup.judges, *([setup.simulated] if setup.simulated else [])]),
        versions=versions(),
        plan=setup.plan,
        flags=flags,
        left_out=dict(setup.left_out),
        roles=list(setup.roles),
        prompts={role.id: _messages(role) for role in setup.roles},
        rubric=setup.rubric,
        judge_system=judge_system(setup.rubric),
        models={contestant.name: contestant.record(setup.sampling) for contestant in setup.contestants},
        judges=judges,
        samples=samples,
        figures={
            judge: judge_figures(judge, metrics(setup.rubric), names, setup.roles, samples, setup.plan.trim)
            for judge in judges
        },
        texts=_texts(setup, samples),
        consistency=twice,
        agreement=agreements(list(judges), samples),
        simulated=simulated_figures(setup.simulated, names, samples) if setup.simulated else None,
        pairwise={judge: pairwise_figures(names, comparisons) for judge, comparisons in compared.items()},
    )


def _messages(role: Role) -> list[dict[str, str]]:
    return [{"role": message["role"], "content": message["content"]} for message in generator_messages(role)]


def _texts(setup: Setup, samples: Sequence[SampleRecord]) -> dict[str, TextFigures]:
    """Figures of all texts. A model that was not trained here is compared with the first training there is."""
    roles = {role.id: role for role in setup.roles}
    runs = {
        c.name: (short_path(c.run.path), found) for c in setup.contestants if c.run and (found := training_rollouts(c))
    }
    run_of_others = next(iter(runs.values()), (None, None))
    figures = {}
    for contestant in setup.contestants:
        folder, rollouts = runs.get(contestant.name, run_of_others)
        mine = [sample for sample in samples if sample.model == contestant.name]
        figures[contestant.name] = text_figures(mine, roles, rollouts, folder)
    return figures
