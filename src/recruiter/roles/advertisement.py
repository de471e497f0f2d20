"""Advertisements as people paste them: HTML becomes text, what says nothing of the work is left out, the title is found.

Which lines those are, and which words are technologies only in technical company, is data: `advertisement.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import yaml

LONGEST = 20_000  # characters of an advertisement that is read
_BLOCKS = frozenset("p div br ul ol li h1 h2 h3 h4 h5 h6 tr table section article header footer td dt dd".split())
_UNSEEN = frozenset("script style head noscript template nav footer button select".split())
FIRST_LINES = 12  # among which a title is looked for
_SENTENCES = re.compile(r"(?<=[.!?。！？])\s+|(?<=[。！？])")


@cache
def _rules() -> tuple[dict[str, re.Pattern[str]], dict[str, frozenset[str]]]:
    """The patterns and the lists of words of `advertisement.yaml`."""
    data = yaml.safe_load(Path(__file__).with_name("advertisement.yaml").read_text(encoding="utf-8"))
    joined = {
        name: "|".join(f"(?:{part})" for part in value) for name, value in data.items() if isinstance(value, list)
    }
    patterns = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in joined.items()}
    return patterns, {name: frozenset(value.split()) for name, value in data.items() if isinstance(value, str)}


class _Text(HTMLParser):
    """The visible text of HTML, blocks as lines and list items behind a dash; and what it marks as its title."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.marked = {"h1": "", "title": ""}
        self._unseen, self._within = 0, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._unseen += tag in _UNSEEN
        self._within = tag if self.marked.get(tag) == "" else self._within
        if tag in _BLOCKS:
            self.parts.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN and self._unseen > 0
        self._within = "" if tag == self._within else self._within
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._within:
            self.marked[self._within] += data
        if not self._unseen:
            self.parts.append(re.sub(r"\s+", " ", data))


