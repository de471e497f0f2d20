"""Statistics over roles, in numpy: intervals of means and of shares, a sign-flip test, Holm's correction, agreement.

All resampling is seeded, so the same values give the same figures. Differences are tested by flipping the signs of paired
differences: under the hypothesis that two models are equal, each role's difference could as well have had the other
sign. That test needs no assumption on the distribution, and keeps its level at any number of roles.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recruiter.evaluation.estimates import Estimate

Values = NDArray[np.float64]
RESAMPLES = 10_000
FEWEST = 5  # values below which an interval would pretend to know something
TIE = 1e-9  # scores closer than that are equal
Z = 1.959963984540054  # of a 95% interval


def estimate(values: Values, trim: float = 0.0) -> Estimate | None:
    """Mean of the entries (n,) with its 95% percentile bootstrap interval; None if there are none.

    Args:
        values: one a role.
        trim: share of the lowest and of the highest entries that the mean leaves out, in each resample too.
    """
    count = len(values)
    if not count:
        return None
    mean = float(trimmed_means(values[None], trim)[0])
    if count < FEWEST:
        return Estimate(mean=mean, low=None, high=None, roles=count)
    resampled = trimmed_means(values[_draws(count)], trim) if trim else _weights(count) @ values
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(mean=mean, low=float(low), high=float(high), roles=count)


def trimmed_means(rows: Values, trim: float) -> Values:
    """Means of rows (R, n) without the `trim` lowest and the `trim` highest share of each."""
    cut = int(rows.shape[1] * trim)
    kept = np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut] if cut else rows
    means: Values = kept.mean(axis=1)
    return means


def clustered_share(won: Values, lost: Values) -> Estimate | None:
    """Share of the decided that were won, with a 95% interval for decisions that come in clusters; None if there are none.

    Wilson's interval (1927) at the effective number of decisions: as many independent ones as have the variance of the
    share over clusters, by linearising the ratio (Korn and Graubard 1998). If all went one way the clusters show no
    variance; then each counts as one decision.

    Args:
        won, lost: decisions in each cluster (n,), here a role with its readers and questions.
    """
    decided = won + lost
    won, decided = won[decided > 0], decided[decided > 0]
    clusters, total = len(decided), float(decided.sum())
    if not clusters:
        return None
    share = float(won.sum()) / total
    if clusters < FEWEST:
        return Estimate(mean=share, low=None, high=None, roles=clusters)
    variance = clusters / (clusters - 1) * float(((won - share * decided) ** 2).sum()) / total**2
    effective = float(clusters) if share in (0.0, 1.0) else total
    if variance > TIE**2:
        effective = min(total, share * (1 - share) / variance)
    centre = (share + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    half = Z / (1 + Z**2 / effective) * (share * (1 - share) / effective + Z**2 / (4 * effective**2)) ** 0.5
    return Estimate(mean=share, low=max(0.0, centre - half), high=min(1.0, centre + half), roles=clusters)


def sign_flip_p_value(differences: Values) -> float:
    """Two-sided p-value of paired differences (n,) having mean 0, by random sign flips (Fisher 1935).

    The observed signs count as one of the flips, so it is never 0 (Phipson and Smyth 2010).
    """
    observed = abs(differences.sum()) - TIE
    flipped = np.abs(_signs(len(differences)) @ differences)
    return float((1 + (flipped >= observed).sum()) / (1 + RESAMPLES))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for their number, by name (Holm 1979): the share of false finds stays below the level."""
    corrected, highest = {}, 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p_value * (len(p_values) - rank)))
        corrected[name] = highest
    return corrected


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Rank correlation, ties sharing their mean rank; None if one side does not vary or there are fewer than 3."""
    if len(left) < 3:
        return None
    ranks = [_ranks(np.asarray(side, dtype=float)) for side in (left, right)]
    if any(np.ptp(side) == 0 for side in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def krippendorff_alpha(units: Iterable[Sequence[float]]) -> float | None:
    """Krippendorff's alpha for interval data: 1 is perfect agreement, 0 chance (Krippendorff 2011).

    Args:
        units: for each unit the values that its raters gave; those with fewer than two are left out.

    Returns:
        None if nothing is left or nothing varies.
    """
    kept = [np.asarray(unit, dtype=float) for unit in units if len(unit) > 1]
    everything = np.concatenate(kept) if kept else np.zeros(0)
    count = len(everything)
    spread = float(((everything - everything.mean()) ** 2).sum()) if count else 0.0
    if spread <= TIE:
        return None
    within = sum(len(unit) / (len(unit) - 1) * float(((unit - unit.mean()) ** 2).sum()) for unit in kept)
    return 1.0 - (count - 1) / count * within / spread


def _ranks(values: Values) -> Values:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Values = (ends - (counts - 1) / 2.0)[places]
    return ranks


@functools.lru_cache(maxsize=64)
def _draws(count: int) -> NDArray[np.int64]:
    """Indices (RESAMPLES, count) of bootstrap resamples."""
    return np.random.default_rng(0).integers(0, count, (RESAMPLES, count))


@functools.lru_cache(maxsize=64)
def _weights(count: int) -> Values:
    """How often each entry is in each resample, divided by `count`: (RESAMPLES, count)."""
    rows = np.arange(RESAMPLES)[:, None] * count + _draws(count)
    counts = np.bincount(rows.ravel(), minlength=RESAMPLES * count).reshape(RESAMPLES, count)
    weights: Values = counts / count
    return weights


@functools.lru_cache(maxsize=64)
def _signs(count: int) -> Values:
    """Random signs (RESAMPLES, count)."""
    signs: Values = np.random.default_rng(0).choice(np.array([-1.0, 1.0]), (RESAMPLES, count))
    return signs
