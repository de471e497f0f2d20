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

from recruiter.judges.language import FUNCTION_WORDS, language, sentences, stem, stem_phrase, tokens


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
    def stems(self) -> tuple[str, ...]:
        """The stems of all words, hyphens opened."""
        return stem_phrase(self.raw)

    @cached_property
    def asks(self) -> int:
        """How many things the text asks for: inverted questions, and orders such as "Explain ..."."""
        return sum(len(INVERSION.findall(s)) + len(ORDER.findall(s)) for s in self.sentences)

    @property
    def function_share(self) -> float:
        """Share of function words: about 0.35 to 0.6 in prose, far less in a list of terms."""
        return 1.0 - len(self.content) / max(1, len(self.lower))


def ramp(value: float, start: float, end: float) -> float:
    """0 at `start`, 1 at `end`, straight in between, flat outside."""
    return min(1.0, max(0.0, (value - start) / (end - start)))


_AUXILIARY = r"(?:would|do|does|did|should|can|could|will|might|must|is|are|was|were|has|have|'d)"
_CLAUSE_START = r"(?:^|[,;:.(]\s+|\b(?:and|or|but|so|then|yet|in|for|at|by|from|to|on|under|of|ms|s)\s+)[\"']?"
INVERSION = re.compile(
    rf"{_CLAUSE_START}(?:(?:how|what|why)(?:\s+(?!you\b|we\b|the\b)[\w'/-]+){{0,4}}?|which(?:\s+(?!{_AUXILIARY}\b)[\w'/-]+){{1,5}}?)"
    rf"\s+(?:{_AUXILIARY}|takes?|go(?:es)?|happens?|fails?|breaks?|keeps?|makes?|wins?|stops?|decides?)\b"
    rf"|\b(?:how|what|which|why|where|when|who|whose)(?:'d|\s+{_AUXILIARY})\s+(?:you|we|the|a|an|your|our|it|they|this|that|each|one)\b"
    r"|^(?:which|where|when|who|whose)\b",
    re.IGNORECASE,
)
ORDER_VERBS = (
    "explain|describe|outline|compare|design|propose|sketch|estimate|decide|list|show|walk (?:me|us) through|"
    "tell (?:me|us)|name|define|justify|argue|suggest|discuss|diagnose|write|identify|choose|pick|plan|give|state"
)
ORDER = re.compile(
    rf"(?:^|[,;:]\s+(?:and |then |also |or )*|\b(?:and|then) (?:also )?|\bplease )(?:{ORDER_VERBS})\b", re.IGNORECASE
)
ADDED = re.compile(
    r"\b(?:also|finally|additionally|furthermore|moreover|lastly|secondly|in addition)\b|\band (?:also )?how (?:you|to)\b",
    re.I,
)
YES_NO = re.compile(
    r"^(?:[^?.]*[.,:]\s+)?(?:is|are|was|were|do|does|did|has|have|had|can|could|should|would|will|may|might|must)\s+"
    r"(?!you (?:please )?(?:explain|describe|walk|tell|outline|show|give|share|elaborate))[\w'-]+",
    re.IGNORECASE,
)
CHAT = re.compile(
    r"^\W*(?:sure|certainly|of course|absolutely|okay|ok|great|here (?:is|are)|here's|below (?:is|are)|the following|"
    r"i(?:'d| would) be happy|as an ai|thank you|thanks|hello|hi|dear|good (?:morning|afternoon)|i hope|"
    r"question\s*\d*\s*[:.)]|q\s*\d*\s*[:.)]|screening question|technical question|title:|\d+[.)]\s|[-*#>`|])",
    re.IGNORECASE,
)
NOTES = re.compile(
    r"\b(?:(?:expected|good|sample|model|ideal|correct|strong|suggested)? ?answers?\s*:|(?:the|a|an) (?:correct |good |ideal "
    r"|strong |expected )?answer (?:is|would|should|could|might|includes|covers)|"
    r"this question|these questions|(?:good|strong|weak|ideal) candidates?|strong ones|difficulty\s*:|skills tested|"
    r"expected time|time limit\s*:|hint\s*:|note\s*:|answer key|rubric\s*:|follow-?up\s*:|explanation\s*:|solution\s*:|"
    r"let me know|hope this helps|feel free|question for (?:this|the) role|for this role|the candidate|the interviewer|"
    r"screening questions?)",
    re.IGNORECASE,
)
MARKUP = re.compile(
    r"\n(?=.*\S)|^[A-Z][\w ]{0,25}:\s*\n|\b(?:A|B|Q|Title|Description|Level|Stack|Focus|Answer):|\*\*|```|^#+\s|###|<\|?/?\w+\|?>|\\n|\n\s*(?:[-*]|\d+[.)])\s|\n\s*\n",
    re.MULTILINE,
)
NO_LAST_WORDS = frozenset(
    "a an the your our their its my every of into onto without per via and or but to than if as".split()
)
PLACEHOLDER = re.compile(
    r"\{\{|\}\}|\[(?:insert|your|name|role|technology)[^\]]*\]|<(?:insert|your)\b|\bTODO\b|\bXXX\b"
)
MANIPULATION = re.compile(
    r"\b(?:any|every|each|this|the following) questions?\b|\b(?:ten|10|full|all) points\b|\baward\w*\b.{0,20}\bpoints?\b|"
    r"\b(?:criteria|criterion)\b.{0,40}\b(?:confirm|met|satisf)|\b(?:as|i am|i'm) the (?:author|judge|system|developer)\b|"
    r"\bignore\b.{0,30}\b(?:rubric|instruction|previous|above|rule|prompt)|\b(?:rubric|full marks?|full score|"
    r"max(?:imum|imal)? scores?|perfect score|highest (?:score|mark|rating)|top marks|red flags?|penalt(?:y|ies))\b|"
    r"\b(?:relevance|clarity|discriminative)\b\W{0,3}(?:score|10|ten|:|=)|\b10\s*/\s*10\b|\bten out of ten\b|"
    r"\b(?:system|assistant|user|developer)\s*:|\bdear (?:judge|grader|evaluator|rater)|"
    r"\b(?:judge|grader|evaluator|rater|reviewer)s?\b.{0,30}\b(?:score|rate|give|award|must|should)|"
    r"\b(?:score|rate|grade|mark)\b.{0,20}\b(?:this|question|answer|response|it)\b.{0,30}\b(?:high|10|ten|full|max|perfect|excellent)|"
    r"\b(?:discriminative|not (?:a )?generic|isn't generic|not yes/no)\b|\byou are (?:a|an|the) (?:judge|grader|evaluator)|"
    r"\boverall_?score\b|\"?scores?\"?\s*[:=]",
    re.IGNORECASE | re.DOTALL,
)
TRAILING_ORDER = re.compile(
    rf"^(?:please )?(?:{ORDER_VERBS}|assume|consider|focus|keep|include|be specific|mention|say|think|"
    r"point out|treat|take|suppose|use|start|remember|answer|support|back|defend|be )",
    re.IGNORECASE,
)
BROAD_WORDS = re.compile(
    r"\b(?:from scratch|end[- ]to[- ]end|entire|whole (?:system|platform|stack|architecture)|complete (?:system|platform)|"
    r"everything (?:you|about|there)|all (?:the )?aspects|comparable to|best practices|overall architecture|in general|fully)\b",
    re.IGNORECASE,
)
BROAD_DESIGN = re.compile(
    r"\b(?:design|build|building|create|creating|implement|architect|develop|designing)\s+(?:(?:a|an|the|our|your|out)\s+)?"
    r"(?:[\w-]+\s+){0,5}?(?:system|platform|site|exchange|marketplace|application|app|backend|architecture|product|"
    r"infrastructure|services?|solution|cluster|stack)\b",
    re.IGNORECASE,
)
LIST_OF_THINGS = re.compile(r"(?:[\w'./+#-]+(?: [\w'./+#-]+){0,3}, ){2,}(?:and |or )?[\w'-]+")


