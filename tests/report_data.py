"""Results of evaluations by hand, with figures computed by the code that computes real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from recruiter.config import SamplingParams
from recruiter.evaluation.agreement import agreements, consistency
from recruiter.evaluation.estimates import Estimate, Simulated
from recruiter.evaluation.figures import judge_figures
from recruiter.evaluation.records import ComparisonRecord, JudgementRecord, JudgeRecord, ModelRecord, Plan, SampleRecord
from recruiter.evaluation.results import Results, metrics
from recruiter.evaluation.strengths import pairwise_figures
from recruiter.evaluation.text_figures import text_figures
from recruiter.prompts import generator_messages, judge_system
from recruiter.roles import Role
from recruiter.rubric import Rubric
from tests.scoring import RUBRIC

Score = Callable[[str, int], float | None]  # of the n-th role by a judge


def make_results(
    roles: Sequence[Role],
    models: Mapping[str, Score],
    judges: Sequence[str] = ("rubric",),
    question: Callable[[str, int], str | None] = lambda model, index: f"{model} asks about case {index}: why?",
    training: Mapping[str, dict[str, object]] | None = None,
    rubric: Rubric = RUBRIC,
) -> Results:
    """Results in which `models[name](judge, n)` is each criterion's score of a model's question for the n-th role.

    None is unscored. Judges after the first give half of it. The first model is the baseline.
    """
    names, keys = list(models), metrics(rubric)
    samples = [
        _sample(name, role.id, question(name, index), keys, {judge: models[name](judge, index) for judge in judges})
        for name in names
        for index, role in enumerate(roles)
    ]
    sampling = asdict(SamplingParams())
    comparisons = [
        ComparisonRecord(
            role_id=role.id, sample=0, first=first, second=second, preferred="second", reasoning="It is concrete.",
            failure=None,
        )
        for role in roles
        for first, second in [(names[0], names[-1]), (names[-1], names[0])]
    ]  # fmt: skip
    by_id = {role.id: role for role in roles}
    return Results(
        made_at="2026-01-02T03:04:05+00:00",
        seconds=1.0,
        spent={},
        versions={"recruiter": "test"},
        plan=Plan(
            baseline=names[0], roles_from="test", samples=1, seed=0, sampling=sampling, trim=0.1, twice=2, pairwise=True,
            budget_usd=None, prompt_hash="p", rubric_hash="r",
        ),
        flags=[f"{judge} judged the training too." for judge in judges[:1]],
        left_out={"absent": "it has no key"},
        roles=list(roles),
        prompts={role.id: cast(Any, generator_messages(role)) for role in roles},
        rubric=rubric,
        judge_system=judge_system(rubric),
        models={
            name: ModelRecord(
                kind="local", source=f"exports/{name}", adapter=None, fingerprint="f", sampling=sampling, notes=[],
                training=cast(Any, (training or {}).get(name)),
            )
            for name in names
        },
        judges={judge: JudgeRecord(version="1", flags=[]) for judge in judges},
        samples=samples,
        figures={judge: judge_figures(judge, keys, names, roles, samples, 0.1) for judge in judges},
        texts={name: text_figures([s for s in samples if s.model == name], by_id) for name in names},
        consistency={judge: consistency([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]) for judge in judges},
        agreement=agreements(judges, samples),
        simulated=Simulated(
            judge="simulated/local/tiny", version="1", answers=4, missing=dict.fromkeys(names, 1),
            models={name: Estimate(mean=0.75, low=0.5, high=1.0, roles=9) if name != names[0] else None for name in names},
        ),
        pairwise={judge: pairwise_figures(names, comparisons) for judge in judges[:1]} if len(names) > 1 else {},
    )  # fmt: skip


def _sample(
    model: str, role_id: str, question: str | None, metrics: Sequence[str], scores: Mapping[str, float | None]
) -> SampleRecord:
    def judgement(judge: str, score: float | None) -> JudgementRecord:
        if score is None:
            return JudgementRecord(scores=None, reasoning="", unscored_reason="timed out")
        named = dict.fromkeys(metrics, score)
        return JudgementRecord(scores=named, reasoning=f"Red flag of {judge}: none.", unscored_reason=None)

    return SampleRecord(
        model=model, role_id=role_id, sample=0, question=question, failure=None if question is not None else "no answer",
        tokens=12 if question is not None else None, finished=True, seconds=0.5, cost_usd=0.0,
        judgements={judge: judgement(judge, score) for judge, score in scores.items()} if question is not None else {},
    )  # fmt: skip
