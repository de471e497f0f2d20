"""How far raters agree: Krippendorff's alpha for ordinal data, and Pearson's correlation.

Alpha is computed from the coincidence matrix (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011). Kendall's
tau-b is in `recruiter.evaluation.calibration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt


def ordinal_alpha(coincidences: Sequence[Sequence[float]]) -> float | None:
    """Krippendorff's alpha with the ordinal metric.

    Args:
        coincidences: (values, values), symmetric: how often two raters gave this pair of values to the same unit, each
            unit's pairs weighted by 1 / (its ratings - 1).

    Returns:
        1 for perfect agreement, 0 for chance; None if there are no pairs or all values are alike.
    """
    totals = [sum(row) for row in coincidences]
    total = sum(totals)
    values = range(len(totals))
    distances = [[_distance(totals, low, high) for high in values] for low in values]
    observed = sum(coincidences[a][b] * distances[a][b] for a in values for b in values)
    expected = sum(totals[a] * totals[b] * distances[a][b] for a in values for b in values)
    return None if expected == 0 or total <= 1 else 1 - (total - 1) * observed / expected


def _distance(totals: Sequence[float], a: int, b: int) -> float:
    """Squared ordinal distance: how many values lie between two, the ends counted half."""
    low, high = min(a, b), max(a, b)
    return float((sum(totals[low : high + 1]) - (totals[low] + totals[high]) / 2) ** 2)


def pearson(n: int, x: float, y: float, xx: float, yy: float, xy: float) -> float | None:
    """Pearson's correlation from a count and the sums of x, y, x², y² and xy; None without spread."""
    spread = (n * xx - x * x) * (n * yy - y * y)
    return None if n < 3 or spread <= 1e-9 else max(-1.0, min(1.0, (n * xy - x * y) / sqrt(spread)))
