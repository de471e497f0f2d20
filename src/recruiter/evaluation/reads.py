"""Figures of blind reads: what readers prefer, how far they agree, and how far judges agree with them.

A pair is one reader's two scores for a model's question and the reference's for the same role. Pairs of one role belong
together, whoever read them, so roles are what intervals count. A reader that rewarded a model's training has no say on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from recruiter.evaluation import claims
from recruiter.evaluation.estimates import JudgeAgreement, ReaderAgreement, ReadFigures, Reads
from recruiter.evaluation.figures import over_roles
from recruiter.evaluation.records import Mark, SampleRecord, Sheet
from recruiter.evaluation.results import Results
from recruiter.evaluation.statistics import TIE, clustered_share, krippendorff_alpha, spearman

Marks = Mapping[tuple[str, str, int], Mark]  # by model, role and number of the sample


def read_figures(results: Results, sheet: Sheet) -> Reads:
    """All figures of the readings of a sheet; the reference is the evaluation's baseline."""
    marks = {reader: _by_sample(sheet, reading.marks) for reader, reading in sheet.readings.items()}
    reference = results.plan.baseline
    models = {}
    for model in results.models:
        counting = [reader for reader in marks if not claims.has_trained(results, reader, model)]
        models[model] = _model_figures(model, reference, {reader: marks[reader] for reader in counting})
    return Reads(
        reference=reference,
        readers={reader: reading.kind for reader, reading in sheet.readings.items()},
        models=models,
        agreement=[_between_readers(sheet, pair) for pair in combinations(sheet.readings, 2)],
        alpha=krippendorff_alpha(_scores(sheet).values()),
        judges={judge: _judge_against_readers(results, sheet, judge) for judge in results.judges},
    )


def _by_sample(sheet: Sheet, marks: Mapping[str, Mark]) -> Marks:
    return {
        (model, item.role_id, index): marks[item.id]
        for item in sheet.items
        if item.id in marks
        for model, index in item.samples
    }


def _model_figures(model: str, reference: str, readers: Mapping[str, Marks]) -> ReadFigures:
    scores, no_sense, differences = (defaultdict[str, list[float]](list) for _ in range(3))
    for marks in readers.values():
        for (name, role, index), mark in marks.items():
            if name != model:
                continue
            scores[role].append(mark.score)
            no_sense[role].append(float(mark.no_sense))
            if model != reference and (other := marks.get((reference, role, index))):
                differences[role].append(mark.score - other.score)
    by_role = [np.array(differences[role]) for role in sorted(differences)]
    won, lost = (np.array([float((sign * pairs > TIE).sum()) for pairs in by_role]) for sign in (1, -1))
    nonsense = np.array([sum(no_sense[role]) for role in sorted(no_sense)])
    sense = np.array([len(no_sense[role]) for role in sorted(no_sense)]) - nonsense
    return ReadFigures(
        readers=list(readers) if scores else [],
        score=over_roles(_means(scores)),
        no_sense=clustered_share(nonsense, sense),
        won=int(won.sum()),
        lost=int(lost.sum()),
        tied=sum(map(len, by_role)) - int(won.sum() + lost.sum()),
        preferred=clustered_share(won, lost),
        difference=over_roles(_means(differences)),
    )


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {role: sum(each) / len(each) for role, each in values.items()}


def _scores(sheet: Sheet) -> dict[str, list[float]]:
    """All readers' scores of each item that somebody read, by id."""
    found = {
        item.id: [reading.marks[item.id].score for reading in sheet.readings.values() if item.id in reading.marks]
        for item in sheet.items
    }
    return {name: scores for name, scores in found.items() if scores}


def _between_readers(sheet: Sheet, pair: tuple[str, str]) -> ReaderAgreement:
    first, second = (sheet.readings[reader].marks for reader in pair)
    both = [item.id for item in sheet.items if item.id in first and item.id in second]
    found = spearman([first[name].score for name in both], [second[name].score for name in both])
    return ReaderAgreement(readers=pair, questions=len(both), spearman=found)


def _judge_against_readers(results: Results, sheet: Sheet, judge: str) -> JudgeAgreement:
    """On the items that somebody read and the judge scored."""
    rows = list(_scored_items(results.samples, sheet, judge, results.metrics))
    readers = [mean for mean, _ in rows]
    return JudgeAgreement(
        questions=len(rows),
        spearman={metric: spearman([scores[metric] for _, scores in rows], readers) for metric in results.metrics},
    )


def _scored_items(
    samples: Sequence[SampleRecord], sheet: Sheet, judge: str, metrics: Sequence[str]
) -> Iterator[tuple[float, dict[str, float]]]:
    """The readers' mean of an item, and the judge's scores of it, means where it stands for several samples."""
    by_place = {(sample.model, sample.role_id, sample.sample): sample for sample in samples}
    means = {name: sum(scores) / len(scores) for name, scores in _scores(sheet).items()}
    for item in sheet.items:
        judged = [by_place[model, item.role_id, index].judgements.get(judge) for model, index in item.samples]
        found = [judgement.scores for judgement in judged if judgement and judgement.scores]
        if item.id in means and found:
            yield means[item.id], {metric: sum(each[metric] for each in found) / len(found) for metric in metrics}
