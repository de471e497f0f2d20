"""The canary: does text that addresses the judge raise a score?

Delimiting tells the judge that a question is data; this checks that it listened. Where the rubric judge's detector finds
such text, the question is judged a second time without it. A judge that keeps to the rubric scores the whole question
lower. If it scores it higher by more than `MARGIN`, the judgement of the question without that text counts, and the
raised one is reported: manipulation then gains nothing, and the sample still teaches. Leaving it unscored instead would
let whoever manipulates take samples out of its group, or stop the run.
"""

from __future__ import annotations

import re

from recruiter.judges.rubric_judge.wording import manipulation
from recruiter.rubric import Judgement

MARGIN = 0.5  # points of the composite
_SENTENCE = re.compile(r".+?(?:[.!?:;]+(?=\s|$)|$)", re.MULTILINE)


def without_manipulation(question: str, criteria: tuple[str, ...]) -> str | None:
    """The question without the sentences that address a judge who scores by `criteria`; None if there are none."""
    rest, pattern = question, manipulation(criteria)
    while pattern.search(rest):
        spans = [found.span() for found in pattern.finditer(rest)]
        kept = [
            sentence.group().strip()
            for sentence in _SENTENCE.finditer(rest)
            if not any(start < sentence.end() and sentence.start() < end for start, end in spans)
        ]
        rest = " ".join(kept)
    return None if rest == question else rest


def counting_judgement(whole: Judgement, clean: Judgement) -> tuple[Judgement, bool]:
    """What counts, given the judgement of the whole question and of the rest; and whether the whole was raised."""
    if whole.scores is None or clean.scores is None:
        return whole if whole.scores is None else Judgement.unscored(f"canary: {clean.unscored_reason}"), False
    if whole.scores.composite <= clean.scores.composite + MARGIN:
        return whole, False
    note = (
        f"Raised from {clean.scores.composite:.1f} to {whole.scores.composite:.1f} by text that addresses the judge; "
        f"scored without that text. "
    )
    return Judgement(clean.scores, note + clean.reasoning), True
