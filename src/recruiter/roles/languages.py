"""Languages that people hire in: which one a text is in, by its most common words."""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "de", "es", "fr", "zh"]
LANGUAGES: dict[Language, str] = {"en": "English", "de": "German", "es": "Spanish", "fr": "French", "zh": "Chinese"}
# Words that are frequent in one of the languages and rare in the others.
_WORDS: dict[Language, str] = {
    "en": "the and of to you for with is are how would what your when this that be on",
    "de": "und der die das wir sie mit für von den ein eine ist zu im auf als nicht wie du dein ihr bei oder dem welche würden",
    "es": "el los las y que para con una por del se en como su tu al experiencia cómo qué usted es más nuestro lo",
    "fr": "le les et des une pour avec vous dans est du nous en au aux sur votre ou qui notre vos comment quelle sont",
}
_SETS = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_HAN = re.compile(r"[\u4e00-\u9fff]")
WORD_LETTERS = 6  # of a word, by which texts are compared
_HAN_SHARE = 0.15  # of the letters, from which a text is Chinese


def detect_language(text: str) -> Language:
    """The code of a text's language; `en` if it is none of `LANGUAGES` or cannot be told."""
    letters = sum(map(str.isalpha, text))
    if letters and len(_HAN.findall(text)) >= _HAN_SHARE * letters:
        return "zh"
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = {code: sum(word in known for word in words) for code, known in _SETS.items()}
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] > counts["en"] else "en"


def content_words(text: str) -> frozenset[str]:
    """What a text is about, to compare texts by: its words of four letters and more without their endings, its figures, and
    pairs of Chinese signs."""
    words = [word for word in re.findall(r"[^\W_]+", text.lower()) if not _HAN.search(word)]
    kept = {word[:WORD_LETTERS] for word in words if len(word) > 3 or word.isdigit()}
    signs = re.findall(r"[\u4e00-\u9fff]+", text)
    return frozenset(kept | {run[i : i + 2] for run in signs for i in range(max(1, len(run) - 1))})
