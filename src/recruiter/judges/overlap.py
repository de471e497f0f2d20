"""How much of its wording a question shares with questions for other roles.

A judge sees one role, so it cannot notice a template that is used for every role. Overlap can: the words that a question
takes from its role are masked, and the share of the remaining word trigrams is measured that stand in the single most
similar question that was written for another role in earlier steps. The window of earlier questions is bounded.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence
from functools import lru_cache
from itertools import count

from recruiter.judges.rubric_judge.language import FUNCTION_WORDS, stem
from recruiter.roles import Role

Trigram = tuple[str, str, str]
_WORD = re.compile(r"[a-z0-9+#]+(?:['.][a-z0-9+#]+)*")
_SLOT = "_"


@lru_cache(maxsize=4096)
def masked_trigrams(role: Role, question: str) -> frozenset[Trigram]:
    """Word trigrams of the question with every content word that its role mentions replaced by one slot."""
    own = _own_words(role)
    masked: list[str] = []  # function words stay: masking a sentence's skeleton would hide the template
    for word in _WORD.findall(question.lower()):
        token = _SLOT if word not in FUNCTION_WORDS and stem(word) in own else word
        if token != _SLOT or masked[-1:] != [_SLOT]:
            masked.append(token)
    return frozenset(zip(masked, masked[1:], masked[2:], strict=False))


@lru_cache(maxsize=1024)
def _own_words(role: Role) -> frozenset[str]:
    text = " ".join((role.title, role.focus, role.level, *role.stack, *role.key_skills, role.description))
    return frozenset(stem(word) for word in _WORD.findall(text.lower())) - FUNCTION_WORDS


class OverlapWindow:
    """The latest questions, searchable for the one most similar to a new question of another role."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: deque[tuple[int, str, frozenset[Trigram]]] = deque()  # number, role, trigrams; oldest first
        self._numbers = count()
        self._having: dict[Trigram, dict[int, str]] = {}  # the remembered questions with a trigram: number -> role

    def overlap(self, role: Role, question: str) -> float:
        """Largest share of the question's masked trigrams found in one remembered question of another role."""
        trigrams = masked_trigrams(role, question)
        shared = Counter(
            number
            for trigram in trigrams
            for number, role_id in self._having.get(trigram, {}).items()
            if role_id != role.id
        )
        return max(shared.values(), default=0) / max(len(trigrams), 1)

    def remember(self, role: Role, questions: Sequence[str]) -> None:
        """Add the questions of one role."""
        for question in questions:
            self._add(role.id, masked_trigrams(role, question))

    def _add(self, role_id: str, trigrams: frozenset[Trigram]) -> None:
        number = next(self._numbers)
        self._entries.append((number, role_id, trigrams))
        for trigram in trigrams:
            self._having.setdefault(trigram, {})[number] = role_id
        if len(self._entries) > self._size:
            self._forget(*self._entries.popleft())

    def _forget(self, number: int, _role_id: str, trigrams: frozenset[Trigram]) -> None:
        for trigram in trigrams:
            del self._having[trigram][number]
            if not self._having[trigram]:
                del self._having[trigram]

    def state(self) -> list[tuple[str, list[Trigram]]]:
        """The window as plain data, for checkpoints."""
        return [(role_id, sorted(trigrams)) for _, role_id, trigrams in self._entries]

    def load_state(self, state: Sequence[tuple[str, Sequence[Sequence[str]]]]) -> None:
        """Restore what `state` returned."""
        self._entries.clear()
        self._having.clear()
        for role_id, trigrams in state:
            self._add(role_id, frozenset((first, second, third) for first, second, third in trigrams))
