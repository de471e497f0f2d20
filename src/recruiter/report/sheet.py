"""A sheet for blind reads as Markdown, as CSV to be filled in, and as one page that works offline; its key beside the folder.

Nothing of who wrote what, and no score, is on the sheet. The key's hash is, so that nobody can exchange the key afterwards.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from recruiter.errors import ConfigError
from recruiter.evaluation.blind import SheetRole, key_text, sheet_roles
from recruiter.evaluation.readings import COLUMNS
from recruiter.evaluation.records import Sheet
from recruiter.evaluation.results import Results
from recruiter.files import safe_cell
from recruiter.prompts import READER_INSTRUCTIONS
from recruiter.report import page
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE


def write_sheet(results: Results, sheet: Sheet, folder: Path) -> Path:
    """Write `sheet.md`, `sheet.csv` and `sheet.html` into a new folder, and the key beside it.

    Returns:
        The key's file.

    Raises:
        ConfigError: the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--blind-sheet {folder} is there already; name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    roles, key = list(sheet_roles(results, sheet)), folder.with_name(folder.name + ".key.json")
    key.write_bytes(key_text(sheet).encode())
    for name, text in (
        ("sheet.md", _markdown(roles, sheet)),
        ("sheet.csv", _csv(roles, sheet)),
        ("sheet.html", _html(roles, sheet)),
    ):
        (folder / name).write_text(text, encoding="utf-8", errors="replace", newline="")
    return key


def _markdown(roles: list[SheetRole], sheet: Sheet) -> str:
    lines = [
        *READER_INSTRUCTIONS,
        "Write one line a question into a text file: `ID,score`, or `ID,score,X`; for example `3B,4.5` or `3C,1,X`. Or open "
        "`sheet.html`, or fill in `sheet.csv`.",
        f"Sheet {sheet.hash}",
    ]
    for each in roles:
        lines.append(f"## Role {each.number}\n\n{_heading(each.role)}\n\n{each.role.description}")
        for name, text in each.questions.items():
            lines.append(f"**{name}.**\n\n" + "\n".join(f"> {line}" for line in (text or "(empty)").split("\n")))
    return "\n\n".join(lines) + "\n"


def _heading(role: Role) -> str:
    return (
        f"{role.title} (level {role.level}; focus {role.focus}). Stack: {', '.join(role.stack)}. Key skills: "
        f"{', '.join(role.key_skills)}."
    )


def _csv(roles: list[SheetRole], sheet: Sheet) -> str:
    """The instructions as comments, then a line a question with empty cells for score and X."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerows([f"# {line}"] for line in READER_INSTRUCTIONS)
    writer.writerow([*COLUMNS, "role", "question", "sheet"])
    for each in roles:
        role = f"{_heading(each.role)} {each.role.description}"
        questions = each.questions.items()
        writer.writerows(map(safe_cell, [name, "", "", role, text, sheet.hash]) for name, text in questions)
    return stream.getvalue()


def _html(roles: list[SheetRole], sheet: Sheet) -> str:
    data = {
        "hash": sheet.hash,
        "highest": MAX_SCORE,
        "instructions": READER_INSTRUCTIONS,
        "roles": [
            {**each.role.model_dump(mode="json", exclude={"id"}), "number": each.number, "questions": each.questions}
            for each in roles
        ],
    }
    needs = "keep scores; without it, fill in sheet.csv."
    return page("Questions to be read blind", data, needs, ("elements/dom.js", "sheet.js"), ("page.css", "sheet.css"))
