"""Plots of what runs, evaluations and raters left behind. Every point is a stored figure, or a mean of stored ones.

Each function draws one figure, writes it as PNG and SVG beside each other, and returns the two paths. What is missing is
left out of the picture, never drawn as 0; where nothing at all is left, a `DataError` says what to do.
"""

import os

os.environ["MPLBACKEND"] = "agg"  # what a notebook sets is inherited by what it starts, where it may not be installed

from recruiter.report.plots.people import plot_people, read_ratings
from recruiter.report.plots.scores import Contest, plot_distributions, plot_levels, plot_scores
from recruiter.report.plots.training import plot_training, plot_unscored, read_runs

__all__ = [
    "Contest",
    "plot_distributions",
    "plot_levels",
    "plot_people",
    "plot_scores",
    "plot_training",
    "plot_unscored",
    "read_ratings",
    "read_runs",
]
