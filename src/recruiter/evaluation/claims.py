"""What may be said of a model: who trained it has no say in whether it is better, and blind readers come first.

A model that was optimised for a judge's scores gets high ones; that shows that the optimisation worked, not that the
questions are good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recruiter.config.paths import command_line
from recruiter.evaluation.figures import correct_p_values
from recruiter.train.rows import deciding_judges

if TYPE_CHECKING:
    from recruiter.evaluation.estimates import ReadFigures, Reads
    from recruiter.evaluation.records import ReaderKind
    from recruiter.evaluation.results import Results

KINDS: dict[ReaderKind, tuple[str, str]] = {
    "person": ("person", "people"),
    "language model": ("language model", "language models"),
    "not stated": ("reader of unstated kind", "readers of unstated kind"),
}


def limit(results: Results) -> None:
    """Mark the figures of judges for models that they trained, and take away what would be a test of these models."""
    for judge, figures in results.figures.items():
        for name, each in figures.items():
            each.judge_trained_it = has_trained(results, judge, name)
            if each.judge_trained_it and each.difference:
                each.difference.p_value = each.difference.p_corrected = None
            pairwise = results.pairwise.get(judge)
            if each.judge_trained_it and pairwise and name in pairwise.strengths:
                pairwise.strengths[name].beats_baseline = None
        correct_p_values(figures)


def has_trained(results: Results, who: str, model: str) -> bool:
    """Whether a judge or reader rewarded the training of a model, as far as that is known."""
    training = results.models[model].training
    return training is not None and who in deciding_judges(training.judge)


def evidence(results: Results) -> list[str]:
    """What blind readers say of each model, and of which models only a judge has spoken that trained them; a sentence each."""
    lines = []
    for name, figures in results.reads.models.items() if results.reads else ():
        if results.reads and name != results.reads.reference and figures.readers:
            lines.append(
                f"Read blind by {readers(results.reads, figures.readers)}: {_said(results.reads, name, figures)}"
            )
    for name in results.models:
        judges = _judges_of(results, name)
        if judges and all(has_trained(results, who, name) for who in judges):
            have = "has" if len(judges) == 1 else "have"
            lines.append(
                f"Only {' and '.join(judges)} {have} judged {name}, and also rewarded its training: that is no evidence that "
                f"{name} got better. Have the questions read blind ({command_line('eval')} --blind-sheet FOLDER), or judged by "
                f"a judge that training never saw."
            )
    return lines


def readers(reads: Reads, names: Sequence[str] | None = None) -> str:
    """Who read, in words, all of them or some: 2 people and 1 language model."""
    kinds = [reads.readers[name] for name in (reads.readers if names is None else names)]
    found = [(kinds.count(kind), *words) for kind, words in KINDS.items() if kind in kinds]
    return " and ".join(f"{number} {one if number == 1 else many}" for number, one, many in found)


def _judges_of(results: Results, model: str) -> list[str]:
    """All judges and readers that have said something of a model."""
    judges = [judge for judge, figures in results.figures.items() if figures[model].scores["composite"]]
    marked = {
        item.id for item in (results.sheet.items if results.sheet else []) if any(m == model for m, _ in item.samples)
    }
    readings = results.sheet.readings if results.sheet else {}
    readers = [name for name, reading in readings.items() if marked & reading.marks.keys()]
    return list(dict.fromkeys(judges + readers))


def _said(reads: Reads, name: str, figures: ReadFigures) -> str:
    before, share = reads.models[reads.reference], figures.preferred
    said = f"no pair of {name} and {reads.reference} is decided"
    if share is not None:
        interval = f", 95% interval {share.low:.0%} to {share.high:.0%}" if share.low is not None else ""
        said = (
            f"{name} is preferred to {reads.reference} in {figures.won} of {figures.won + figures.lost} decided pairs "
            f"({share.mean:.0%}{interval})"
        )
    if figures.no_sense and before.no_sense:
        shares = f"{figures.no_sense.mean:.0%} of its questions make no sense", f"{before.no_sense.mean:.0%}"
        said += f"; {shares[0]}, of {reads.reference}'s {shares[1]}"
    return said + "."
