"""Sheets of kits: Markdown, a page to print, JSON, and CSV as scorecards take it; for the interviewer or for the candidate.

The page has no size of its own: it fills A4 and Letter alike, one page a question. The candidate's version holds the
questions and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path

import yaml

from recruiter.files import as_markdown, csv_text
from recruiter.writers.kit import Guide, Kit, KitQuestion

FORMATS = ("markdown", "html", "json", "csv")
ENDINGS = {".md": "markdown", ".html": "html", ".json": "json", ".csv": "csv"}
CSV_COLUMNS = ("role", "attribute", "question", "guidance", "rating_scale", "minutes", "difficulty")
STYLE = Path(__file__).with_name("sheet.css")
LONG = 2200  # letters of a guide from which it is set smaller, to stay on its page


def render_kits(kits: Sequence[Kit], form: str, for_candidate: bool = False) -> str:
    """Kits in one of `FORMATS`."""
    if form == "json":
        data = [_questions_only(kit) if for_candidate else kit.model_dump(mode="json") for kit in kits]
        return json.dumps({"kits": data}, ensure_ascii=False, indent=2) + "\n"
    if form == "csv":
        return csv_text(("role", "question") if for_candidate else CSV_COLUMNS, _rows(kits))
    if form == "markdown":
        return as_markdown("\n".join(line for kit in kits for line in _markdown(kit, for_candidate))) + "\n"
    return _html(kits, for_candidate)


@cache
def labels() -> dict[str, dict[str, str]]:
    """What stands beside the questions, by language."""
    found: dict[str, dict[str, str]] = yaml.safe_load(_beside("labels.yaml"))
    return found


def heading(kit: Kit) -> str:
    """The role in one line, as a candidate may see it."""
    return f"{kit.role.title} ({kit.role.level})"


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _questions_only(kit: Kit) -> dict[str, object]:
    return {"role": kit.role.title, "questions": [made.question for made in kit.questions]}


# ---- CSV


def _rows(kits: Sequence[Kit]) -> Iterator[dict[str, str]]:
    for kit in kits:
        said = labels()[kit.language]
        for made in kit.questions:
            yield {
                "role": kit.role.title,
                "attribute": made.skill if made.is_on_skill else f"{said['asked']}: {made.skill}",
                "question": made.question,
                "guidance": "\n".join(_guidance(made.guide, said)) if made.guide else "",
                "rating_scale": "\n".join(_scale(made.guide)) if made.guide and made.guide.scale else "1\n2\n3\n4",
                "minutes": str(made.minutes or ""),
                "difficulty": made.difficulty or "",
            }


def _guidance(guide: Guide, said: Mapping[str, str]) -> Iterator[str]:
    for name, texts in _lists(guide):
        yield f"{said[name]}:"
        yield from (f"• {text}" for text in texts)


def _lists(guide: Guide) -> Iterator[tuple[str, list[str]]]:
    """The parts of a guide that hold something, but for its scale."""
    for name in ("good", "weak", "probes"):
        if texts := getattr(guide, name):
            yield name, texts


def _scale(guide: Guide) -> Iterator[str]:
    yield from (f"{number}: {text}" for number, text in enumerate(guide.scale, 1))


# ---- Markdown


def _markdown(kit: Kit, for_candidate: bool) -> Iterator[str]:
    said = labels()[kit.language]
    yield from (f"# {heading(kit)}", "")
    if not for_candidate:
        yield from _about(kit)
    for number, made in enumerate(kit.questions, 1):
        if for_candidate:
            yield from (f"{number}. {' '.join(made.question.split())}", "")
            continue
        yield from (f"## {number}. {' '.join(made.question.split())}", "", f"*{_what_it_tests(made, said)}*", "")
        if made.guide:
            for name, texts in _lists(made.guide):
                yield from (f"**{said[name]}**", "", *(f"- {text}" for text in texts), "")
            if made.guide.scale:
                yield from (f"**{said['scale']}**", "", *(f"- {text}" for text in _scale(made.guide)), "")
        yield from (line for text in _remarks(made, said) for line in (f"*{text}*", ""))


def _about(kit: Kit) -> Iterator[str]:
    """Who wrote it, and what it lacks."""
    said = labels()[kit.language]
    if kit.left_out:
        yield from (f"{said['left_out']}: {'; '.join(kit.left_out)}.", "")
    yield from (line for note in kit.notes for line in (note, ""))
    yield from (made_by(kit), "")


def made_by(kit: Kit) -> str:
    """One line for people: who wrote and who checked."""
    guides = "" if kit.guide_model == kit.model else f", guides by {kit.guide_model}"
    checked = f"checked by {kit.checked_by}" if kit.checked_by else "checked by nobody"
    written = [made for made in kit.questions if made.guide]
    if kit.checked_by and written and not any(made.checked for made in written):
        checked += ", but no judge read the guides"
    return f"Written by {kit.model}{guides}; {checked}. Read it before you use it."


def _remarks(made: KitQuestion, said: Mapping[str, str]) -> Iterator[str]:
    """What is missing, and what to look at before the question is used."""
    yield from (f"{said['missing']}: {text}" for text in made.missing)
    for hint in made.hints:
        yield f"{said['hint']}: {hint.reason}" + (f" (“{hint.found}”)." if hint.found else ".")


def _what_it_tests(made: KitQuestion, said: Mapping[str, str]) -> str:
    parts = [
        f"{said['tests' if made.is_on_skill else 'asked']}: {made.skill}",
        made.difficulty,
        f"{made.minutes} {said['minutes']}" if made.minutes else "",
    ]
    return " · ".join(filter(None, parts)) + (f" · “{made.line}”" if made.line and made.is_on_skill else "")


# ---- HTML


def _html(kits: Sequence[Kit], for_candidate: bool) -> str:
    language = kits[0].language if kits else "en"
    body = "\n".join(_candidate_page(kit) if for_candidate else _interviewer_pages(kit) for kit in kits)
    title = escape(kits[0].role.title if kits else "Kit")
    return _beside("sheet.html").format(
        language=language, title=title, style=STYLE.read_text(encoding="utf-8"), body=body
    )


def _candidate_page(kit: Kit) -> str:
    items = "".join(f"<li>{_text(made.question)}</li>" for made in kit.questions)
    return f'<section class="page candidate" lang="{kit.language}"><h1>{escape(kit.role.title)}</h1><ol>{items}</ol></section>'


def _interviewer_pages(kit: Kit) -> str:
    said, role = labels()[kit.language], kit.role
    rows = "".join(
        f"<tr><td>{number}</td><td>{escape(made.skill) if made.is_on_skill else '–'}</td>"
        f"<td>{_text(made.question)}</td><td>{made.minutes or ''}</td>"
        f'<td class="box"></td></tr>'
        for number, made in enumerate(kit.questions, 1)
    )
    about = "".join(f"<p>{escape(line)}</p>" for line in _about(kit) if line)
    names = "".join(f"<span>{said[name]}</span>" for name in ("candidate", "interviewer", "date"))
    cover = (
        f'<section class="page cover" lang="{kit.language}"><h1>{escape(role.title)}</h1>'
        f"<p>{said['level']}: {role.level} · {escape(', '.join(role.stack))}</p>"
        f'<div class="names">{names}</div>'
        f"<table><thead><tr><th>#</th><th>{said['tests']}</th><th>{said['question']}</th><th>{said['minutes']}</th>"
        f'<th>{said["scale"]}</th></tr></thead><tbody>{rows}</tbody></table><div class="about">{about}</div></section>'
    )
    return cover + "".join(_question_page(kit, number, made) for number, made in enumerate(kit.questions, 1))


def _question_page(kit: Kit, number: int, made: KitQuestion) -> str:
    said, guide = labels()[kit.language], made.guide
    letters = len(guide.model_dump_json()) if guide else 0
    parts = [
        f'<section class="page{" long" if letters > LONG else ""}" lang="{kit.language}">',
        f"<header><span>{escape(kit.role.title)}</span>"
        f"<span>{said['question']} {number} {said['of']} {len(kit.questions)}</span></header>",
        f'<h2 class="question">{_text(made.question)}</h2><p class="tests">{escape(_what_it_tests(made, said))}</p>',
    ]
    if guide:
        lists = {name: "".join(f"<li>{escape(text)}</li>" for text in texts) for name, texts in _lists(guide)}
        parts.append('<div class="guide">')
        parts += [f"<div class={name}><h3>{said[name]}</h3><ul>{items}</ul></div>" for name, items in lists.items()]
        parts.append("</div>")
    parts += [f'<p class="missing">{escape(text)}</p>' for text in _remarks(made, said)]
    anchors = [*(guide.scale if guide else ()), *[""] * 4][:4]
    boxes = "".join(
        f'<li><span class="box">{value}</span> {escape(text)}</li>' for value, text in enumerate(anchors, 1)
    )
    parts.append(f'<h3>{said["scale"]}</h3><ol class="scale">{boxes}</ol>')
    parts.append(f'<h3>{said["notes"]}</h3><div class="notes"></div></section>')
    return "".join(parts)


def _text(text: str) -> str:
    return escape(text.strip()).replace("\n", "<br>")
