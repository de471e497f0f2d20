"""A text, taken apart once for all checks: its blocks, sentences, words, and how much in it asks."""

from __future__ import annotations

from functools import cached_property

from recruiter.judges.rubric_judge import wording
from recruiter.judges.rubric_judge.language import FUNCTION_WORDS, sentences, tokens
from recruiter.judges.rubric_judge.layout import read_layout


class Text:
    """A question, taken apart once for all checks."""

    def __init__(self, raw: str) -> None:
        self.whole = raw.strip().replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"')
        self.layout = read_layout(self.whole)
        self.raw = "\n".join(self.layout.blocks)
        self.sentences = [sentence for block in self.layout.blocks for sentence in sentences(block)]
        self.words = tokens(self.raw)
        self.lower = [word.lower() for word in self.words]
        self.content = [word for word in self.lower if word not in FUNCTION_WORDS]

    @cached_property
    def asks_of_sentences(self) -> list[int]:
        """How many things each sentence asks for: inverted questions, and orders such as "Explain ..."."""
        return [len(wording.INVERSION.findall(s)) + len(wording.ORDER.findall(s)) for s in self.sentences]

    @property
    def asks(self) -> int:
        """How many things the text asks for."""
        return sum(self.asks_of_sentences)

    @cached_property
    def prose(self) -> list[str]:
        """The blocks that are no list items."""
        return [block for i, block in enumerate(self.layout.blocks) if i not in self.layout.items]

    @cached_property
    def items(self) -> list[str]:
        """The list items."""
        return [self.layout.blocks[i] for i in sorted(self.layout.items)]

    @property
    def brevity(self) -> float:
        """1 for one or two sentences, 0 for several sentences of context or a list of what to cover."""
        return 1.0 - ramp(len(self.words), 40, 60)

    def stretches(self, blocks: list[str], at_least: int) -> list[str]:
        """Blocks in stretches of whole sentences and so many words, so that sound context hides no bad stretch."""
        found: list[str] = []
        for sentence in (s for block in blocks for s in sentences(block)):
            if found and len(tokens(found[-1])) < at_least and len(tokens(sentence)) < at_least:
                found[-1] += "\n" + sentence
            else:
                found.append(sentence)
        return [stretch for stretch in found if len(tokens(stretch)) >= at_least]

    @property
    def has_scenario(self) -> bool:
        """True if the text opens with a situation or with one task, which what is asked later is then about."""
        first_ask = next((i for i, asks in enumerate(self.asks_of_sentences) if asks), 0)
        situation = any(len(tokens(sentence)) >= 6 for sentence in self.sentences[:first_ask])
        opening = self.sentences[first_ask] if self.sentences else ""
        task = self.asks == 0 or (self.asks_of_sentences[first_ask] == 1 and bool(wording.ORDER.match(opening)))
        return situation or (task and len(tokens(opening)) >= 10)


def function_share(words: list[str]) -> float:
    """Share of function words: about 0.35 to 0.6 in prose, far less in a list of terms."""
    return sum(word.lower() in FUNCTION_WORDS for word in words) / max(1, len(words))


def ramp(value: float, start: float, end: float) -> float:
    """0 at `start`, 1 at `end`, straight in between, flat outside."""
    return min(1.0, max(0.0, (value - start) / (end - start)))
