"""Completing roles as people type or paste them, with gaps: what is assumed is said."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recruiter.errors import DataError
from recruiter.judges.rubric_judge.knowledge import Phrase, knowledge
from recruiter.judges.rubric_judge.language import phrases, stem_phrase, tokens
from recruiter.roles import LEVELS, Role, parse_roles
from recruiter.roles.rows import FIELD_NAMES, normal_name, read_rows, split_list

MOST_LETTERS = 4000  # of a description, see `roles.Text`
MOST_FOUND = 6  # technologies or skills taken from a text
TITLE_LETTERS = 100

# Words of titles, the highest level first.
_LEVEL_WORDS = {
    "principal": r"principal|distinguished|fellow",
    "staff": r"staff|lead|head|architect",
    "senior": r"senior|sr|experienced|iii",
    "junior": r"junior|jr|graduate|entry|intern|trainee|associate|apprentice|i",
    "mid": r"mid|middle|intermediate|medior|regular|ii",
}


@dataclass(frozen=True)
class CompletedRole:
    """A completed role, and in a few words each what was assumed."""

    role: Role
    assumed: tuple[str, ...]


def complete_role(fields: Mapping[str, Any], place: str = "The role") -> CompletedRole:
    """Make a role of what is there.

    Names of fields may be those people use ("Job title", "Tech stack"), lists may be text with commas. The level is taken
    from the title; stack and skills from the description, where it names technologies and problems known here. Fields that
    a role does not have are ignored.

    Args:
        place: where the fields stand, for errors.

    Raises:
        DataError: no title or no stack, or a level that is none.
    """
    known = _renamed(fields)
    for name, value in known.items():
        if not _is_text_or_list(value):
            raise DataError(f"{place}, field '{name}': it is neither text nor a list of texts.")
    assumed: list[str] = []
    description = _text(known.get("description"))
    title = _text(known.get("title")) or _first_line(description)
    if not title:
        raise DataError(f"{place} has no title; write one such as 'Senior Backend Engineer, Payments'.")
    level = _level(known.get("level"), title, place, assumed)
    stack = _terms(known.get("stack")) or _technologies(f"{title}\n{description}")
    if not stack:
        raise DataError(f"{place} has no stack; name its technologies, for example 'Go, Kafka, PostgreSQL'.")
    if not known.get("stack"):
        assumed.append(f"stack {', '.join(stack)}")
    focus = _text(known.get("focus")) or _focus(title, description, assumed)
    skills = _terms(known.get("key_skills"))
    if not skills:
        skills = _topics(knowledge().concepts, description, 2)[:MOST_FOUND] or stack
        assumed.append(f"skills {', '.join(skills)}")
    if len(description) > MOST_LETTERS:
        description = description[:MOST_LETTERS].rsplit(maxsplit=1)[0]
        assumed.append(f"only the first {MOST_LETTERS:,} letters of the description")
    if not description:
        description = f"{title}: {focus}, with {', '.join(stack)}."
        assumed.append("no description")
    record = {
        "title": title,
        "level": level,
        "focus": focus,
        "stack": stack,
        "description": description,
        "key_skills": skills,
    }
    identity = _text(known.get("id")) or _slug(title, repr(record))
    (role,) = parse_roles([{"id": identity, **record}], place)
    return CompletedRole(role, tuple(assumed))


def complete_roles(path: Path) -> list[CompletedRole]:
    """The roles of a file (see `read_rows`), each completed.

    Raises:
        DataError: naming the file, the row and what it lacks.
    """
    completed = [complete_role(row, place) for place, row in read_rows(path)]
    if not completed:
        raise DataError(f"{path} holds no roles.")
    seen: dict[str, int] = {}
    for index, found in enumerate(completed):
        if found.role.id in seen:
            raise DataError(f"{path}: roles {seen[found.role.id]} and {index} have the same id or are the same.")
        seen[found.role.id] = index
    return completed


def _renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    given = {normal_name(name): value for name, value in fields.items() if value}
    return {field: next((given[n] for n in names if n in given), None) for field, names in FIELD_NAMES.items()}


def _is_text_or_list(value: Any) -> bool:
    items = value if isinstance(value, list | tuple) else [value]
    return all(item is None or isinstance(item, str | int | float) for item in items)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _terms(value: Any) -> list[str]:
    items = split_list(value) or []
    return [str(item).strip() for item in (items if isinstance(items, Sequence) else [items]) if str(item).strip()]


def _first_line(text: str) -> str:
    line = text.split("\n", 1)[0].strip(" #*:")
    return line if len(line) <= TITLE_LETTERS else ""


def _level(value: Any, title: str, place: str, assumed: list[str]) -> str:
    given = _text(value).lower()
    found = given if given in LEVELS else _level_in(given)
    if given and found is None:
        raise DataError(f"{place}, field 'level': '{given}' is none; write one of {', '.join(LEVELS)}.")
    found = found or _level_in(title.lower())
    if found is None:
        assumed.append("level mid")
    return found or "mid"


def _level_in(text: str) -> str | None:
    return next((level for level, words in _LEVEL_WORDS.items() if re.search(rf"\b(?:{words})\b", text)), None)


def _technologies(text: str) -> list[str]:
    """Known technologies in the order in which a text names them."""
    return list(dict.fromkeys(name for name, _, _ in knowledge().find_technologies(tokens(text))))[:MOST_FOUND]


def _topics(topics: Mapping[str, frozenset[Phrase]], text: str, at_least: int) -> list[str]:
    """Topics that a text has so many terms of, those it has most of first."""
    found, counts = phrases(stem_phrase(text)), {}
    for name, terms in topics.items():
        counts[name] = sum(not knowledge().is_common(term) for term in terms & found)
    return [name for name in sorted(counts, key=lambda name: -counts[name]) if counts[name] >= at_least]


def _focus(title: str, description: str, assumed: list[str]) -> str:
    """What the title adds after a comma, dash or bracket; else the domain of the description; else the kind of engineer."""
    parts = re.split(r",|\(|\)| [–—-] |: ", title)
    if len(parts) > 1 and parts[1].strip():
        return parts[1].strip().lower()
    every = "|".join(_LEVEL_WORDS.values())
    kind = re.sub(rf"\b(?:{every}|software|engineer|developer|programmer|level)\b", " ", title.lower())
    domains = _topics(knowledge().domains, description, 3)
    focus = domains[0] if domains else " ".join(kind.split()) or "software engineering"
    assumed.append(f"focus {focus}")
    return focus


def _slug(title: str, content: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-")
    return f"{words or 'role'}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"
