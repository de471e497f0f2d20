"""Scores by the built-in rubric, for fake judges and expectations."""

from recruiter.evaluation.results import metrics
from recruiter.rubric import Scores, load_rubric

RUBRIC = load_rubric()
METRICS = metrics(RUBRIC)


def scored(*values: float) -> Scores:
    """Scores with these values in the rubric's order; a single one stands for all criteria."""
    return RUBRIC.scores(dict(zip(RUBRIC.names, values * 3 if len(values) == 1 else values, strict=True)))
