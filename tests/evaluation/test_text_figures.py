from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recruiter.evaluation.text_figures import distinct, read_rollouts, text_figures
from recruiter.train.layout import RunFolder
from tests.conftest import MakeRole, known
from tests.evaluation.conftest import sample


def by_id(*roles: Any) -> dict[str, Any]:
    return {role.id: role for role in roles}


def test_figures_by_hand(role: MakeRole) -> None:
    samples = [
        sample("m", "role-000", 5, question="one two three four", tokens=20, seconds=1.0, cost_usd=0.5),
        sample(
            "m", "role-001", 5, question="zero one two three", tokens=10, seconds=3.0, finished=False, cost_usd=0.25
        ),
        sample("m", "role-002", None, question=None, failure="busy", tokens=None, seconds=None, cost_usd=0.0),
    ]
    found = text_figures(samples, by_id(role(0), role(1), role(2)))
    assert (known(found.tokens).mean, known(found.words).mean, found.cut_off) == (15.0, 4.0, 1)
    assert (found.seconds_median, found.cost_usd) == (2.0, 0.75)
    assert known(found.overlap).mean == pytest.approx(0.5)  # "one two three" is one of two trigrams of each
    assert found.distinct == pytest.approx({"1": 5 / 8, "2": 4 / 6, "3": 3 / 4})
    assert (found.identical, found.novelty, found.copies, found.rollouts_of) == (0, None, None, None)


def test_no_questions_and_unknown_prices_give_no_numbers(role: MakeRole) -> None:
    found = text_figures([sample("m", "role-000", None, question=None, cost_usd=None)], by_id(role(0)))
    assert (found.tokens, found.overlap, found.seconds_median, found.cost_usd) == (None, None, None, None)
    assert found.distinct == {"1": None, "2": None, "3": None}


def test_overlap_is_with_the_questions_of_other_roles_and_the_same_number(role: MakeRole) -> None:
    texts = {
        0: "How do you keep a queue short?",
        1: "How do you keep a cache warm?",
        2: "How do you keep a queue short?",
    }
    alone = [sample("m", "role-000", 5, i, question=text) for i, text in texts.items()]
    assert known(text_figures(alone, by_id(role(0))).overlap).mean == 0.0
    others = [*alone, sample("m", "role-001", 5, 2, question=texts[0])]
    assert known(text_figures(others, by_id(role(0), role(1))).overlap).mean == pytest.approx(
        (0 + 0 + 1) / 3 / 2 + 1 / 2
    )


def test_the_same_question_for_several_roles_is_counted_whatever_its_case_and_spaces(role: MakeRole) -> None:
    texts = ["What is hard?", "what  is HARD", "Why is it slow?"]
    samples = [sample("m", f"role-00{i}", 5, question=text) for i, text in enumerate(texts)]
    assert text_figures(samples, by_id(*map(role, range(3)))).identical == 2


def test_novelty_against_the_rollouts_of_training(tmp_path: Path, role: MakeRole) -> None:
    rows = [
        {"step": 1, "role_id": "role-009", "question": "one two three four"},
        {"step": 1, "role_id": "gone", "question": "x"},
    ]
    (tmp_path / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rollouts = read_rollouts(RunFolder(tmp_path), by_id(role(9)))
    samples = [
        sample("m", "role-000", 5, question="One two three four"),
        sample("m", "role-001", 5, question="one two three five"),
        sample("m", "role-002", 5, question="something else entirely"),
    ]
    found = text_figures(samples, by_id(*map(role, range(3))), rollouts, "checkpoints/mine")
    assert known(found.novelty).mean == pytest.approx((0 + 0.5 + 1) / 3)
    assert (found.copies, found.rollouts_of) == (1, "checkpoints/mine")
    assert read_rollouts(RunFolder(tmp_path / "nowhere"), {}) is None


def test_distinct_counts_different_word_sequences() -> None:
    assert distinct(["a b a", "a b"], 1) == pytest.approx(2 / 5)
    assert distinct(["a b a", "a b"], 2) == pytest.approx(2 / 3)
    assert distinct(["a"], 2) is None
