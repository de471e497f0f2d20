"""Checks: is a text one sound question in natural language, or something that only looks like it?

Each check looks for one defect and says how bad it is (0 to 1) and where. The checks know nothing of scores; what a
defect costs stands in `recruiter.rubric` and `rubric_judge`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from recruiter.judges.rubric_judge import wording
from recruiter.judges.rubric_judge.language import FUNCTION_WORDS, language, sentences, stem, tokens, word_set
from recruiter.judges.rubric_judge.text import Text, function_share, ramp
from recruiter.rubric import load_rubric


@dataclass(frozen=True)
class Defect:
    """One red flag found in a text: its name in the rubric, how severe it is (0 to 1), and what was seen.

    What spoils a text takes from all criteria; what doesn't, such as layout or length, costs the points of its red flag
    alone. `spoils` is the share of the severity that spoils.
    """

    flag: str
    severity: float
    detail: str
    spoils: float = 1.0


POINTS_BACK = word_set("it its this these they them that those such here")
NO_LAST_WORDS = word_set("a an the your our their its my every and or but than if as")
# Nor can a text end on these without a mark.
NO_LAST_WORDS_OF_ALL = word_set(
    "you we they i he she which what how when where why so because while although do does did is are was were has have "
    "can could would should will must might may that"
)
_ENDS_ON_PREPOSITION = re.compile(r"\b(?:of|into|onto|without|per|via|to)\W*\Z(?<!\?)")
# What may stand alone: a note in brackets ("(2-3 sentences)") or a short order ("Be specific.").
_ASIDE = re.compile(rf"\(|{wording.TRAILING_ORDER.pattern}", re.IGNORECASE)
_ASIDE_AT_END = re.compile(r"([.?!][\"')*]*)\s*\([^()]*\)\Z")
# Words with letters that English lacks, but for names (capital) and the loan words that engineers write.
FOREIGN = re.compile(r"\b(?!na[iï]ve|caf[eé]|fa[cç]ade|clich[eé]|r[eé]sum[eé]|d[eé]cor)[a-z]*[à-öø-ÿ][a-zà-öø-ÿ]*\b")
# A sentence that starts with a small letter; "e.g." and "vs." are no ends.
FRAGMENT = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\betc)[.?]\s+[a-z][a-z]+")


def check_broken(text: Text) -> Iterator[Defect]:
    """Nothing there, cut off, a placeholder left in, or a start in the middle of a sentence."""
    raw = text.raw
    if len(text.words) < 4:
        yield Defect("broken", 1.0, "there is no whole sentence")
        return
    layout = text.layout
    ended = [s for block in text.prose for s in sentences(block)] + text.sentences[-1:]
    bare = _ASIDE_AT_END.sub(r"\1", raw).rstrip("\"')]*` ")
    ends_in_layout = layout.ends_in_code or len(layout.blocks) - 1 in layout.items
    if not bare.endswith((".", "?", "!")) and not (ends_in_layout and (not layout.ends_in_code or bare.endswith(":"))):
        yield Defect("broken", 1.0, f"it stops at '{raw[-20:]}' without an ending")
    # The items of a list may end on "and", and what introduces a list or code on anything.
    for words in (tokens(s) for s in ended if s[-1] != ":"):
        if words and words[-1].lower() in NO_LAST_WORDS and not words[-1].isupper():
            yield Defect("broken", 1.0, f"a sentence ends on '{words[-1]}'")
    if raw[-1].isalpha() and text.lower[-1] in NO_LAST_WORDS_OF_ALL:
        yield Defect("broken", 1.0, f"it stops at '{raw[-20:]}'")
    if _ENDS_ON_PREPOSITION.search(raw) and not ends_in_layout:
        yield Defect("broken", 1.0, "it ends on a preposition")
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
    # What stands right before a list needs its items to be a sentence.
    whole = [block for i, block in enumerate(layout.blocks) if not {i, i + 1} & layout.items]
    short = [
        s for block in whole for s in sentences(block) if len(tokens(s)) < 3 and s[-1] != ":" and not _ASIDE.match(s)
    ]
    if fragments := short + [found for block in text.prose for found in FRAGMENT.findall(block)]:
        yield Defect("broken", min(1.0, 0.6 * len(fragments)), f"'{fragments[0]}' is no sentence")
    strange = sum(1 for c in raw if not (c.isascii() or (c.isalpha() and c < "ɐ") or c in "–—−-→…µ€£×≈≥≤°§"))
    if strange > 0.02 * len(raw):
        yield Defect("broken", ramp(strange / len(raw), 0.0, 0.15), "it has characters that are no English prose")
    if foreign := FOREIGN.search(raw):
        yield Defect("broken", 0.7, f"'{foreign.group()}' is no English word")
    if any(len(word) > 32 for word in text.words if word.isalpha()):
        yield Defect("broken", 0.7, "it has a word of more than 32 letters")
    if sum(1 for word in text.words if word.isupper() and len(word) > 1) > 0.5 * len(text.words):
        yield Defect("broken", 0.7, "it is written in capitals")


def check_asks_nothing(text: Text) -> Iterator[Defect]:
    """A text that neither asks nor orders is no question, whatever mark it ends in."""
    if text.words and not text.asks and not wording.YES_NO.search(text.raw):
        yield Defect("broken", 1.0, "it asks nothing")


def check_bundled(text: Text, names_a_subject: Callable[[str], bool]) -> Iterator[Defect]:
    """Several questions in one. Two linked halves ("how ..., and why ...") are still one question.

    Sub-questions of one scenario cost points; what spoils a text is several asks that each name a subject of their own
    (`names_a_subject`) and take up no word of what stands before them.
    """
    marks = text.raw.count("?")
    numbered = len(wording.NUMBERED.findall(text.raw))
    asks = text.asks + len(wording.ADDED_ASK.findall(text.raw))
    loose = ramp(_unrelated_asks(text, names_a_subject), 2, 3)
    brief = text.brevity * (0.5 if text.has_scenario else 1.0)
    severity = max(ramp(marks, 1, 2.5), ramp(asks, 2, 4), ramp(numbered, 1, 3)) * max(loose, brief)
    severity = max(severity, loose, 0.4 * ramp(marks, 2, 5), 0.4 * ramp(asks, 3, 8))
    if severity:
        seen = f"it asks {max(marks, asks, numbered)} things"
        yield Defect("bundled", severity, seen, spoils=max(loose, 0.5 * brief))


def _unrelated_asks(text: Text, names_a_subject: Callable[[str], bool]) -> int:
    """How many asks, each of them a sentence or a clause, are about a subject that nothing before them is about."""
    count, seen = 0, frozenset[str]()
    for sentence in text.sentences:
        for clause in wording.NEXT_ASK.split(sentence):
            words = [word.lower() for word in tokens(clause)]
            bag = frozenset(stem(word) for word in words if word not in FUNCTION_WORDS)
            asks = wording.INVERSION.search(clause) or wording.ORDER.search(clause)
            if asks and not (seen & bag or POINTS_BACK & set(words)) and names_a_subject(clause):
                count += 1
            seen |= bag
    return count


def check_length(text: Text) -> Iterator[Defect]:
    """Too long to read at once, or too short to set up a problem."""
    count = len(text.words)
    if count > 65:
        yield Defect("too_broad", ramp(count, 65, 250), f"it takes {count} words", spoils=0.0)
    longest = max((len(tokens(_PARENTHESIS.sub("", s))) for s in text.sentences), default=0)
    if longest > 42:
        severity = 0.5 * ramp(longest, 42, 80)
        yield Defect("unnatural", severity, f"one sentence runs to {longest} words", spoils=text.brevity)


def check_too_broad(text: Text) -> Iterator[Defect]:
    """A whole system to be designed, or a list of subjects to be covered."""
    design = wording.BROAD_DESIGN.search(text.raw)
    words = wording.BROAD_SCOPE.search(text.raw)
    listed = max((len(m.group().split(", ")) for m in wording.LISTED_THINGS.finditer(text.raw)), default=0)
    severity = 0.4 * bool(design) + 0.9 * bool(words) + 0.7 * ramp(listed, 3, 6)
    if severity:
        found = words or design
        seen = found.group() if found else f"a list of {listed} subjects"
        yield Defect("too_broad", min(1.0, severity), f"'{seen}'", spoils=max(text.brevity, 0.7 * bool(words)))
    if (demands := len(wording.DEMAND.findall(text.raw))) > 1:
        yield Defect("too_broad", 0.7 * ramp(demands, 1, 6), f"it makes {demands} demands", spoils=0.0)
    if wording.BUILD_ORDER.match(text.raw) and not wording.ASKS_TO_EXPLAIN.search(text.raw):
        yield Defect("too_broad", 1.0, "it orders a thing to be built and asks for no explanation", spoils=0.3)


def check_repeated(text: Text) -> Iterator[Defect]:
    """The same words again: repeated runs of three words, sentences that say the same, one word over and over."""
    trigrams = Counter(zip(text.lower, text.lower[1:], text.lower[2:], strict=False))
    # In a long text runs such as "how you would" come again; in one or two sentences each repeated run is one too many.
    again = sum(
        n - 1
        for run, n in trigrams.items()
        if n > 1 and (text.brevity > 0.5 or sum(word not in FUNCTION_WORDS for word in run) > 1)
    )
    if again:
        share = again / max(1, len(text.lower) - 2)
        severity = max(ramp(share, 0.02, 0.15), ramp(again, 2, 6), 0.25 * (again > 1) * text.brevity)
        yield Defect("repeated", severity, "runs of words come more than once")
    if double := re.search(r"\b(?!that\b|had\b)(\w+) \1\b", text.raw, re.IGNORECASE):
        yield Defect("repeated", 1.0, f"'{double.group()}'")
    if again_after_and := re.search(r"\b(\w{4,}) (?:and|or) \1\b", text.raw, re.IGNORECASE):
        yield Defect("repeated", 1.0, f"'{again_after_and.group()}'")
    bags = [frozenset(map(stem, tokens(s))) for block in text.prose for s in sentences(block)]
    for i, bag in enumerate(bags):
        if any(min(len(bag), len(other)) > 4 and len(bag & other) > 0.6 * len(bag | other) for other in bags[:i]):
            yield Defect("repeated", 1.0, "two sentences say the same")
            break
    word, count = Counter(map(stem, text.content)).most_common(1)[0] if text.content else ("", 0)
    usual = max(3.0, len(text.words) / 12)
    if count > usual:
        yield Defect("repeated", ramp(count, usual, 2 * usual), f"'{word}' comes {count} times")


def check_extra_text(text: Text) -> Iterator[Defect]:
    """A greeting, a label, an answer, notes or markup around the question."""
    for pattern, detail in (
        (wording.CHAT, "it opens with '{}'"),
        (wording.NOTES, "it holds '{}'"),
        (wording.MARKUP, "it holds the mark '{}'"),
    ):
        if found := pattern.search(text.raw):
            yield Defect("extra_text", 1.0, detail.format(found.group().strip()[:30]))
    if text.layout.notes:
        yield Defect("extra_text", 0.4, f"notes follow it: '{text.layout.notes[:30]}'", spoils=0.0)
    if around := text.layout.taken_off:
        yield Defect("extra_text", 0.1, f"{' and '.join(around)} around it", spoils=0.0)
    last_mark = text.raw.rfind("?")
    rest = text.raw[last_mark + 1 :].strip("\"')] \n")
    if last_mark >= 0 and rest and not wording.TRAILING_ORDER.match(rest):
        yield Defect("extra_text", ramp(len(rest.split()), 0, 8), "text follows the question", spoils=text.brevity)


def check_manipulation(text: Text) -> Iterator[Defect]:
    """Text that speaks to the judge instead of the candidate."""
    criteria = load_rubric().names
    if found := wording.manipulation(criteria).search(text.whole) or wording.labelled(criteria).search(text.raw):
        yield Defect("manipulation", 1.0, f"'{found.group().strip()[:30]}'")


def check_word_list(text: Text) -> Iterator[Defect]:
    """Few function words, many commas, long runs of content words: terms, not sentences."""
    # Lists of what to cover and names of fields need fewer of them than one or two sentences.
    usual = 0.24 + 0.08 * text.brevity
    share = min(function_share(tokens(s)) for s in (text.raw, *text.stretches(text.layout.blocks, 25)))
    if len(text.words) >= 4 and share < usual:
        severity = ramp(usual - share, 0.0, 0.12)
        yield Defect("unnatural", severity, f"only {share:.0%} of its words hold sentences together")
    bare = sum(len(tokens(item)) < 3 for item in text.items)
    if bare > 2:
        yield Defect("unnatural", ramp(bare / len(text.items), 0.3, 0.6), f"its list has {bare} bare terms")
    share = function_share(tokens("\n".join(text.items)))
    if len(text.items) > 2 and share < 0.16:
        severity = ramp(0.16 - share, 0.0, 0.1)
        yield Defect("unnatural", severity, f"only {share:.0%} of the words in its list hold anything together")
    run = longest = 0
    for word in re.findall(r"[\w'./+#-]+|[,;:?!()\"\n]", text.raw):
        run = 0 if not word[0].isalnum() or word.lower() in FUNCTION_WORDS else run + 1
        longest = max(longest, run)
    if longest > 7:
        yield Defect("unnatural", ramp(longest, 7, 11), f"{longest} content words stand in a row")
    commas = max((_PARENTHESIS.sub("", s).count(",") for s in text.sentences), default=0)
    if commas > 3:
        yield Defect(
            "unnatural", 0.7 * ramp(commas, 3, 6), f"one sentence has {commas} commas", spoils=max(text.brevity, 0.6)
        )


def check_word_order(text: Text) -> Iterator[Defect]:
    """Words in an order that English does not have: shuffled, or thrown together."""
    worst, oddest = 0.0, [""]
    # Fragments of sentences in a list go on less like prose than sentences do.
    checked = [(text.raw, 0.0)] + [(stretch, 0.0) for stretch in text.stretches(text.prose, 20)]
    checked += [(stretch, 0.15) for stretch in text.stretches(text.items, 20) + text.stretches(text.prose, 12)]
    for stretch, slack in checked:
        steps = [step for line in stretch.split("\n") for step in language().transitions(line)]
        if len(steps) < 4:
            continue
        usual = sum(ratio for ratio, _ in steps) / len(steps)
        rare = sum(ratio < -2.0 for ratio, _ in steps) / len(steps)
        severity = max(1.0 - ramp(usual, -0.4 - 3 * slack, 0.05 - 3 * slack), ramp(rare, 0.18 + slack, 0.3 + slack))
        if severity > worst:
            worst, oddest = severity, [pair for _, pair in sorted(steps) if " " in pair][:2]
    if worst:
        yield Defect("unnatural", worst, f"words follow each other as in {' and '.join(map(repr, oddest))}")


def check_chain(text: Text) -> Iterator[Defect]:
    """Clauses strung together until nobody can tell what is asked."""
    chained = max((len(wording.CHAINED.findall(s)) for s in text.sentences), default=0)
    if chained > 2:
        yield Defect("unnatural", ramp(chained, 2, 5), f"one sentence chains {chained} side clauses")


def check_nested(text: Text) -> Iterator[Defect]:
    """Terms joined by "of the" again and again."""
    nested = len(wording.NESTED.findall(text.raw))
    if nested > 1:
        yield Defect("unnatural", ramp(nested, 1, 3), f"{nested} times something is of the this of the that")


def check_address(text: Text) -> Iterator[Defect]:
    """A screening question is put to the candidate: it asks neither for oneself nor about somebody else."""
    if found := wording.ASKS_FOR_ITSELF.search(text.raw):
        yield Defect("unnatural", 0.6, f"'{found.group()}' is not put to the candidate")
    if found := wording.THIRD_PERSON.search(text.raw):
        yield Defect("third_person", 1.0, f"'{found.group()}'")


def check_sense(text: Text) -> Iterator[Defect]:
    """Terms combined into nonsense."""
    odd = list(language().oddities(text.raw))
    if odd:
        yield Defect("unnatural", ramp(len(odd), 0, 1.15), f"'{odd[0]}' makes no sense")


_PARENTHESIS = re.compile(r"\([^()]*\)")
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
    check_broken, check_asks_nothing, check_length, check_too_broad, check_repeated, check_extra_text,
    check_manipulation, check_word_list, check_word_order, check_chain, check_nested, check_address,
    check_sense,
)  # fmt: skip
