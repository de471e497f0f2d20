"""An evaluation as one HTML page to read, filter and compare; a sheet for blind reads is another (`sheet.py`).

The page is a single file: results, styles and scripts are written into it. It opens from disk and asks nobody for
anything; its content security policy forbids it to. What models and judges wrote is shown as text, never as markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from recruiter.evaluation.results import Results, load_results
from recruiter.files import replaced
from recruiter.roles import LEVELS

FOLDER = Path(__file__).parent
ELEMENTS = FOLDER / "elements"  # elements and charts; the feedback server serves them to its pages
SCRIPTS = (
    "elements/dom.js",
    "elements/charts.js",
    "results.js",
    "reads.js",
    "figures.js",
    "setup.js",
    "filters.js",
    "questions.js",
    "page.js",
)

TOP = '<a class="skip" href="#questions">Skip to the questions</a>\n<header id="top"></header>\n'
IMPORT = re.compile(r"^import .*;\n", re.MULTILINE)  # of a module that stands before it in the same script


def write_report(results: Path, target: Path) -> None:
    """Write the report of a results file, beside its place and then renamed.

    Raises:
        DataError: there are no results at `results`, or they cannot be read.
    """
    page = report_page(load_results(results))
    with replaced(target) as beside:
        beside.write_text(page, encoding="utf-8", errors="replace")


def report_page(results: Results) -> str:
    """The page as a string."""
    levels: tuple[str, ...] = tuple(LEVELS)
    data = {**results.model_dump(mode="json"), "levels": levels}
    return page(f"Evaluation of {', '.join(results.models)}", data, "show its tables.", SCRIPTS, top=TOP)


def page(
    title: str,
    data: dict[str, Any],
    needs: str,
    scripts: Sequence[str],
    styles: Sequence[str] = ("page.css",),
    top: str = "",
) -> str:
    """A page in one string: its data, styles and scripts, files of this folder, are written into it.

    Args:
        needs: what it cannot do without JavaScript, and what to do then.
        top: markup before its content.
    """
    style = "\n".join(map(_part, styles))
    script = "\n".join(IMPORT.sub("", _part(name)) for name in scripts)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Template(_part("page.html")).substitute(
        title=html.escape(title),
        needs=needs,
        top=top,
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        style=style,
        script=script,
        data=text.replace("<", "\\u003c"),  # it cannot end the element it stands in
    )


def _digest(text: str) -> str:
    """What a content security policy calls an inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _part(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
