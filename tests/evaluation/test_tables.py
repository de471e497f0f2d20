from __future__ import annotations

from typing import Any

import pytest

from recruiter.evaluation.tables import markdown, short_names, tables
from tests.evaluation.conftest import Evaluate, ListWriter, WordJudge


@pytest.fixture
def results(evaluate: Evaluate) -> Any:
    writers = [
        ListWriter("starter", ["a b", "a b c", "please refuse", "a", "a b", "a"]),
        ListWriter("exports/mine", ["a b c d", "a b c", "a b", "", "a b c | d", "a b c"]),
    ]
    return evaluate(writers, twice=3, pairwise=True, trim=0.2)[0]


def test_every_figure_that_matters_stands_in_a_table(results: Any) -> None:
    titles = [table.title for table in tables(results)]
    for part in ("Scores by words", "Difference to starter", "and level", "and focus", "Without the 20%", "Compared by",
                 "Length", "Diversity", "asked twice"):  # fmt: skip
        assert any(part in title for title in titles), part
    assert all(len(row) == len(table.columns) for table in tables(results) for row in table.rows)
    scores = next(tables(results))
    assert [row[0] for row in scores.rows] == ["starter", "mine"]
    assert [row[-1] for row in scores.rows] == ["5/6", "5/6"]


def test_what_does_not_exist_is_a_dash(evaluate: Evaluate) -> None:
    results, _ = evaluate([ListWriter("a", ["please refuse"]), ListWriter("b", ["x y"])])
    scores, difference, *_ = tables(results)
    assert scores.rows[0] == ["a", "–", "–", "–", "–", "–", "0/1"]
    assert difference.rows == [["b", "–", "–", "–", "0"]]


def test_markdown_says_first_what_to_know_and_keeps_its_columns(results: Any) -> None:
    results.flags.append("rl was trained on 3 of these 6 roles.")
    text = markdown(results)
    assert text.index("rl was trained on 3") < text.index("## Scores by words")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert f"rubric {results.plan.rubric_hash}" in text
    assert "1 question a role" in text


def test_names_are_short_where_nobody_else_has_them(evaluate: Evaluate) -> None:
    judge = WordJudge()
    judge.name = "xai/grok"
    writers = [ListWriter(name, ["a"]) for name in ("exports/mine", "other/mine", "starter")]
    results, _ = evaluate(writers, [judge])
    expected = {"exports/mine": "exports/mine", "other/mine": "other/mine", "starter": "starter", "xai/grok": "grok"}
    assert short_names(results) == expected
