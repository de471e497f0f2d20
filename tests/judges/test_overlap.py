from __future__ import annotations

import json

import pytest

from recruiter.judges.overlap import OverlapWindow, masked_trigrams
from tests.conftest import MakeRole


def test_masked_trigrams_replace_the_roles_own_words_by_one_slot(role: MakeRole) -> None:
    # Own words: python, postgresql, index, design; "a", "in" and "is" are kept though the description holds such words.
    got = masked_trigrams(role(), "Why is index design in PostgreSQL slow?")
    assert got == {
        ("why", "is", "_"),
        ("is", "_", "in"),
        ("_", "in", "_"),
        ("in", "_", "slow"),
    }


def test_masking_sees_through_endings_and_case(role: MakeRole) -> None:
    assert masked_trigrams(role(), "Slow INDEXES hurt designing") == {("slow", "_", "hurt"), ("_", "hurt", "_")}


@pytest.mark.parametrize(("said", "asked"), [("queue", "queues"), ("services", "service"), ("caching", "cache")])
def test_masking_sees_through_a_final_e(role: MakeRole, said: str, asked: str) -> None:
    assert masked_trigrams(role(key_skills=[said]), f"debug {asked} under load") == {
        ("debug", "_", "under"),
        ("_", "under", "load"),
    }


def test_technology_names_with_signs_are_one_word(role: MakeRole) -> None:
    other = role(stack=["C++", "Node.js"])
    assert masked_trigrams(other, "debug C++ under load") == {("debug", "_", "under"), ("_", "under", "load")}
    assert masked_trigrams(other, "why Node.js stalls") == {("why", "_", "stalls")}
    assert masked_trigrams(role(), "debug C++ under load") == {("debug", "c++", "under"), ("c++", "under", "load")}


@pytest.mark.parametrize("question", ["", "Why?", "Why so", "?!"])
def test_question_too_short_for_a_trigram_has_no_overlap(role: MakeRole, question: str) -> None:
    window = OverlapWindow(8)
    window.remember(role(1), [question])
    assert masked_trigrams(role(), question) == frozenset()
    assert window.overlap(role(), question) == 0.0


def test_overlap_is_the_share_found_in_the_single_most_similar_question(role: MakeRole) -> None:
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three four", "five six seven"])
    # Trigrams: (one two three), (two three five), (three five six), (five six seven): 1 of 4 in each remembered one.
    assert window.overlap(role(2), "one two three five six seven") == 0.25
    assert window.overlap(role(2), "one two three four") == 0.0 + 1.0
    assert window.overlap(role(2), "alpha beta gamma") == 0.0


def test_same_roles_earlier_questions_do_not_count(role: MakeRole) -> None:
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three four"])
    assert window.overlap(role(1), "one two three four") == 0.0
    assert window.overlap(role(2), "one two three four") == 1.0


def test_window_is_bounded_and_forgets_the_oldest(role: MakeRole) -> None:
    window = OverlapWindow(2)
    window.remember(role(1), ["one two three", "four five six", "seven eight nine"])
    assert len(window.state()) == 2
    assert window.overlap(role(2), "one two three") == 0.0
    assert window.overlap(role(2), "four five six") == 1.0


def test_window_of_size_zero_never_finds_anything(role: MakeRole) -> None:
    window = OverlapWindow(0)
    window.remember(role(1), ["one two three"])
    assert window.overlap(role(2), "one two three") == 0.0


def test_window_state_survives_json(role: MakeRole) -> None:
    window, restored = OverlapWindow(4), OverlapWindow(4)
    window.remember(role(1), ["why is the index slow today", "four five six"])
    restored.remember(role(3), ["something that was there before"])
    restored.load_state(json.loads(json.dumps(window.state())))
    assert restored.state() == window.state()
    assert restored.overlap(role(2), "four five six") == 1.0
    assert restored.overlap(role(1), "four five six") == 0.0
