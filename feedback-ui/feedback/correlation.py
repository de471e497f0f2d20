"""How far raters agree: Krippendorff's alpha for ordinal data, and Kendall's tau-b.

Alpha is computed from the coincidence matrix (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011). Tau-b is
Kendall's rank correlation with ties (Kendall, "The treatment of ties in ranking problems", 1945).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
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


def tau_b(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two lists of scores; None if either has one value only."""
    agreeing = first_pairs = second_pairs = 0
    for (a, x), (b, y) in combinations(zip(first, second, strict=True), 2):
        first_order, second_order = (a > b) - (a < b), (x > y) - (x < y)
        agreeing += first_order * second_order
        first_pairs += first_order**2
        second_pairs += second_order**2
    return agreeing / sqrt(first_pairs * second_pairs) if first_pairs and second_pairs else None


def pearson(n: int, x: float, y: float, xx: float, yy: float, xy: float) -> float | None:
    """Pearson's correlation from a count and the sums of x, y, x², y² and xy; None without spread."""
    spread = (n * xx - x * x) * (n * yy - y * y)
    return None if n < 3 or spread <= 1e-9 else max(-1.0, min(1.0, (n * xy - x * y) / sqrt(spread)))
