"""Figures of each model under one judge: means, tail, differences to the baseline. Pure functions of stored samples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from recruiter.evaluation.estimates import TAIL, Difference, Estimate, ModelFigures, Trimmed
from recruiter.evaluation.records import JudgementRecord, SampleRecord
from recruiter.evaluation.statistics import TIE, estimate, holm, sign_flip_p_value
from recruiter.roles import LEVELS, Role

ByRole = Mapping[str, float]


def judge_figures(
    judge: str,
    metrics: Sequence[str],
    models: Sequence[str],
    roles: Sequence[Role],
    samples: Iterable[SampleRecord],
    trim: float | None = None,
) -> dict[str, ModelFigures]:
    """Every model's figures under `judge`; the first model is the baseline.

    Args:
        metrics: keys of the scores, `composite` among them.
        samples: of all models.
        trim: share cut off at either end for the figures in `trimmed`.
    """
    by_model: dict[str, list[SampleRecord]] = {model: [] for model in models}
    for sample in samples:
        by_model[sample.model].append(sample)
    baseline = by_model[models[0]]
    figures = {
        model: _model_figures(judge, metrics, rows, None if model == models[0] else baseline, models[0], roles, trim)
        for model, rows in by_model.items()
    }
    correct_p_values(figures)
    return figures


def correct_p_values(figures: Mapping[str, ModelFigures]) -> None:
    """Correct one judge's p-values for their number; models without one are no tests and do not count."""
    tests = {model: each.difference for model, each in figures.items() if each.difference}
    p_values = {model: test.p_value for model, test in tests.items() if test.p_value is not None}
    for model, corrected in holm(p_values).items():
        tests[model].p_corrected = corrected


def role_means(
    judge: str, samples: Iterable[SampleRecord], value: Callable[[Mapping[str, float]], float]
) -> dict[str, float]:
    """Mean of `value(scores)` over each role's scored samples; roles without any are left out."""
    values: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        judgement = sample.judgements.get(judge)
        if judgement and judgement.scores:
            values[sample.role_id].append(value(judgement.scores))
    return {role: sum(scores) / len(scores) for role, scores in values.items()}


def over_roles(values: ByRole, trim: float = 0.0) -> Estimate | None:
    """Estimate over the roles of a mapping, whatever its order."""
    return estimate(np.array([values[role] for role in sorted(values)]), trim)


def _model_figures(
    judge: str,
    metrics: Sequence[str],
    samples: Sequence[SampleRecord],
    baseline: Sequence[SampleRecord] | None,
    baseline_name: str,
    roles: Sequence[Role],
    trim: float | None,
) -> ModelFigures:
    means = {metric: _metric(judge, samples, metric) for metric in metrics}
    before = {metric: _metric(judge, baseline, metric) for metric in metrics} if baseline is not None else None
    paired = {metric: _paired(means[metric], before[metric]) for metric in metrics} if before else None
    reasons = Counter(_failure(sample.judgements.get(judge)) for sample in samples if sample.question is not None)
    del reasons[None]
    return ModelFigures(
        questions=len(samples),
        unwritten=sum(sample.question is None for sample in samples),
        unscored=reasons.total(),
        unscored_reasons={str(reason): number for reason, number in reasons.most_common()},
        scores={metric: over_roles(values) for metric, values in means.items()},
        below_5=over_roles(role_means(judge, samples, lambda scores: float(scores["composite"] < TAIL))),
        by_level=_by_group(means["composite"], roles, lambda role: role.level),
        by_focus=_by_group(means["composite"], roles, lambda role: role.focus),
        difference=_difference(paired, baseline_name, roles) if paired and paired["composite"] else None,
        trimmed=_trimmed(means, paired, trim) if trim is not None else None,
    )


def _metric(judge: str, samples: Sequence[SampleRecord], metric: str) -> dict[str, float]:
    return role_means(judge, samples, lambda scores: scores[metric])


def _failure(judgement: JudgementRecord | None) -> str | None:
    """Why a question has no score; None if it has."""
    return "not judged" if judgement is None else judgement.unscored_reason


def _paired(ours: ByRole, theirs: ByRole) -> dict[str, float]:
    return {role: ours[role] - theirs[role] for role in ours.keys() & theirs.keys()}


def _by_group(values: ByRole, roles: Sequence[Role], group: Callable[[Role], str]) -> dict[str, Estimate]:
    """Estimates over the roles of each level or focus."""
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    for role in roles:
        if role.id in values:
            groups[group(role)][role.id] = values[role.id]
    estimates = {name: over_roles(members) for name, members in sorted(groups.items(), key=_group_order)}
    return {name: found for name, found in estimates.items() if found}


def _group_order(item: tuple[str, object]) -> tuple[int, str]:
    """Levels from junior to principal, everything else by name."""
    order: Sequence[str] = LEVELS
    return (order.index(item[0]) if item[0] in order else -1, item[0])


def _difference(paired: Mapping[str, ByRole], baseline: str, roles: Sequence[Role]) -> Difference:
    composite = paired["composite"]
    values = np.array([composite[role] for role in sorted(composite)])
    wins, losses = int((values > TIE).sum()), int((values < -TIE).sum())
    p_value = sign_flip_p_value(values)
    scores = {metric: over_roles(differences) for metric, differences in paired.items()}
    return Difference(
        baseline=baseline,
        roles=len(values),
        scores={metric: found for metric, found in scores.items() if found},
        p_value=p_value,
        p_corrected=p_value,
        wins=wins,
        ties=len(values) - wins - losses,
        losses=losses,
        by_level=_by_group(composite, roles, lambda role: role.level),
        by_focus=_by_group(composite, roles, lambda role: role.focus),
    )


def _trimmed(means: Mapping[str, ByRole], paired: Mapping[str, ByRole] | None, trim: float) -> Trimmed:
    return Trimmed(
        share=trim,
        scores={metric: over_roles(values, trim) for metric, values in means.items()},
        difference=over_roles(paired["composite"], trim) if paired else None,
    )
