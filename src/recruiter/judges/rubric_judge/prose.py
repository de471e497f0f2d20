"""Prose: is a text one sound question in natural language, or something that only looks like it?

Each check looks for one defect and says how bad it is (0 to 1) and where. The checks know nothing of scores; what a
defect costs stands in `recruiter.rubric` and `rubric_judge`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from recruiter.judges.rubric_judge import wording
from recruiter.judges.rubric_judge.language import FUNCTION_WORDS, language, sentences, stem, tokens, word_set
from recruiter.rubric import load_rubric


@dataclass(frozen=True)
class Defect:
    """One red flag found in a text: its name in the rubric, how severe it is (0 to 1), and what was seen."""

    flag: str
    severity: float
    detail: str


class Text:
    """A question, taken apart once for all checks."""

    def __init__(self, raw: str) -> None:
        self.raw = raw.strip().replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"')
        self.sentences = sentences(self.raw)
        self.words = tokens(self.raw)
        self.lower = [word.lower() for word in self.words]
        self.content = [word for word in self.lower if word not in FUNCTION_WORDS]

    @cached_property
    def asks(self) -> int:
        """How many things the text asks for: inverted questions, and orders such as "Explain ..."."""
        return sum(len(wording.INVERSION.findall(s)) + len(wording.ORDER.findall(s)) for s in self.sentences)

    @property
    def function_share(self) -> float:
        """Share of function words: about 0.35 to 0.6 in prose, far less in a list of terms."""
        return 1.0 - len(self.content) / max(1, len(self.lower))


def ramp(value: float, start: float, end: float) -> float:
    """0 at `start`, 1 at `end`, straight in between, flat outside."""
    return min(1.0, max(0.0, (value - start) / (end - start)))


NO_LAST_WORDS = word_set("a an the your our their its my every of into onto without per via and or but to than if as")
# A sentence that starts with a small letter; "e.g." and "vs." are no ends.
FRAGMENT = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\betc)[.?]\s+[a-z][a-z]+")


def check_broken(text: Text) -> Iterator[Defect]:
    """Nothing there, cut off, a placeholder left in, or a start in the middle of a sentence."""
    raw = text.raw
    if len(text.words) < 4:
        yield Defect("broken", 1.0, "there is no whole sentence")
        return
    bare = raw.rstrip("\"')]*` ")
    if not bare or bare[-1] not in ".?!":
        yield Defect("broken", 1.0, f"it stops at '{raw[-20:]}' without an ending")
    for words in filter(None, map(tokens, text.sentences)):
        if words[-1].lower() in NO_LAST_WORDS:
            yield Defect("broken", 1.0, f"a sentence ends on '{words[-1]}'")
    if re.search(r"[.,;:]\s*\?|\?\s*[.,;:]|,\s*[.,]", raw):
        yield Defect("broken", 0.7, "marks stand side by side")
    if bare.endswith(("...", "..")):
        yield Defect("broken", 0.8, "it trails off")
    if wording.PLACEHOLDER.search(raw):
        yield Defect("broken", 1.0, "a placeholder was left in")
    if raw[0].islower() and not re.match(r"[a-z]+[A-Z0-9./_]|[a-z]\w*\(", raw):
        yield Defect("broken", 0.6, "it starts in the middle of a sentence")
    if raw.count("(") != raw.count(")") or raw.count('"') % 2:
        yield Defect("broken", 0.4, "a bracket or quotation mark is not closed")
    if fragments := [s for s in text.sentences if len(tokens(s)) < 3] + FRAGMENT.findall(raw):
        yield Defect("broken", min(1.0, 0.6 * len(fragments)), f"'{fragments[0]}' is no sentence")
    strange = sum(1 for c in raw if not (c.isascii() or (c.isalpha() and c < "ɐ") or c in "–—…µ€£×≥≤°§"))
    if strange > 0.02 * len(raw):
        yield Defect("broken", ramp(strange / len(raw), 0.0, 0.15), "it has characters that are no English prose")
    if any(len(word) > 32 for word in text.words):
        yield Defect("broken", 0.7, "it has a word of more than 32 letters")
    if sum(1 for word in text.words if word.isupper() and len(word) > 1) > 0.5 * len(text.words):
        yield Defect("broken", 0.7, "it is written in capitals")


def check_asks_nothing(text: Text) -> Iterator[Defect]:
    """A text that neither asks nor orders is no question, whatever mark it ends in."""
    if text.words and not text.asks and not wording.YES_NO.search(text.raw):
        yield Defect("broken", 1.0, "it asks nothing")


def check_bundled(text: Text) -> Iterator[Defect]:
    """Several questions in one. Two linked halves ("how ..., and why ...") are still one question."""
    marks = text.raw.count("?")
    numbered = len(wording.NUMBERED.findall(text.raw))
    asks = text.asks + len(wording.ADDED_ASK.findall(text.raw))
    severity = max(ramp(marks, 1, 2.5), ramp(asks, 2, 4), ramp(numbered, 1, 3))
    if severity:
        yield Defect("bundled", severity, f"it asks {max(marks, asks, numbered)} things")


def check_length(text: Text) -> Iterator[Defect]:
    """Too long to read at once, or too short to set up a problem."""
    count = len(text.words)
    if count > 65:
        yield Defect("too_broad", ramp(count, 65, 110), f"it takes {count} words")
    longest = max((len(tokens(s)) for s in text.sentences), default=0)
    if longest > 42:
        yield Defect("unnatural", 0.5 * ramp(longest, 42, 80), f"one sentence runs to {longest} words")


def check_too_broad(text: Text) -> Iterator[Defect]:
    """A whole system to be designed, or a list of subjects to be covered."""
    design = wording.BROAD_DESIGN.search(text.raw)
    words = wording.BROAD_SCOPE.search(text.raw)
    listed = max((len(m.group().split(", ")) for m in wording.LISTED_THINGS.finditer(text.raw)), default=0)
    severity = 0.5 * bool(design) + 0.9 * bool(words) + 0.7 * ramp(listed, 3, 6)
    if severity:
        found = words or design
        seen = found.group() if found else f"a list of {listed} subjects"
        yield Defect("too_broad", min(1.0, severity), f"'{seen}'")


def check_repeated(text: Text) -> Iterator[Defect]:
    """The same words again: repeated runs of three words, sentences that say the same, one word over and over."""
    trigrams = Counter(zip(text.lower, text.lower[1:], text.lower[2:], strict=False))
    again = sum(n - 1 for n in trigrams.values() if n > 1)
    if again:
        share = again / max(1, len(text.lower) - 2)
        yield Defect("repeated", max(ramp(share, 0.02, 0.15), 0.25 * (again > 1)), "runs of words come more than once")
    if double := [a for a, b in zip(text.lower, text.lower[1:], strict=False) if a == b and a not in {"that", "had"}]:
        yield Defect("repeated", 1.0, f"'{double[0]} {double[0]}'")
    if again_after_and := re.search(r"\b(\w{4,}) (?:and|or) \1\b", text.raw, re.IGNORECASE):
        yield Defect("repeated", 1.0, f"'{again_after_and.group()}'")
    bags = [frozenset(map(stem, tokens(s))) for s in text.sentences]
    for i, one in enumerate(bags):
        if any(len(one) > 4 and len(one & other) > 0.6 * len(one | other) for other in bags[:i]):
            yield Defect("repeated", 1.0, "two sentences say the same")
            break
    word, count = Counter(map(stem, text.content)).most_common(1)[0] if text.content else ("", 0)
    if count > 3:
        yield Defect("repeated", ramp(count, 3, 6), f"'{word}' comes {count} times")


def check_extra_text(text: Text) -> Iterator[Defect]:
    """A greeting, a label, an answer, notes or markup around the question."""
    for pattern, detail in (
        (wording.CHAT, "it opens with '{}'"),
        (wording.NOTES, "it holds '{}'"),
        (wording.MARKUP, "it holds markup or several lines"),
    ):
        if found := pattern.search(text.raw):
            yield Defect("extra_text", 1.0, detail.format(found.group().strip()[:30]))
    last_mark = text.raw.rfind("?")
    rest = text.raw[last_mark + 1 :].strip("\"')] \n")
    if last_mark >= 0 and rest and not wording.TRAILING_ORDER.match(rest):
        yield Defect("extra_text", ramp(len(rest.split()), 0, 8), "text follows the question")


def check_manipulation(text: Text) -> Iterator[Defect]:
    """Text that speaks to the judge instead of the candidate."""
    if found := wording.manipulation(load_rubric().names).search(text.raw):
        yield Defect("manipulation", 1.0, f"'{found.group().strip()[:30]}'")


def check_word_list(text: Text) -> Iterator[Defect]:
    """Few function words, many commas, long runs of content words: terms, not sentences."""
    if len(text.words) >= 4 and text.function_share < 0.32:
        share = text.function_share
        yield Defect(
            "unnatural", ramp(0.32 - share, 0.0, 0.12), f"only {share:.0%} of its words hold sentences together"
        )
    run = longest = 0
    for word in re.findall(r"[\w'./+#-]+|[,;:?!()\"]", text.raw):
        run = 0 if not word[0].isalnum() or word.lower() in FUNCTION_WORDS else run + 1
        longest = max(longest, run)
    if longest > 7:
        yield Defect("unnatural", ramp(longest, 7, 11), f"{longest} content words stand in a row")
    commas = max((s.count(",") for s in text.sentences), default=0)
    if commas > 3:
        yield Defect("unnatural", 0.7 * ramp(commas, 3, 6), f"one sentence has {commas} commas")


def check_word_order(text: Text) -> Iterator[Defect]:
    """Words in an order that English does not have: shuffled, or thrown together."""
    steps = language().transitions(text.raw)
    if len(steps) < 4:
        return
    usual = sum(ratio for ratio, _ in steps) / len(steps)
    rare = sum(ratio < -2.0 for ratio, _ in steps) / len(steps)
    severity = max(1.0 - ramp(usual, -0.4, 0.05), ramp(rare, 0.18, 0.3))
    if severity:
        oddest = [pair for ratio, pair in sorted(steps) if " " in pair][:2]
        yield Defect("unnatural", severity, f"words follow each other as in {' and '.join(map(repr, oddest))}")


def check_chain(text: Text) -> Iterator[Defect]:
    """Clauses strung together until nobody can tell what is asked."""
    chained = max((len(wording.CHAINED.findall(s)) for s in text.sentences), default=0)
    if chained > 2:
        yield Defect("unnatural", ramp(chained, 2, 5), f"one sentence chains {chained} side clauses")


def check_address(text: Text) -> Iterator[Defect]:
    """A screening question is put to the candidate, not asked on one's own behalf."""
    if found := wording.ASKS_FOR_ITSELF.search(text.raw):
        yield Defect("unnatural", 0.6, f"'{found.group()}' is not put to the candidate")


