"""Language: words, stems, how English goes on from one word to the next, and whether engineering words make sense.

A stem only has to bring the forms of one technical word together ("idempotent", "idempotency"). The grammar is a table
of which word class follows which (`language.json`): shuffled words and word salad go on in ways that prose does not.
The rules of sense catch grammatical nonsense: a property such as latency does not act and is not handled like a thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

WORD = re.compile(r"\.NET\b|[A-Za-z0-9](?:[A-Za-z0-9+#'_/.:-]*[A-Za-z0-9+#])?", re.ASCII)
_WORD_OR_MARK = re.compile(WORD.pattern + r"|[,.?!:;]", re.ASCII)
_SENTENCE_END = re.compile(r"(?<=[.?!])[\"')\]]*\s+(?=[\"'(]?[A-Z0-9])")


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written as one string."""
    return frozenset(text.split())


ARTICLES = word_set("a an the your our their its my every")
FUNCTION_WORDS = ARTICLES | word_set(
    "this these those that each of into onto without within per via among during upon between in on at by for with "
    "from across under over through against toward towards about around would should could can will must might may "
    "cannot can't won't is are was were has does did isn't aren't wasn't doesn't didn't hasn't be been being have "
    "had do having i he she we they you it me him us them and or but nor how what which why when where who whose to "
    "not no as if so than then there here after before since until while because although though unless once "
    "whether both either neither all any some such more most less least few much many other another same own only "
    "also still yet just even very too ever never always often again back up down out off above below near like one "
    "two three first next last however therefore instead rather his her hers yours ours theirs itself yourself "
    "themselves despite except besides along behind beyond inside outside it's you're they're we're you'd don't "
    "let's shouldn't wouldn't couldn't haven't that's what's there's"
)

_AUXILIARIES = word_set("would should could can do did will might must")
_CONTRACTIONS = {"d": "would", "ll": "will", "ve": "have", "re": "are"}
_CONTRACTED = re.compile(r"(?<=[A-Za-z])'(d|ll|ve|re)\b", re.IGNORECASE)
# Examples in brackets stand outside the sentence, and these abbreviations do not end one.
_EXAMPLES = re.compile(r"\s*\((?:e\.g\.|i\.e\.)[^()]{0,90}\)|\b(?:e\.g\.|i\.e\.|etc\.|vs\.),?")
_SUBJECTS = word_set("you we they")
_ADVERBS = word_set(
    "not also then even still rather first actually now ever never always only just instead both all either then"
)

