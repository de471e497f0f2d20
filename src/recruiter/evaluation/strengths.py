"""Strengths from comparisons: the Bradley–Terry model with ties of Davidson (1970), by Hunter's (2004) MM iterations.

A model of strength p is preferred to one of strength q with probability p / D, and ties with nu·sqrt(pq) / D, where
D = p + q + nu·sqrt(pq). To keep a model that wins everything finite, half a comparison, shared between win and loss, is
added to every pair. Intervals are bootstrap over roles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recruiter.evaluation.estimates import Estimate, Pairwise, Strength
from recruiter.evaluation.records import ComparisonRecord
from recruiter.evaluation.statistics import FEWEST

Matrix = NDArray[np.float64]
RESAMPLES = 1_000
PRIOR = 0.25  # wins and losses added to each pair
MOST_ITERATIONS, PRECISION = 500, 1e-6


def pairwise_figures(models: Sequence[str], comparisons: Sequence[ComparisonRecord]) -> Pairwise:
    """All figures of one judge's comparisons; the first model is the baseline."""
    answered = [comparison for comparison in comparisons if comparison.preferred]
    decided = [comparison for comparison in answered if comparison.preferred != "tie"]
    agreeing = _order_agreements(answered)
    roles, wins_R, ties_R = _counts(models, answered)
    strengths, nu = _strengths(models, wins_R, ties_R) if roles else ({}, None)
    return Pairwise(
        comparisons=list(comparisons),
        unanswered=len(comparisons) - len(answered),
        orders_agree=sum(agreeing) / len(agreeing) if agreeing else None,
        first_preferred=sum(c.preferred == "first" for c in decided) / len(decided) if decided else None,
        tie_parameter=nu,
        strengths=strengths,
    )


def fit(wins: Matrix, ties: Matrix) -> tuple[Matrix, Matrix]:
    """Maximum-likelihood strengths (R, k), geometric mean 1, and tie parameters (R,) of R sets of comparisons.

    Args:
        wins: (R, k, k), how often the row's model was preferred to the column's.
        ties: (R, k, k), symmetric.
    """
    count = wins.shape[1]
    off_diagonal = 1.0 - np.eye(count)
    wins = wins + PRIOR * off_diagonal
    pairs = (wins + wins.transpose(0, 2, 1) + ties) * off_diagonal
    points = wins.sum(axis=2) + ties.sum(axis=2) / 2
    tied = ties.sum(axis=(1, 2)) / 2
    strengths, nu = np.ones(points.shape), np.ones(len(wins))
    for _ in range(MOST_ITERATIONS):
        before = np.log(strengths)
        root = np.sqrt(strengths)
        both = root[:, :, None] * root[:, None, :]
        total = strengths[:, :, None] + strengths[:, None, :] + nu[:, None, None] * both
        ratio = root[:, None, :] / root[:, :, None]
        strengths = points / (pairs * (1.0 + nu[:, None, None] / 2 * ratio) / total).sum(axis=2)
        strengths = strengths / np.exp(np.log(strengths).mean(axis=1, keepdims=True))
        root = np.sqrt(strengths)
        both = root[:, :, None] * root[:, None, :]
        total = strengths[:, :, None] + strengths[:, None, :] + nu[:, None, None] * both
        nu = tied / np.maximum((pairs * both / total).sum(axis=(1, 2)) / 2, 1e-12)
        if np.abs(np.log(strengths) - before).max() < PRECISION:
            break
    return strengths, nu


def _strengths(models: Sequence[str], wins_R: Matrix, ties_R: Matrix) -> tuple[dict[str, Strength], float]:
    roles = len(wins_R)
    draws = np.random.default_rng(0).integers(0, roles, (RESAMPLES, roles))
    weights = np.stack([np.bincount(draw, minlength=roles) for draw in draws]).astype(float)
    (log_one,), (preferred_one,), (nu,) = _fitted(wins_R.sum(axis=0)[None], ties_R.sum(axis=0)[None])
    wins_D, ties_D = (np.einsum("dr,rij->dij", weights, counts) for counts in (wins_R, ties_R))
    log_D, preferred_D, _ = _fitted(wins_D, ties_D)
    wins, ties = wins_R.sum(axis=0), ties_R.sum(axis=0)
    strengths = {
        model: Strength(
            log_strength=_interval(log_one[i], log_D[:, i], roles),
            beats_baseline=_interval(preferred_one[i], preferred_D[:, i], roles) if i else None,
            wins=int(wins[i].sum()),
            ties=int(ties[i].sum()),
            losses=int(wins[:, i].sum()),
        )
        for i, model in enumerate(models)
    }
    return strengths, float(nu)


def _fitted(wins: Matrix, ties: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Log strengths relative to the first model, probabilities of beating it (a tie is half), and tie parameters."""
    strengths, nu = fit(wins, ties)
    relative = strengths / strengths[:, :1]
    tied = nu[:, None] * np.sqrt(relative)
    return np.log(relative), (relative + tied / 2) / (relative + 1.0 + tied), nu


def _interval(value: float, resampled: Matrix, roles: int) -> Estimate:
    low, high = np.percentile(resampled, [2.5, 97.5]) if roles >= FEWEST else (None, None)
    return Estimate(
        mean=float(value),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        roles=roles,
    )


def _counts(models: Sequence[str], answered: Sequence[ComparisonRecord]) -> tuple[list[str], Matrix, Matrix]:
    """Roles with comparisons, and for each the wins and ties between models: (R, k, k)."""
    roles = sorted({comparison.role_id for comparison in answered})
    place, model_place = {role: i for i, role in enumerate(roles)}, {model: i for i, model in enumerate(models)}
    wins, ties = (np.zeros((len(roles), len(models), len(models))) for _ in range(2))
    for comparison in answered:
        role, i, j = place[comparison.role_id], model_place[comparison.first], model_place[comparison.second]
        if comparison.preferred == "tie":
            ties[role, i, j] += 1
            ties[role, j, i] += 1
        elif comparison.preferred == "first":
            wins[role, i, j] += 1
        else:
            wins[role, j, i] += 1
    return roles, wins, ties


def _order_agreements(answered: Sequence[ComparisonRecord]) -> list[bool]:
    """For each pair of questions that was answered in both orders: whether the same one was preferred, or none."""
    said: dict[tuple[str, int, frozenset[str]], list[str]] = defaultdict(list)
    for c in answered:
        winner = {"first": c.first, "second": c.second}.get(c.preferred or "", "")
        said[c.role_id, c.sample, frozenset((c.first, c.second))].append(winner)
    return [len(set(winners)) == 1 for winners in said.values() if len(winners) == 2]
