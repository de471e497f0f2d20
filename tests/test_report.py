"""The report holds everything it shows, and nothing in it can do harm. What it looks like: tests/browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from recruiter.errors import DataError
from recruiter.report import write_report
from tests.conftest import MakeRole, known
from tests.report_data import make_results

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!-- $title"


@pytest.fixture
def page(tmp_path: Path, role: MakeRole) -> tuple[Any, ...]:
    results = make_results(
        [role(i) for i in range(6)],
        {"before": lambda judge, n: 3.0, "after": lambda judge, n: 5.0 + n / 2},
        question=lambda model, index: HOSTILE if index == 0 else f"Why {index}?",
    )
    results.save(tmp_path / "results.json")
    write_report(tmp_path / "results.json", tmp_path / "out/report.html")
    return results, (tmp_path / "out/report.html").read_text(encoding="utf-8")


def element(page: str, opening: str) -> str:
    return page.split(opening, 1)[1].split("</", 1)[0]


def test_all_results_stand_in_the_page(page: tuple[Any, ...]) -> None:
    results, text = page
    shown = json.loads(element(text, '<script type="application/json" id="data">'))
    stored = results.model_dump(mode="json")
    assert {name: shown[name] for name in stored} == stored


def test_the_page_loads_nothing_and_its_policy_allows_only_what_it_holds(page: tuple[Any, ...]) -> None:
    _, text = page
    policy = known(re.search(r'Content-Security-Policy" content="([^"]*)"', text))[1]
    style, script = element(text, "<style>"), text.split('<script type="module">')[1].split("</script>")[0]
    digests = ["sha256-" + base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (style, script)]
    assert policy == f"default-src 'none'; style-src '{digests[0]}'; script-src '{digests[1]}'"
    assert not re.search(r"(?:src|href)=[\"'](?!#)", text.replace(HOSTILE, ""))
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|innerHTML", style + script)


def test_text_of_models_cannot_end_the_element_it_stands_in(page: tuple[Any, ...]) -> None:
    _, text = page
    assert "<img" not in text
    assert text.count("</script>") == 2
    assert "owned" in element(text, '<script type="application/json" id="data">')


def test_missing_results_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no results at .*nowhere\.json"):
        write_report(tmp_path / "nowhere.json", tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