_PLURALS = (
    ("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ss", "ss"), ("us", "us"),
    ("is", "is"), ("s", ""),
)  # fmt: skip
_ENDINGS = (
    ("iations", ""), ("iation", ""), ("ization", "iz"), ("isation", "iz"), ("ations", ""), ("ation", ""), ("tion", "t"),
    ("sion", "s"), ("ement", ""), ("ment", ""), ("ency", "en"), ("ent", "en"), ("ancy", "an"), ("ability", ""),
    ("able", ""), ("ibility", ""), ("ible", ""), ("ically", ""), ("ical", ""), ("ing", ""), ("ied", "y"), ("ed", ""),
    ("ness", ""), ("ure", ""), ("ise", "iz"), ("ize", "iz"), ("ate", ""), ("er", ""), ("or", ""), ("ly", ""),
    ("al", ""), ("ity", ""),
)  # fmt: skip
# Words that would fall together with others of another meaning ("lead a team", "the leader's lease").
_KEPT = {"leader": "leader", "leaders": "leader", "ordering": "ordering", "server": "server", "servers": "server"}


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Bring the forms of a technical word together: "retries", "retrying" -> "retry"; "idempotency" -> "idempoten"."""
    word = word.lower().removesuffix("'s")
    if len(word) <= 3 or not word.isalpha() or word in _KEPT:
        return _KEPT.get(word, word)
    word = _replace_ending(word, _PLURALS, shortest=2)
    for _ in range(2):  # "partitioning" loses "ing", then "ion"
        word = _replace_ending(word, _ENDINGS, shortest=4)
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "sl":
        word = word[:-1]
    return word.rstrip("e") if len(word) > 4 else word


def _replace_ending(word: str, endings: tuple[tuple[str, str], ...], shortest: int) -> str:
    """Replace the first ending that fits and leaves at least `shortest` letters."""
    for ending, replacement in endings:
        if word.endswith(ending) and len(word) - len(ending) + len(replacement) >= shortest:
            return word[: len(word) - len(ending)] + replacement
    return word


def tokens(text: str) -> list[str]:
    """The words of `text` in their case, without punctuation; names such as "Node.js", "C++", ".NET" stay whole."""
    return WORD.findall(text)


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part.strip()]


def stem_phrase(text: str) -> tuple[str, ...]:
    """A phrase as the stems of its words, hyphens opened: "exactly-once delivery" -> ("exact", "once", "deliv")."""
    return tuple(stem(piece) for word in tokens(text) for piece in re.split(r"[-/_]", word) if piece)


def phrases(stems: tuple[str, ...], longest: int = 3) -> set[tuple[str, ...]]:
    """Every run of one to `longest` stems."""
    return {stems[i : i + n] for n in range(1, longest + 1) for i in range(len(stems) - n + 1)}


class Language:
    """The tables of `language.json`."""

    def __init__(self) -> None:
        data = json.loads(Path(__file__).with_name("language.json").read_text(encoding="utf-8"))
        self._class_of = {word: name for name, listed in data["classes"].items() for word in listed.split()}
        self._follows: dict[str, dict[str, float]] = data["follows"]
        sense = data["sense"]
        self._properties, self._events = word_set(sense["properties"]), word_set(sense["events"])
        self._actions, self._things, self._acts_on = (word_set(sense[key]) for key in ("actions", "things", "acts_on"))
        self._handling = frozenset(map(stem, sense["handling"].split()))
        self._objects = {stem(v): frozenset(map(stem, nouns.split())) for v, nouns in sense["objects"].items()}

    def transitions(self, text: str) -> list[tuple[float, str]]:
        """Each step from one word to the next: how usual it is (log2, chance is 0, from -9 to 5), and the two words."""
        steps: list[tuple[float, str]] = []
        before, before_word = "<s>", ""
        for word in _WORD_OR_MARK.findall(_CONTRACTED.sub(_whole_words, _EXAMPLES.sub("", text))):
            here = self._symbol(word, before)
            follows = self._follows.get(before, {"*": -2.0})
            steps.append((follows.get(here, follows["*"]), f"{before_word} {word}".strip()))
            before, before_word = ("<s>", "") if here in {".", "?"} else (here, word)
        return steps

    def _symbol(self, word: str, before: str) -> str:
        lower = word.lower()
        if word in ".!?":
            return "?" if word == "?" else "."
        if word in ",:;":
            return "," if word == "," else ":"
        if lower in FUNCTION_WORDS:
            return lower
        if lower.endswith(("'s", "s'")):
            return "'s"
        if lower[0].isdigit():
            return "#"
        known: str | None = self._class_of.get(lower) or self._class_of.get(lower.rsplit("-", 1)[-1])
        if known:
            return known
        if word[0].isupper() and before != "<s>":
            return "NAME"
        return "?" + next((ending for ending in ("ing", "ed", "ly", "s") if lower.endswith(ending)), "")

    def oddities(self, text: str) -> Iterator[str]:
        """Word groups that make no sense, as they stand in `text`."""
        rules = (
            self._no_verb,
            self._handled_property,
            self._acting_property,
            self._owned_by_event,
            self._done_by_property,
        )
        for part in re.split(r"[,;:?!.()\"]+(?:\s|$)", text):
            words = tokens(part)
            lower = [word.lower() for word in words]
            for i in range(len(lower) - 1):
                if end := next((end for rule in rules if (end := rule(lower, i))), 0):
                    yield " ".join(words[i:end])

    def _no_verb(self, lower: list[str], i: int) -> int:
        """End of "would you metadata" at `i`, or 0: after an auxiliary and its subject there must be a verb."""
        if lower[i] not in _AUXILIARIES or lower[i + 1] not in _SUBJECTS:
            return 0
        end = next((j for j in range(i + 2, len(lower)) if lower[j] not in _ADVERBS and not lower[j].endswith("ly")), 0)
        if not end:
            return 0
        kind = lower[end] if lower[end] in FUNCTION_WORDS else self._class_of.get(lower[end], "V")
        is_verb = kind in {"be", "have", "do", "like", "back"} or (kind not in FUNCTION_WORDS and "V" in kind)
        return 0 if is_verb else end + 1

    def _handled_property(self, lower: list[str], i: int) -> int:
        """End of "cache the throughput", "rotate the session" at `i`, or 0."""
        verb = stem(lower[i])
        is_noun = i == 0 or lower[i - 1] in ARTICLES or lower[i - 1] in {"of", "each", "this", "that", "per"}
        if is_noun or lower[i + 1] not in ARTICLES or verb not in self._handling:
            return 0
        head, end = _head(lower, i + 1)
        wrong_object = verb in self._objects and head and stem(head) not in self._objects[verb]
        return end if head in self._properties or wrong_object else 0

    def _acting_property(self, lower: list[str], i: int) -> int:
        """End of "the trade-off fails", "the logout scales", "consistency doesn't rank" at `i`, or 0."""
        if lower[i] not in self._properties and lower[i] not in self._events:
            return 0
        if lower[i + 1] in {"doesn't", "don't"} and i + 2 < len(lower):
            return i + 3 if stem(lower[i + 2]) in self._handling else 0
        ends_clause = i + 2 == len(lower) or lower[i + 2] in FUNCTION_WORDS
        possible = lower[i] in self._events and lower[i + 1] == "fails"
        return i + 2 if ends_clause and lower[i + 1] in self._actions and not possible else 0

    def _owned_by_event(self, lower: list[str], i: int) -> int:
        """End of "lease of the starvation", "bottleneck of the throughput" at `i`, or 0."""
        if lower[i + 1] != "of" or i + 2 >= len(lower) or lower[i + 2] not in ARTICLES or lower[i] in FUNCTION_WORDS:
            return 0
        head, end = _head(lower, i + 2)
        of_property = lower[i] in self._properties and head in self._properties
        of_event = lower[i] in self._things and head in self._events
        return end if end - i <= 4 and (of_property or of_event) else 0

    def _done_by_property(self, lower: list[str], i: int) -> int:
        """End of "claimed by only one trade-off", "coded by a durable outage" at `i`, or 0."""
        if lower[i + 1] != "by" or lower[i] not in self._acts_on:
            return 0
        head, end = _head(lower, i + 2)
        return end if head in self._properties or head in self._events else 0


def _whole_words(contracted: re.Match[str]) -> str:
    return " " + _CONTRACTIONS[contracted.group(1).lower()]


@lru_cache(maxsize=1)
def language() -> Language:
    """The tables, read at first use."""
    return Language()


def _head(lower: list[str], start: int) -> tuple[str, int]:
    """The last word of the noun group at `start` ("the old latency" -> "latency"), and where it ends."""
    while start < len(lower) and (lower[start] in ARTICLES or lower[start] in {"only", "one", "this", "that", "any"}):
        start += 1
    end = start
    while end < len(lower) and end - start < 4 and lower[end] not in FUNCTION_WORDS:
        end += 1
    return (lower[end - 1], end) if end > start else ("", start)
