"""What a language model's probabilities tell of questions, without its writing a word.

Four figures come from how likely a question is as the answer to the generator's prompt, behind worked examples where the
model is large enough to learn from them:

- fluency: mean log-probability of its tokens (nats). Low for word salad.
- surprise: that of the least likely token, within `SURPRISE`. One impossible word shows here.
- specificity: fluency less the same under another role's prompt. Low for what fits any role.
- length: tokens beyond `FREE_TOKENS`, negative.

The other figures are the rubric's checks: log P(Yes) / P(No) for each, within `CERTAIN`. Models below
`READS_CHECKS` parameters answer them at chance and get neither checks nor examples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from recruiter.engines import Reader
from recruiter.prompts import Message, check_messages, generator_messages
from recruiter.roles import Role
from recruiter.rubric import Rubric

READS_CHECKS = 300e6
SURPRISE = (-12.0, -5.0)
FREE_TOKENS = 30
CERTAIN = 4.0
COMMON = ("fluency", "surprise", "specificity", "length")
Signals = dict[str, float]
Group = tuple[Role, Sequence[str]]


@cache
def _shipped() -> tuple[list[tuple[Role, str]], list[Role]]:
    data = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))
    examples = [(Role.model_validate(entry["role"]), str(entry["question"])) for entry in data["examples"]]
    return examples, [Role.model_validate(role) for role in data["other_roles"]]


def check_names(rubric: Rubric) -> dict[str, list[str]]:
    """The signals that a criterion's checks give, by criterion."""
    return {c.name: [f"{c.name}_{number}" for number in range(len(c.checks))] for c in rubric.criteria}


def read_signals(reader: Reader, rubric: Rubric, groups: Sequence[Group], is_large: bool) -> list[list[Signals]]:
    """The signals of every question of every group, in order.

    Args:
        is_large: whether the model makes something of worked examples and of the checks.
    """
    texts = [list(questions) for _, questions in groups]
    own = reader.answer_logprobs([_prompt(role, is_large) for role, _ in groups], texts)
    other = reader.answer_logprobs([_prompt(_another(role), is_large) for role, _ in groups], texts)
    found = [
        [_likelihood(logprobs, elsewhere) for logprobs, elsewhere in zip(*both, strict=True)]
        for both in zip(own, other, strict=True)
    ]
    if is_large:
        checks = [
            (name, check)
            for c in rubric.criteria
            for name, check in zip(check_names(rubric)[c.name], c.checks, strict=True)
        ]
        openings = [check_messages(role) for role, _ in groups]
        endings = [
            [f"{question}\n\n{check} Answer Yes or No." for question in group for _, check in checks] for group in texts
        ]
        logits = reader.choice_logits(openings, endings, ("Yes", "No")) if checks else [[] for _ in groups]
        for group, answers in zip(found, logits, strict=True):
            for index, (yes, no) in enumerate(answers):
                group[index // len(checks)][checks[index % len(checks)][0]] = max(-CERTAIN, min(CERTAIN, yes - no))
    return found


def _likelihood(logprobs: Sequence[float], elsewhere: Sequence[float]) -> Signals:
    tokens, low, high = len(logprobs), *SURPRISE
    return {
        "fluency": sum(logprobs) / tokens,
        "surprise": max(low, min(high, min(logprobs))),
        "specificity": (sum(logprobs) - sum(elsewhere)) / tokens,
        "length": -float(max(0, tokens - FREE_TOKENS)),
    }


def _prompt(role: Role, with_examples: bool) -> list[Message]:
    system, user = generator_messages(role)
    if not with_examples:
        return [system, user]
    examples: list[Message] = []
    for example, question in _shipped()[0]:
        examples += [generator_messages(example)[1], Message(role="assistant", content=question)]
    return [system, *examples, user]


def _another(role: Role) -> Role:
    """A role of another field, always the same one for a role."""
    others = _shipped()[1]
    return others[int(hashlib.sha256(role.id.encode()).hexdigest(), 16) % len(others)]
