"""What is read in a language model about questions, without its writing a word.

**States:** what the model has made of a question when it has read the generator's prompt for the role and then the question
as the answer: the hidden state after the first `DEPTH` of its layers, mean over the question's tokens. What is said is
clearest in the middle of a model; the later layers turn to the next word, and need not be computed.

**Checks:** for criteria of a rubric of one's own, log P(Yes) / P(No) for its short questions, within `CERTAIN`. Models below
`READS_CHECKS` parameters answer them at chance and are not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recruiter.engines import Reader
from recruiter.judges.in_trainer import Group
from recruiter.prompts import check_messages, generator_messages
from recruiter.rubric import Criterion

DEPTH = 0.5
READS_CHECKS = 300e6
CERTAIN = 4.0
Floats = NDArray[np.floating[Any]]


def read_states(reader: Reader, groups: Sequence[Group]) -> Floats:
    """States (N, C) of all questions of all groups, in order."""
    prompts = [generator_messages(role) for role, _ in groups]
    return np.concatenate(reader.answer_states(prompts, [list(questions) for _, questions in groups], DEPTH))


def read_checks(reader: Reader, criterion: Criterion, groups: Sequence[Group]) -> Floats:
    """What the criterion's checks say (N,) of all questions of all groups: the mean of their log-odds of yes."""
    endings = [
        [f"{text}\n\n{check} Answer Yes or No." for text in texts for check in criterion.checks] for _, texts in groups
    ]
    logits = reader.choice_logits([check_messages(role) for role, _ in groups], endings, ("Yes", "No"))
    odds_N = np.array([yes - no for group in logits for yes, no in group], dtype=np.float32)
    means_N: Floats = odds_N.clip(-CERTAIN, CERTAIN).reshape(-1, len(criterion.checks)).mean(axis=1)
    return means_N
