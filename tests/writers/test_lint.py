"""Lint on questions that were labelled before there were rules, and every rule on its own examples."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from recruiter.writers.kit.lint import Rule, lint, rules_of_hints
from tests import REPOSITORY

LABELLED = [
    json.loads(line)
    for line in (REPOSITORY / "tests/data/lint_questions.jsonl").read_text(encoding="utf-8").splitlines()
]
RULES = [(name, rule) for name, (_, rules) in rules_of_hints().items() for rule in rules]


def test_precision_and_recall_on_questions_labelled_before_the_rules() -> None:
    right: Counter[str] = Counter()
    given: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    misses, wrong = [], []
    for entry in LABELLED:
        found, labels = {hint.name for hint in lint(entry["text"], entry["language"])}, set(entry["hints"])
        right.update(found & labels)
        given.update(found)
        wanted.update(labels)
        misses += [(name, entry["text"]) for name in labels - found]
        wrong += [(name, entry["text"]) for name in found - labels]
    precision, recall = right.total() / given.total(), right.total() / wanted.total()
    table = "\n".join(f"{name}: {right[name]} right of {given[name]} given, of {wanted[name]} there" for name in wanted)
    print(f"\nprecision {precision:.3f} ({right.total()} of {given.total()}), recall {recall:.3f}\n{table}")
    print("wrong:", *wrong, "missed:", *misses, sep="\n")
    assert len(LABELLED) >= 100
    assert precision >= 0.9
    assert recall >= 0.75


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_every_rule_finds_its_examples_and_leaves_the_others(name: str, rule: Rule) -> None:
    with_hint, without = rule.examples
    assert with_hint
    for text in with_hint:
        assert rule.find(text), text
    for text in without:
        assert not rule.find(text), text


def test_a_hint_says_what_and_why() -> None:
    (hint,) = lint("What is your current salary, and how would you justify the cost of a second region?")
    assert (hint.name, hint.found) == ("personal_data", "your current salary")
    assert "private" in hint.reason
    assert lint("Wie alt sind Sie, und wie lange möchten Sie noch als Entwickler arbeiten?")[0].name == "protected"
    assert lint("") == [] or lint("")[0].name == "no_task"
