"""Lint: hints about a question before it is kept, from rules that are data (`lint.yaml`).

A hint names what stands out and why; whether the question is kept is for a person to say. Where the rules stand on a labelled
set is measured by `tests/writers/test_lint.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from recruiter.roles.languages import detect_language


class Hint(BaseModel):
    """What stands out in a question.

    Attributes:
        name: of the kind of hint, a key of `lint.yaml`.
        reason: for whoever keeps the question.
        found: the words that it is about; "" where something is lacking.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    reason: str
    found: str


@dataclass(frozen=True)
class Rule:
    """One rule of `lint.yaml`.

    Attributes:
        languages: codes; None: all.
        examples: texts that get a hint by this rule, and texts that get none.
    """

    languages: frozenset[str] | None
    patterns: tuple[re.Pattern[str], ...]
    silent: tuple[re.Pattern[str], ...]
    examples: tuple[tuple[str, ...], tuple[str, ...]]

    def find(self, text: str) -> re.Match[str] | None:
        """The first place that the rule is about."""
        if any(pattern.search(text) for pattern in self.silent):
            return None
        return next(filter(None, (pattern.search(text) for pattern in self.patterns)), None)


def lint(text: str, language: str | None = None) -> list[Hint]:
    """Hints about a question, at most one of each kind.

    Args:
        language: a code of `LANGUAGES`; None: what the text is in.
    """
    code = language or detect_language(text)
    text = " ".join(text.replace("’", "'").split())
    hints = []
    for name, (reason, rules) in rules_of_hints().items():
        places = (rule.find(text) for rule in rules if rule.languages is None or code in rule.languages)
        if place := next(filter(None, places), None):
            words = "" if place.group() == text else place.group()
            hints.append(Hint(name=name, reason=reason, found=words))
    return hints


@cache
def rules_of_hints() -> dict[str, tuple[str, tuple[Rule, ...]]]:
    """The reason and the rules of each kind of hint."""
    data = yaml.safe_load(Path(__file__).with_name("lint.yaml").read_text(encoding="utf-8"))
    return {name: (entry["reason"], tuple(map(_rule, entry["rules"]))) for name, entry in data["hints"].items()}


def _rule(entry: dict[str, Any]) -> Rule:
    flags = 0 if entry.get("exact") else re.IGNORECASE
    languages = None if entry["languages"] == ["any"] else frozenset(entry["languages"])
    find, silent = (tuple(re.compile(p, flags) for p in entry.get(key, ())) for key in ("find", "unless"))
    return Rule(languages, find, silent, (tuple(entry.get("with", ())), tuple(entry.get("without", ()))))
