"""What can be said of questions without a judge: length, time, cost, diversity, and novelty against training.

Overlap and novelty use the measure of `judges/overlap.py`: the share of a question's word trigrams, the words of its own role
masked, that stand in the single most similar other question.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recruiter.evaluation.estimates import Estimate, TextFigures
from recruiter.evaluation.records import SampleRecord
from recruiter.evaluation.statistics import estimate
from recruiter.judges.overlap import OverlapWindow
from recruiter.roles import Role
from recruiter.train.layout import RunFolder

NGRAMS = (1, 2, 3)
_WORD = re.compile(r"[\w'+#-]+")


@dataclass(frozen=True)
class Questions:
    """Questions that others are compared with: searchable for the most similar one, and `texts` for those that are equal."""

    window: OverlapWindow
    texts: frozenset[str]

    @classmethod
    def of(cls, pairs: Sequence[tuple[Role, str]]) -> Questions:
        """Remember questions with their roles."""
        window = OverlapWindow(len(pairs))
        for role, text in pairs:
            window.remember(role, [text])
        return cls(window, frozenset(_plain(text) for _, text in pairs))


def read_rollouts(run: RunFolder, roles: Mapping[str, Role]) -> Questions | None:
    """The questions that a training run sampled, for the roles that are known; None if it has no log of them."""
    pairs = [(roles[row["role_id"]], row["question"]) for row in run.read_rollouts() if row["role_id"] in roles]
    return Questions.of(pairs) if pairs else None


def text_figures(
    samples: Sequence[SampleRecord],
    roles: Mapping[str, Role],
    rollouts: Questions | None = None,
    rollouts_of: str | None = None,
) -> TextFigures:
    """Figures of one model's samples.

    Args:
        roles: by id.
        rollouts: of the training run in folder `rollouts_of`.
    """
    written = [(sample, sample.question) for sample in samples if sample.question is not None]
    pairs = [(roles[sample.role_id], text) for sample, text in written]
    seconds = [sample.seconds for sample, _ in written if sample.seconds is not None]
    costs = [sample.cost_usd for sample in samples]
    per_role: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    among = [
        Questions.of([pair for pair, (sample, _) in zip(pairs, written, strict=True) if sample.sample == index])
        for index in range(1 + max((sample.sample for sample, _ in written), default=-1))
    ]
    for (sample, text), (role, _) in zip(written, pairs, strict=True):
        per_role["words"][role.id].append(len(text.split()))
        if sample.tokens is not None:
            per_role["tokens"][role.id].append(sample.tokens)
        per_role["overlap"][role.id].append(among[sample.sample].window.overlap(role, text))
        if rollouts is not None:
            per_role["novelty"][role.id].append(1.0 - rollouts.window.overlap(role, text))
    plain_texts: dict[str, set[str]] = defaultdict(set)
    for role, text in pairs:
        plain_texts[_plain(text)].add(role.id)
    return TextFigures(
        tokens=_over_roles(per_role["tokens"]),
        words=_over_roles(per_role["words"]),
        cut_off=sum(sample.finished is False for sample, _ in written),
        seconds_median=float(np.median(seconds)) if seconds else None,
        seconds_p95=float(np.percentile(seconds, 95)) if seconds else None,
        cost_usd=None if None in costs else sum(filter(None, costs)),
        distinct={str(n): distinct([text for _, text in pairs], n) for n in NGRAMS},
        identical=sum(len(plain_texts[_plain(text)]) > 1 for _, text in pairs),
        overlap=_over_roles(per_role["overlap"]),
        novelty=_over_roles(per_role["novelty"]),
        copies=sum(_plain(text) in rollouts.texts for _, text in pairs) if rollouts else None,
        rollouts_of=rollouts_of if rollouts else None,
    )


def distinct(texts: Iterable[str], n: int) -> float | None:
    """Different word n-grams as a share of all, over all texts together (Li et al. 2016). Falls with their number."""
    grams: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = _WORD.findall(text.lower())
        grams.update(zip(*(words[start:] for start in range(n)), strict=False))
    return len(grams) / grams.total() if grams else None


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _over_roles(values: Mapping[str, Sequence[float]]) -> Estimate | None:
    return estimate(np.array([sum(values[role]) / len(values[role]) for role in sorted(values)]))