def plain_text(text: str) -> tuple[str, list[str]]:
    """A text without its HTML, if it has any, and what that marked as the title, the surest first. Lines have no trailing
    spaces, and never two empty ones in a row; menus, the foot of the page and buttons are left out."""
    marked: list[str] = []
    tags = "p|div|br|ul|ol|li|h[1-6]|html|head|title|body|main|nav|header|article|section|span|strong|b"
    if re.search(rf"</?(?:{tags})\b[^>]*>", text, re.IGNORECASE):
        reader = _Text()
        reader.feed(text)
        reader.close()
        marked = [" ".join(line.split()) for line in reader.marked.values() if line.strip()]
        text = re.sub(r"\n-[ \n]*(?=\n|\Z)", "\n", re.sub(r"- *\n+ *", "- ", "".join(reader.parts)))
    lines = "\n".join(line.strip() for line in text.replace("\r", "").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip(), marked


def work_of(text: str) -> tuple[str, int]:
    """What a text says of the work, without benefits, the company and how to apply; and how many lines that left out."""
    patterns, kept, left, is_left_out = _rules()[0], list[str](), 0, False
    for line in text.split("\n"):
        if patterns["left_out_headings"].fullmatch(_heading(line)):
            is_left_out = True
        elif patterns["kept_headings"].fullmatch(_heading(line)):
            is_left_out = False
        if is_left_out:
            left += bool(line.strip())
            continue
        sentences = [part for part in _SENTENCES.split(line) if not patterns["left_out_lines"].search(part)]
        rest = line if len(sentences) == len(_SENTENCES.split(line)) else " ".join(sentences)
        left += bool(line.strip()) and rest != line
        if rest.strip() or not line.strip():
            kept.append(rest)
    work = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return (work, left) if work else (text, 0)


def _heading(line: str) -> str:
    """A short line as the lists of headings spell it; "" if it can be none."""
    heading = line.strip(" \t#*:-–—•").lower().replace("’", "'")
    return heading if len(heading) <= 60 and not re.search(r"[.!。，,]$", line.strip()) else ""


def ranked_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text, each with how much it asks for what it names: 0 it is the first or under requirements, 1 as any
    other, 2 it would be nice to have."""
    patterns, rank = _rules()[0], 0
    for number, line in enumerate(text.split("\n")):
        head, colon, _ = line.partition(":")
        heading = _heading(head if colon else line)
        is_optional = bool(patterns["optional"].search(line))
        if is_optional and heading and len(line) - len(head) < 2:
            rank = 2
        elif patterns["required_headings"].fullmatch(heading):
            rank = 0
        elif number and (patterns["kept_headings"].fullmatch(heading) or number == 1):
            rank = 1
        yield 2 if is_optional else rank, line


def title_of(text: str, marked: Sequence[str], most_letters: int) -> tuple[str, bool]:
    """The title that a text begins with, "" if there is none; and whether it reads like one.

    Args:
        marked: what HTML marks as the title, see `plain_text`.
    """
    patterns, found = _rules()[0], list[tuple[str, bool]]()
    lines = [line for line in text.split("\n") if line.strip()][:FIRST_LINES]
    for line in (*marked[:1], *lines, *marked[1:]):
        each = _title_in(line.strip(" #*:\t-–•"), most_letters)
        if each and not each[1] and patterns["kept_headings"].fullmatch(_heading(line)):
            break
        if each and (each[1] or not patterns["left_out_headings"].fullmatch(_heading(line))):
            found.append(each)
    return next((each for each in found if each[1]), found[0] if found else ("", False))


def bare_title(line: str) -> str:
    """A title without what stands around it, such as "(m/w/d)"."""
    return " ".join(_rules()[0]["around_a_title"].sub(" ", line).strip(" #*:.!-–\t").split())


def job_words() -> re.Pattern[str]:
    """What finds the words for somebody who does a job, such as "engineer"."""
    return _rules()[0]["jobs"]


def _title_in(line: str, most_letters: int) -> tuple[str, bool] | None:
    """The title in a line, "" if it is text, and whether it reads like one; None: it is a menu or a trail through a site."""
    patterns = _rules()[0]
    pieces = re.split(r"\s+[>»›→|·•]\s+", line)
    parts = [part for part in pieces if re.search(r"\w", patterns["menu"].sub(" ", part))]
    if not parts or patterns["not_a_title"].match(line):
        return None
    for part in (*parts, line):
        title = bare_title(part)
        is_short = len(title) <= most_letters and not re.search(r"[.!?]\s", title)
        is_named = patterns["jobs"].search(title) and not patterns["sentence"].search(title)
        if is_short and title and (is_named or patterns["around_a_title"].search(part)):
            return title, True
    return None if len(parts) < len(pieces) else (title if is_short else "", False)


def is_named(surface: str, text: str, known: Sequence[str]) -> bool:
    """Whether a word of a text that may be a technology is one there.

    Args:
        surface: as the text writes it.
        known: the surfaces of all technologies that the text may name.
    """
    words = _rules()[1]
    if surface.upper() in words["only_in_capitals"]:
        return surface.isupper()
    if surface not in words["words"]:
        return True
    company = set(known) - {surface}
    return any(_is_in_company(before, after, company) for before, after in _places(surface, text))


def _places(surface: str, text: str) -> Iterator[tuple[str, str]]:
    """What stands before and after each place of a word, on its line."""
    for found in re.finditer(rf"(?<![\w-]){re.escape(surface)}(?![\w-])", text):
        line_start = text.rfind("\n", 0, found.start()) + 1
        line_end = text.find("\n", found.end())
        yield text[line_start : found.start()], text[found.end() : None if line_end < 0 else line_end]


def _is_in_company(before: str, after: str, company: set[str]) -> bool:
    rules = _rules()[1]
    following = re.match(r"\s+([\w-]+)", after)
    next_word = following[1].lower() if following else ""
    if next_word in rules["not_after"]:
        return False
    if not before.strip(" \t-*•·") and not after.strip(" \t.,;()"):  # alone on its line
        return True
    if before.endswith("(") and after.startswith(")"):
        return True
    listed = r"\s*(?:[,/|·•&+();:、，]|\band\b|\bor\b|\bund\b|\boder\b|\by\b|\bet\b|和|与|或)\s*(?:and |or |und |oder |y |et )?"
    neighbours = [re.search(rf"([\w.+#]+){listed}$", before), re.match(rf"{listed}([\w.+#]+)", after)]
    if any(found and found[1].rstrip(".") in company for found in neighbours):
        return True
    words = re.findall(r"[\w-]+", before.lower())
    if words and words[-1] in rules["written_by"]:
        return True
    follows = bool(words) and words[-1] in rules["company_before"] and before.endswith(" ")
    ends = not after.strip() or after.strip()[0] in ".,;:()/|、，。"
    if follows and (ends or next_word in rules["company_after"]):
        return True
    return next_word in rules["company_after"] - {"and", "or", "und", "oder", "y", "et"}
