"""Words: how the rubric judge reads text. Tokens, stems, and the closed classes of English that hold a sentence together.

A stem here only has to bring the forms of one technical word together ("idempotent", "idempotency"), not to be a root
that a linguist would accept.
"""

from __future__ import annotations

import re
from functools import lru_cache

WORD = re.compile(r"\.NET\b|[A-Za-z0-9](?:[A-Za-z0-9+#'_/.:-]*[A-Za-z0-9+#])?", re.ASCII)
SENTENCE_END = re.compile(r"(?<=[.?!])[\"')\]]*\s+(?=[\"'(]?[A-Z0-9])")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = _words("a an the your our their its my every")
DEMONSTRATIVES = _words("this these those that each")
# Prepositions that need an object at once; "look for", "rely on", "cut over" may leave theirs behind.
BOUND_PREPOSITIONS = _words("of into onto without within per via among during upon between")
LOOSE_PREPOSITIONS = _words("in on at by for with from across under over through against toward towards about around")
PREPOSITIONS = BOUND_PREPOSITIONS | LOOSE_PREPOSITIONS
# "in under 200 ms", "from within", "for over an hour"
SECOND_PREPOSITIONS = _words("over under within between across about around")
MODALS = _words("would should could can will must might may cannot can't won't")
FINITE = _words("is are was were has does did isn't aren't wasn't doesn't didn't hasn't")
AUXILIARIES = FINITE | _words("be been being have had do having")
SUBJECTS = _words("i he she we they")
PRONOUNS = SUBJECTS | _words("you it me him us them")
CONJUNCTIONS = _words("and or but nor")
QUESTION_WORDS = _words("how what which why when where who whose")
OTHER_FUNCTION_WORDS = _words(
    "to not no as if so than then that there here after before since until while because although though unless once "
    "whether both either neither all any some such more most less least few much many other another same own only also "
    "still yet just even very too ever never always often again back up down out off above below near like one two "
    "three first next last however therefore instead rather his her hers yours ours theirs itself yourself themselves "
    "without despite except besides along behind beyond inside outside being having it's you're they're we're you'd "
    "don't let's shouldn't wouldn't couldn't haven't that's what's there's"
)
FUNCTION_WORDS = (
    ARTICLES | DEMONSTRATIVES | PREPOSITIONS | MODALS | AUXILIARIES | PRONOUNS | CONJUNCTIONS | QUESTION_WORDS
    | OTHER_FUNCTION_WORDS
)  # fmt: skip

_SUFFIXES = (
    ("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ss", "ss"), ("us", "us"), ("is", "is"),
    ("s", ""),
)  # fmt: skip
_ENDINGS = (
    ("iations", ""), ("iation", ""), ("ization", "iz"), ("isation", "iz"), ("ations", ""), ("ation", ""), ("tion", "t"),
    ("sion", "s"), ("ement", ""), ("ment", ""), ("ency", "en"), ("ent", "en"), ("ancy", "an"), ("ability", ""), ("able", ""),
    ("ibility", ""), ("ible", ""), ("ically", ""), ("ical", ""), ("ing", ""), ("ied", "y"), ("ed", ""), ("ness", ""),
    ("ure", ""), ("ise", "iz"), ("ize", "iz"), ("ate", ""), ("er", ""), ("or", ""), ("ly", ""), ("al", ""), ("ity", ""),
)  # fmt: skip


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Bring the forms of a technical word together: "retries", "retrying" -> "retry"; "idempotency" -> "idempoten"."""
    word = word.lower().removesuffix("'s")
    if len(word) <= 3 or not word.isalpha():
        return word
    for suffix, replacement in _SUFFIXES:
        if word.endswith(suffix):
            word = word[: len(word) - len(suffix)] + replacement
            break
    for _ in range(2):  # "partitioning" loses "ing", then "ion"
        for suffix, replacement in _ENDINGS:
            if word.endswith(suffix) and len(word) - len(suffix) + len(replacement) >= 4:
                word = word[: len(word) - len(suffix)] + replacement
                break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "sl":
        word = word[:-1]
    return word.rstrip("e") if len(word) > 4 else word


def tokens(text: str) -> list[str]:
    """The words of `text` in their case, without punctuation; names such as "Node.js", "C++", ".NET" stay whole."""
    return WORD.findall(text)


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order."""
    return [part for part in SENTENCE_END.split(text.strip()) if part.strip()]


def stem_phrase(text: str) -> tuple[str, ...]:
    """A phrase as the stems of its words, hyphens opened: "exactly-once delivery" -> ("exact", "once", "deliv")."""
    return tuple(stem(piece) for word in tokens(text) for piece in re.split(r"[-/_]", word) if piece)


def phrases(stems: list[str] | tuple[str, ...], longest: int = 3) -> set[tuple[str, ...]]:
    """Every run of one to `longest` stems."""
    return {tuple(stems[i : i + n]) for n in range(1, longest + 1) for i in range(len(stems) - n + 1)}
