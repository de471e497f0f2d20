"""A label before the question is no part of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from recruiter.config import SamplingParams
from recruiter.engines import Sample
from recruiter.writers import without_label
from recruiter.writers.local import LocalWriter
from tests.conftest import MakeRole

QUESTION = "How would you keep the queue short?"


@pytest.mark.parametrize(
    "label",
    ["Question: ", "question:", "**Question 1:** ", "Q: ", '"Question: Question: ', "Interview question:\n", "Q3: "],
)
def test_a_label_is_taken_off(label: str) -> None:
    assert without_label(label + QUESTION) == QUESTION


@pytest.mark.parametrize(
    "text",
    ["Question:", "Questions come up about order: how do you keep it?", '{"question": "x"}', "Scenario: A disk fills."],
)
def test_what_is_no_label_stays(text: str) -> None:
    assert without_label(text) == text


class Portions:
    """In place of a model: one portion with one sample."""

    def portions(self, prompts: Any, samples: Any, *_: Any) -> Iterator[Any]:
        yield [0], [[Sample(f"Question: {QUESTION}", [1, 2], [-0.1, -0.1], True)]]


def test_a_local_writer_gives_the_question_alone(role: MakeRole) -> None:
    writer = LocalWriter("folder")
    writer.__dict__["model"] = Portions()
    (written,) = writer.write([role()], 1, SamplingParams())
    assert written.text == QUESTION