def check_sense(text: Text) -> Iterator[Defect]:
    """Terms combined into nonsense."""
    odd = list(language().oddities(text.raw))
    if odd:
        yield Defect("unnatural", ramp(len(odd), 0, 1.15), f"'{odd[0]}' makes no sense")


COPIED_RUN = 5


def runs(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of words in `text` that is long enough to count as copied."""
    return frozenset(_windows([word.lower() for word in tokens(text)]))


def check_copied(text: Text, source: frozenset[tuple[str, ...]]) -> Iterator[Defect]:
    """Verbatim runs of `source`, the `runs` of what the generator was shown."""
    covered = [False] * len(text.lower)
    for i, window in enumerate(_windows(text.lower)):
        if window in source:
            covered[i : i + COPIED_RUN] = [True] * COPIED_RUN
    share = sum(covered) / max(1, len(covered))
    if share:
        yield Defect("copied", ramp(share, 0.15, 0.5), f"{share:.0%} of its words are runs of the role's text")


def _windows(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + COPIED_RUN]) for i in range(len(words) - COPIED_RUN + 1)]


CHECKS: tuple[Callable[[Text], Iterator[Defect]], ...] = (
    check_broken, check_asks_nothing, check_bundled, check_length, check_too_broad, check_repeated, check_extra_text,
    check_manipulation, check_word_list, check_word_order, check_chain, check_address,
    check_sense,
)  # fmt: skip
