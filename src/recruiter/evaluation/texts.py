"""What can be said of questions without a judge: length, time, cost, diversity, and novelty against training.

Overlap and novelty use the measure of `reward.py`: the share of a question's word trigrams, the words of its own role
masked, that stand in the single most similar other question.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recruiter.evaluation.results import Estimate, SampleRecord, TextFigures
from recruiter.evaluation.statistics import estimate
from recruiter.metrics_logger import read_jsonl
from recruiter.reward import Trigram, masked_trigrams
from recruiter.roles import Role

NGRAMS = (1, 2, 3)
_WORD = re.compile(r"[\w'+#-]+")


@dataclass(frozen=True)
class Questions:
    """Questions with their roles, searchable for the one most similar to another question."""

    role_ids: list[str]
    texts: frozenset[str]
    _postings: dict[Trigram, list[int]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[Role, str]]) -> Questions:
        """Index questions."""
        role_ids, texts, postings = [], set(), defaultdict(list)
        for number, (role, text) in enumerate(pairs):
            role_ids.append(role.id)
            texts.add(_plain(text))
            for trigram in masked_trigrams(role, text):
                postings[trigram].append(number)
        return cls(role_ids, frozenset(texts), dict(postings))

    def overlap(self, role: Role, text: str) -> float:
        """Largest share of the question's masked trigrams in one question of another role."""
        trigrams = masked_trigrams(role, text)
        shared = Counter(number for trigram in trigrams for number in self._postings.get(trigram, ()))
        others = (count for number, count in shared.items() if self.role_ids[number] != role.id)
        return max(others, default=0) / len(trigrams) if trigrams else 0.0


def read_rollouts(run: Path, roles: Mapping[str, Role]) -> Questions | None:
    """The questions that a training run sampled, for the roles that are known; None if it has no log of them."""
    path = run / "rollouts.jsonl"
    if not path.is_file():
        return None
    rows = read_jsonl(path)
    found = Questions.of((roles[row["role_id"]], row["question"]) for row in rows if row["role_id"] in roles)
    return found if found.role_ids else None


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
        Questions.of(pair for pair, (sample, _) in zip(pairs, written, strict=True) if sample.sample == index)
        for index in range(1 + max((sample.sample for sample, _ in written), default=-1))
    ]
    for (sample, text), (role, _) in zip(written, pairs, strict=True):
        per_role["words"][role.id].append(len(text.split()))
        if sample.tokens is not None:
            per_role["tokens"][role.id].append(sample.tokens)
        per_role["overlap"][role.id].append(among[sample.sample].overlap(role, text))
        if rollouts is not None:
            per_role["novelty"][role.id].append(1.0 - rollouts.overlap(role, text))
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
