"""Blind reads as tables: what readers prefer, how far they agree, and how far judges agree with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from recruiter.evaluation import cells, claims
from recruiter.evaluation.cells import Table
from recruiter.evaluation.estimates import Reads


def read_tables(reads: Reads, metrics: tuple[str, ...], short: Mapping[str, str]) -> Iterator[Table]:
    """All tables of blind reads.

    Args:
        metrics: keys of the scores of judges.
        short: names of models, judges and readers for narrow columns.
    """
    rows = [
        [
            short[model],
            cells.mean(figures.score),
            cells.share(figures.no_sense),
            cells.share(figures.preferred, with_interval=True),
            f"{figures.won}/{figures.lost}/{figures.tied}",
            cells.interval(figures.difference, "+"),
        ]
        for model, figures in reads.models.items()
    ]
    columns = ["model", "mean", "no sense", "preferred (95%)", "won/lost/tied", "difference (95%)"]
    yield Table(f"Read blind by {claims.readers(reads)}, against {short[reads.reference]}", columns, rows)
    if reads.agreement:
        rows = [
            [" – ".join(short[name] for name in found.readers), str(found.questions), cells.number(found.spearman, 2)]
            for found in reads.agreement
        ]
        title = f"Readers against each other; Krippendorff's alpha {cells.number(reads.alpha, 2)}"
        yield Table(title, ["readers", "questions", "rank correlation"], rows)
    if reads.judges:
        rows = [
            [short[judge], str(found.questions), *(cells.number(found.spearman.get(metric), 2) for metric in metrics)]
            for judge, found in reads.judges.items()
        ]
        yield Table("Rank correlation of judges with the readers' mean", ["judge", "questions", *metrics], rows)