def check_broken(text: Text) -> Iterator[Defect]:
    """Nothing there, cut off, a placeholder left in, or a start in the middle of a sentence."""
    raw = text.raw
    if len(text.words) < 4:
        yield Defect("broken", 1.0, "there is no whole sentence")
        return
    bare = raw.rstrip("\"')]*` ")
    if not bare or bare[-1] not in ".?!":
        yield Defect("broken", 1.0, f"it stops at '{raw[-20:]}' without an ending")
    elif text.lower[-1] in NO_LAST_WORDS:
        yield Defect("broken", 1.0, f"it ends on '{text.words[-1]}'")
    if bare.endswith(("...", "..")):
        yield Defect("broken", 0.8, "it trails off")
    if PLACEHOLDER.search(raw):
        yield Defect("broken", 1.0, "a placeholder was left in")
    if raw[0].islower() and not re.match(r"[a-z]+[A-Z0-9./_]|[a-z]\w*\(", raw):
        yield Defect("broken", 0.6, "it starts in the middle of a sentence")
    if raw.count("(") != raw.count(")") or raw.count('"') % 2:
        yield Defect("broken", 0.4, "a bracket or quotation mark is not closed")
    strange = sum(1 for c in raw if not (c.isascii() or c.isalpha() and c < "ɐ" or c in "–—…µ€£×≥≤°§"))
    if strange > 0.02 * len(raw):
        yield Defect("broken", ramp(strange / len(raw), 0.0, 0.15), "it has characters that are no English prose")
    if any(len(word) > 32 for word in text.words):
        yield Defect("broken", 0.7, "it has a word of more than 32 letters")
    if sum(1 for word in text.words if word.isupper() and len(word) > 1) > 0.5 * len(text.words):
        yield Defect("broken", 0.7, "it is written in capitals")


