"""Layout: Markdown, lists, code, labels and notes are taken off, so that the checks see the words of the question alone.

How a sound question is laid out says nothing about it. What was taken off is named, and costs at most the points that
the rubric names for text around the question. Nothing can be hidden in it: words in lists, headings that ask and code
spans are judged like others, blocks of code earn nothing, and instructions to the judge are looked for in the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from recruiter.judges.rubric_judge import wording
from recruiter.judges.rubric_judge.language import WORD

_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_RULE = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*$", re.MULTILINE)
_HEADING = re.compile(r"#{1,6}(?:\s+|$)")
_ITEM = re.compile(r"(?:[-*•+–]|\(?(?:\d{1,2}|[a-h])[.)])\s+")
_CODE_SPAN = re.compile(r"`+([^`\n]+)`+")
_EMPHASIS = re.compile(r"\*\*|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])")
_WHOLE_LINE_EMPHASIS = re.compile(r"(\*\*?|__)(?=\S).*\S\1:?")
_QUOTED = re.compile(r"\A\"(.*)\"\Z", re.DOTALL)
# A heading or label is short and asks nothing.
_LONGEST_LABEL = 8
_LONGEST_CODE_NAME = 3


@dataclass
class Layout:
    """A text without its layout."""

    blocks: list[str] = field(default_factory=list)  # paragraphs and list items, in order, without marks
    items: set[int] = field(default_factory=set)  # the indices of those blocks that are list items
    taken_off: list[str] = field(default_factory=list)  # kinds of layout around the words, each once
    notes: str = ""  # what is set off for the interviewer: why it works, what to listen for
    ends_in_code: bool = False

    def add(self, block: str, is_item: bool = False) -> None:
        """Append a block; a line that goes on with a paragraph or an item is joined to it by the caller."""
        if is_item:
            self.items.add(len(self.blocks))
        self.blocks.append(block)

    def took(self, kind: str) -> None:
        """Remember that a kind of layout was there."""
        if kind not in self.taken_off:
            self.taken_off.append(kind)


def read_layout(raw: str) -> Layout:
    """Take `raw` apart into blocks of words, what was around them, and notes."""
    layout = Layout()
    text = _unquoted(raw, layout)
    without_code = _FENCE.sub("\n\n", text)
    layout.ends_in_code = bool(without_code != text and text.rstrip().endswith(("```", "~~~")))
    if _RULE.search(without_code):
        layout.took("a rule")
        without_code = _RULE.sub("\n", without_code)
    lines = without_code.split("\n")
    continues = False
    for number, line in enumerate(lines):
        is_heading = bool(_HEADING.match(line.strip()))
        alone = is_heading or bool(_WHOLE_LINE_EMPHASIS.fullmatch(line.strip()))
        bare = _HEADING.sub("", line.strip().lstrip("> "))
        item = _ITEM.match(bare)
        words = _plain(bare[item.end() :] if item else bare, layout)
        if is_heading:
            layout.took("a heading")
        if not words:
            continues = False
            continue
        if layout.blocks and wording.NOTES_HEADING.match(words) and (alone or words.startswith("(")):
            layout.notes = words if words.startswith("(") else "\n".join([words, *lines[number + 1 :]])
            if words.startswith("("):
                continues = False
                continue
            break
        if (alone or not layout.blocks) and (label := wording.LABEL.match(words)):
            layout.took("a label")
            words = words[label.end() :].strip()
        elif alone and len(words.split()) <= _LONGEST_LABEL and not words.endswith(("?", ".", "!")):
            layout.took("a label")
            words = ""
        if words and continues and not item and not alone:
            layout.blocks[-1] += " " + words
        elif words:
            layout.add(words, bool(item))
        continues = bool(words) and not alone
    if len(layout.blocks) == 1:
        layout.blocks[0] = _unquoted(layout.blocks[0], layout)
    return layout


def _unquoted(text: str, layout: Layout) -> str:
    """The text without quotation marks or emphasis around the whole of it."""
    text = text.strip()
    if (found := _QUOTED.match(text)) and found.group(1).count('"') % 2 == 0:
        layout.took("quotation marks")
        return found.group(1).strip()
    return text


def _plain(line: str, layout: Layout) -> str:
    """One line without emphasis and code marks; of code in a line names stay."""
    line = _CODE_SPAN.sub(_words_of_code, line)
    bare = _EMPHASIS.sub("", line)
    if bare != line:
        layout.took("emphasis")
    return bare.strip()


def _words_of_code(span: re.Match[str]) -> str:
    """A name or call in code as its words; an expression is just some code, whatever words it is made of."""
    words = WORD.findall(span.group(1))
    return " ".join(words) if len(words) <= _LONGEST_CODE_NAME else "code"
