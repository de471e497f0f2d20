"""Completing roles as people type or paste them, with gaps: what is assumed is said.

Rules read what they know; where they do not, a model may (`recruiter.writers.advertisements`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recruiter.errors import DataError
from recruiter.judges.rubric_judge.knowledge import Phrase, knowledge
from recruiter.judges.rubric_judge.language import FUNCTION_WORDS, WORD, phrases, stem_phrase, tokens
from recruiter.roles import LEVELS, Role, parse_roles
from recruiter.roles.advertisement import (
    LONGEST,
    bare_title,
    is_named,
    job_words,
    plain_text,
    ranked_lines,
    title_of,
    work_of,
)
from recruiter.roles.rows import FIELD_NAMES, Row, field_of, read_rows, split_list

MOST_LETTERS = 4000  # of a description, see `roles.Text`
AN_ADVERTISEMENT = 200  # letters from which a text says enough for a model to find skills in
FEW_SKILLS = 3  # fewer do not make a kit
MOST_FOUND = 6  # technologies or skills taken from a text
TITLE_LETTERS = 100
MOST_WORDS = 5  # of a skill in an advertisement's words

# Words of titles, the highest level first; Chinese has no ends of words.
_LEVEL_WORDS = {
    "principal": r"principal|distinguished|fellow",
    "staff": r"staff|lead|head|architect|teamlead|leitung|leiter|leiterin|líder|responsable",
    "senior": r"senior|sénior|sr|experienced|iii|erfahrene|erfahrener|confirmé|confirmée",
    "junior": r"junior|júnior|jr|graduate|entry|intern|trainee|associate|apprentice|i|absolvent|absolventin|werkstudent|"
    r"werkstudentin|praktikant|praktikantin|becario|becaria|débutant|débutante|stagiaire|alternant|alternance",
    "mid": r"mid|middle|intermediate|medior|regular|ii",
}
_CHINESE_LEVELS = {"首席": "principal", "专家": "staff", "架构师": "staff", "资深": "senior", "高级": "senior",
                   "中级": "mid", "初级": "junior", "实习": "junior"}  # fmt: skip
Reading = Mapping[str, Any]  # title, level, stack, skills and is_technical, as a model reads them


@dataclass(frozen=True)
class CompletedRole:
    """A completed role, and in a few words each what was assumed."""

    role: Role
    assumed: tuple[str, ...]


def complete_role(
    fields: Mapping[str, Any], place: str = "The role", read: Callable[[str], Reading] | None = None
) -> CompletedRole:
    """Make a role of what is there.

    Names of fields may be those people use ("Job title", "Tech stack"), lists may be text with commas. The level is taken
    from the title; stack and skills from the description, where it names technologies and problems known here. Fields that
    a role does not have are ignored. A description may be HTML; what it says of benefits and the company is left out.

    Args:
        place: where the fields stand, for errors.
        read: reads a description where the rules find no title, no technologies, or few skills in a text that is long enough to
            have more; a key `why` says that it could not.

    Raises:
        DataError: no title or no stack, or a level that is none.
    """
    known = _renamed(fields)
    for name, value in known.items():
        if not _is_text_or_list(value):
            raise DataError(f"{place}, field '{name}': it is neither text nor a list of texts.")
    assumed: list[str] = []
    whole, marked = plain_text(_text(known.get("description")))
    if len(whole) > LONGEST:
        whole = whole[:LONGEST].rsplit(maxsplit=1)[0]
        assumed.append(f"only the first {LONGEST:,} letters of the advertisement")
    description, left_out = work_of(whole)
    reading: Reading | None = None

    def as_read(name: str) -> Any:
        nonlocal reading
        if reading is None:
            reading = read(description) if read and description else {}
        return reading.get(name)

    title, is_sure = bare_title(_text(known.get("title"))), True
    if not title:
        title, is_sure = title_of(whole, marked, TITLE_LETTERS)
        title = title or _text(as_read("title"))
    if not title:
        raise DataError(f"{place} has no title; write one such as 'Senior Backend Engineer, Payments'.")
    if not is_sure:
        assumed.append(f"title {title}")
    found = [] if known.get("stack") else _technologies(f"{title}\n{description}") or _terms(as_read("stack"))
    stack, more_stack = _terms(known.get("stack")) or found[:MOST_FOUND], found[MOST_FOUND:]
    skills = _terms(known.get("key_skills")) or _skills(description)[:MOST_FOUND]
    if len(skills) < FEW_SKILLS and not known.get("key_skills") and (reading or len(whole) >= AN_ADVERTISEMENT):
        more = [term for term in _terms(as_read("skills")) if term.lower() not in map(str.lower, skills)]
        skills = [*skills, *more][:MOST_FOUND]
    is_outside = (reading or {}).get("is_technical") is False
    stack = stack or skills or ([title] if is_outside else [])
    if not stack:
        why = f" ({reading['why']})" if reading and "why" in reading else ""
        raise DataError(f"{place} has no stack; name its technologies, for example 'Go, Kafka, PostgreSQL'{why}.")
    level = _level(known.get("level"), title, place, assumed, _text((reading or {}).get("level")))
    if not known.get("stack"):
        rest = f" (named less or as nice to have, and left out: {', '.join(more_stack)})" if more_stack else ""
        assumed.append(f"stack {', '.join(stack)}{rest}")
    focus = _text(known.get("focus")) or _focus(title, description, assumed)
    if not known.get("key_skills"):
        skills = skills or stack
        assumed.append(f"skills {', '.join(skills)}")
    if is_outside:
        assumed.append("outside technology, for which these models and judges are not made")
    if left_out:
        lines = "a line" if left_out == 1 else f"{left_out} lines"
        assumed.append(f"left out {lines} on benefits, the company or applying")
    if len(description) > MOST_LETTERS:
        description = (description[:MOST_LETTERS].rsplit(maxsplit=1) or [""])[0]
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
    rows = read_rows(path)
    seen: dict[str, tuple[str, CompletedRole, int]] = {}
    for place, row in rows:
        try:
            found = complete_role(row, place)
        except DataError as error:
            raise DataError(f"{error}{_columns_lacking(rows)}") from None
        first, same, count = seen.get(found.role.id, (place, found, 0))
        if same.role != found.role:
            raise DataError(f"{place}: its id '{found.role.id}' is that of another role, {first}.")
        seen[found.role.id] = first, same, count + 1
    if not rows:
        raise DataError(f"{path} holds no roles.")
    return [
        replace(found, assumed=(*found.assumed, f"{count} equal rows taken as one")) if count > 1 else found
        for _, found, count in seen.values()
    ]


def unread_columns(path: Path) -> list[str]:
    """The columns of a file of roles that no field of a role is taken from, as the file writes them."""
    columns = list(dict.fromkeys(name for _, row in read_rows(path) for name in row))
    taken: dict[str | None, str] = {}
    for name in sorted(columns, key=lambda name: field_of(name)[1]):
        taken.setdefault(field_of(name)[0], name)
    return [name for name in columns if field_of(name)[0] is None or taken[field_of(name)[0]] != name]


def _columns_lacking(rows: Sequence[Row]) -> str:
    """A sentence on the columns of a file in which nobody can find a title or a stack; "" if they are there."""
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    fields = {field_of(name)[0] for name in columns}
    lacking = [field for field in ("title", "stack") if not fields & {field, "description"}]
    names = "; ".join(f"taken as {field}: {', '.join(FIELD_NAMES[field])}" for field in lacking)
    return f" Columns with something in them: {', '.join(columns) or 'none'}; {names}." if lacking else ""


def read_roles(path: Path) -> list[CompletedRole]:
    """The roles of a file that a person named: those with every field are checked as they are, others completed.

    Raises:
        DataError: naming the file, the row and what it lacks.
    """
    if not path.is_file():
        raise DataError(f"There is no role file at {path}; give one with --roles.")
    rows = [row for _, row in read_rows(path)]
    if all(isinstance(row.get("stack"), list) and row.keys() >= Role.model_fields.keys() for row in rows):
        return [CompletedRole(role, ()) for role in parse_roles(rows, str(path))]
    return complete_roles(path)


def _renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    renamed: dict[str, Any] = dict.fromkeys(FIELD_NAMES)
    for name in sorted(fields, key=lambda name: field_of(name)[1]):
        if (field := field_of(name)[0]) and fields[name] and not renamed[field]:
            renamed[field] = fields[name]
    return renamed


def _is_text_or_list(value: Any) -> bool:
    items = value if isinstance(value, list | tuple) else [value]
    return all(item is None or isinstance(item, str | int | float) for item in items)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _terms(value: Any) -> list[str]:
    items = split_list(value) or []
    return [str(item).strip() for item in (items if isinstance(items, Sequence) else [items]) if str(item).strip()]


def _level(value: Any, title: str, place: str, assumed: list[str], as_read: str) -> str:
    given = _text(value).lower()
    found = given if given in LEVELS else _level_in(given)
    if given and found is None:
        raise DataError(
            f"{place}, field 'level': '{given}' is no level; write one of {', '.join(LEVELS)}, or leave it "
            "out: then the title says it."
        )
    found = found or _level_in(title.lower())
    if found is None:
        found = as_read if as_read in LEVELS else "mid"
        assumed.append(f"level {found}")
    return found


def _level_in(text: str) -> str | None:
    chinese = next((level for sign, level in _CHINESE_LEVELS.items() if sign in text), None)
    found = (level for level, words in _LEVEL_WORDS.items() if re.search(rf"\b(?:{words})\b", text))
    return chinese or next(found, None)


def _technologies(text: str) -> list[str]:
    """Known technologies, less words that only look like them: first what is required, then what is named most, then in the
    order of the text."""
    places: list[tuple[int, str, str]] = []
    for rank, line in ranked_lines(text):
        words = [part for word in tokens(line) for part in ([word] if knowledge().named(word) else word.split("/"))]
        places += [(rank, name, " ".join(words[i:end])) for name, i, end in knowledge().find_technologies(words)]
    surfaces = [surface for *_, surface in places]
    ranks: dict[str, list[int]] = {}
    for rank, name, surface in places:
        if is_named(surface, text, surfaces):
            ranks.setdefault(_as_written(name, surface), []).append(rank)
    return sorted(ranks, key=lambda name: (min(ranks[name]), -len(ranks[name])))


def _as_written(name: str, surface: str) -> str:
    """The usual name where a text has a part or a longer form of it, else the text's own: the rubric judge groups what is
    alike, such as Angular with React, and a role must not."""
    one, other = name.lower(), surface.lower()
    return name if one in other or other in one else surface


def _topics(topics: Mapping[str, frozenset[Phrase]], text: str, at_least: int) -> list[str]:
    """Topics that a text has so many terms of, those it has most of first."""
    found = phrases(stem_phrase(text))
    counts = {name: sum(not knowledge().is_common(term) for term in terms & found) for name, terms in topics.items()}
    return [name for name in sorted(counts, key=lambda name: -counts[name]) if counts[name] >= at_least]


def _skills(description: str) -> list[str]:
    """The engineering concepts of a description, in its words: first those under requirements, then those it says most of."""
    stems, lines = set(stem_phrase(description)), list(ranked_lines(f"\n{description}"))
    found: dict[str, int] = {}
    for name in _topics(knowledge().concepts, description, 2):
        terms = knowledge().concepts[name]
        rank, line = min(lines, key=lambda each: (-len({t for *_, t in _terms_at(each[1])} & terms), each[0]))
        words = name if stems.issuperset(stem_phrase(name)) else _words_on(terms, line)
        found.setdefault(words, rank)
    apart = [one for one in found if not any(one != other and one.lower() in other.lower() for other in found)]
    return sorted(filter(None, apart), key=lambda words: found[words])


def _terms_at(text: str) -> list[tuple[int, int, Phrase]]:
    """Runs of one to three words of a text that are not common: index of the first word, end, stems."""
    stems = [stem_phrase(word) for word in tokens(text)]
    runs = [(i, i + n, sum(stems[i : i + n], ())) for i in range(len(stems)) for n in (1, 2, 3) if i + n <= len(stems)]
    return [run for run in runs if run[2] and not knowledge().is_common(run[2])]


def _words_on(terms: frozenset[Phrase], line: str) -> str:
    """The words of a line from one of the terms to another, as many terms as `MOST_WORDS` words of one clause hold; a term
    alone has the word before it with it. "" if there is none."""
    words, places = list(WORD.finditer(line)), [(i, end) for i, end, term in _terms_at(line) if term in terms]

    def written(start: int, end: int) -> str:
        return line[words[start].start() : words[end - 1].end()]

    spans = [(i, end) for i, _ in places for _, end in places if i < end <= i + MOST_WORDS]
    spans = [span for span in spans if not re.search(r"[.:;!?]\s", written(*span))]
    start, end = max(spans, key=lambda span: sum(span[0] <= i and to <= span[1] for i, to in places), default=(0, 0))
    if end - start == 1 and start > 1 and words[start - 1].group().lower() not in FUNCTION_WORDS:
        start -= line[words[start - 1].end() : words[start].start()] == " "
    return written(start, end) if end else ""


def _focus(title: str, description: str, assumed: list[str]) -> str:
    """What the title adds after a comma, dash or bracket; else the domain of the description; else the kind of engineer."""
    parts = re.split(r",|\(|\)| [–—-] |: ", title)
    if len(parts) > 1 and parts[1].strip():
        return parts[1].strip().lower()
    every = "|".join(_LEVEL_WORDS.values())
    kind = re.sub(
        rf"\b(?:{every}|software|level)\b|{'|'.join(_CHINESE_LEVELS)}", " ", job_words().sub(" ", title.lower())
    )
    domains = _topics(knowledge().domains, description, 3)
    focus = domains[0] if domains else " ".join(kind.split()) or "software engineering"
    assumed.append(f"focus {focus}")
    return focus


def _slug(title: str, content: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-")
    return f"{words or 'role'}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"