def check_asks_nothing(text: Text) -> Iterator[Defect]:
    """A text that neither asks nor orders is no question, whatever mark it ends in."""
    if text.words and not text.asks and not YES_NO.search(text.raw):
        yield Defect("broken", 1.0, "it asks nothing")


def check_bundled(text: Text) -> Iterator[Defect]:
    """Several questions in one. Two linked halves ("how ..., and why ...") are still one question."""
    marks = text.raw.count("?")
    numbered = len(re.findall(r"(?:^|[\s(])(?:[a-e]|[1-9])[.)]\s", text.raw))
    asks = text.asks + len(ADDED.findall(text.raw))
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
    design = BROAD_DESIGN.search(text.raw)
    words = BROAD_WORDS.search(text.raw)
    listed = max((len(m.group().split(", ")) for m in LIST_OF_THINGS.finditer(text.raw)), default=0)
    severity = 0.5 * bool(design) + 0.8 * bool(words) + 0.7 * ramp(listed, 3, 6)
    if severity:
        seen = (words or design).group() if (words or design) else f"a list of {listed} subjects"
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
    for pattern, detail in ((CHAT, "it opens with '{}'"), (NOTES, "it holds '{}'"), (MARKUP, "it holds markup")):
        if found := pattern.search(text.raw):
            yield Defect("extra_text", 1.0, detail.format(found.group().strip()[:30]))
    last_mark = text.raw.rfind("?")
    rest = text.raw[last_mark + 1 :].strip("\"')] \n")
    if last_mark >= 0 and rest and not TRAILING_ORDER.match(rest):
        yield Defect("extra_text", ramp(len(rest.split()), 0, 8), "text follows the question")


def check_manipulation(text: Text) -> Iterator[Defect]:
    """Text that speaks to the judge instead of the candidate."""
    if found := MANIPULATION.search(text.raw):
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
    if longest > 6:
        yield Defect("unnatural", ramp(longest, 6, 10), f"{longest} content words stand in a row")
    commas = max((s.count(",") for s in text.sentences), default=0)
    if commas > 3:
        yield Defect("unnatural", 0.7 * ramp(commas, 3, 6), f"one sentence has {commas} commas")


def check_word_order(text: Text) -> Iterator[Defect]:
    """Words in an order that English does not have: shuffled, or thrown together."""
    steps = language().transitions(text.raw)
    if len(steps) < 4:
        return
    usual = sum(ratio for ratio, _ in steps) / len(steps)
    rare = sum(1 for ratio, _ in steps if ratio < -2.0) / len(steps)
    severity = max(1.0 - ramp(usual, -0.9, -0.1), ramp(rare, 0.14, 0.26))
    if severity:
        yield Defect("unnatural", severity, f"'{min(steps)[1]}' is unusual English, and so is more of it")


def check_sense(text: Text) -> Iterator[Defect]:
    """Terms combined into nonsense."""
    odd = list(language().oddities(text.raw))
    if odd:
        yield Defect("unnatural", ramp(len(odd), 0, 1.15), f"'{odd[0]}' makes no sense")


def check_copied(text: Text, source: str) -> Iterator[Defect]:
    """Long verbatim runs of `source` (the role and the instructions, as the generator saw them)."""
    runs = {tuple(source_words) for source_words in _windows([x.lower() for x in tokens(source)], 5)}
    covered = [False] * len(text.lower)
    for i, window in enumerate(_windows(text.lower, 5)):
        if tuple(window) in runs:
            covered[i : i + 5] = [True] * 5
    share = sum(covered) / max(1, len(covered))
    if share:
        yield Defect("copied", ramp(share, 0.15, 0.5), f"{share:.0%} of its words are runs of the role's text")


def _windows(items: list[str], size: int) -> list[list[str]]:
    return [items[i : i + size] for i in range(len(items) - size + 1)]


CHECKS: tuple[Callable[[Text], Iterator[Defect]], ...] = (
    check_broken, check_asks_nothing, check_bundled, check_length, check_too_broad, check_repeated, check_extra_text,
    check_manipulation, check_word_list, check_word_order, check_sense,
)  # fmt: skip
