"""The page of a kit in a real browser: one printed page a question on A4 and Letter, nothing cut, text as text, and a phone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from recruiter.roles import Role
from recruiter.writers.kit.sheets import render_kits
from tests.browser.conftest import DESKTOP
from tests.conftest import known
from tests.kits import sample_kit

Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path, role: Callable[..., Role]) -> Iterator[Open]:
    """Open a rendered kit offline."""
    context = browser.new_context(**DESKTOP)
    context.set_offline(True)

    def show(for_candidate: bool = False, **changes: Any) -> Page:
        path = tmp_path / f"kit-{for_candidate}.html"
        path.write_text(render_kits([sample_kit(role(2), **changes)], "html", for_candidate), encoding="utf-8")
        page = context.new_page()
        page.goto(path.as_uri())
        return page

    yield show
    context.close()


def pages(page: Page, size: str) -> int:
    """Pages that are printed on paper of this size."""
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format=size)))


@pytest.mark.parametrize("size", ["A4", "Letter"])
@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_one_page_a_question_and_one_before_them(opened: Open, size: str, language: str) -> None:
    assert pages(opened(language=language), size) == 1 + 3
    assert pages(opened(for_candidate=True, language=language), size) == 1


@pytest.mark.parametrize(("width", "height"), [(794 - 106, 1123 - 106), (816 - 106, 1056 - 106)])
def test_each_printed_page_has_room_for_notes_and_a_score(opened: Open, width: int, height: int) -> None:
    page = opened()
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(media="print")
    for section in page.locator(".page:not(.cover)").all():
        assert known(section.bounding_box())["height"] <= height
        notes = known(section.locator(".notes").bounding_box())
        assert notes["height"] >= 100
        assert section.locator(".scale .box").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_stays_text_and_the_candidate_sees_questions_only(opened: Open) -> None:
    page = opened()
    assert page.locator(".page b").count() == 0
    assert "<b>Replication</b>" in page.locator(".question").nth(1).inner_text()
    assert "Missing here: No guide: starter wrote none that can be used." in page.locator(".missing").inner_text()
    assert not Axe().run(page).response["violations"]
    told = opened(for_candidate=True).locator("body").inner_text()
    for secret in ("idempotent", "broker", "hard", "writer", "score", "Missing"):
        assert secret.lower() not in told.lower()
    assert "Two workers picked up one job" in told


def test_a_phone_shows_it_without_scrolling_sideways(opened: Open) -> None:
    page = opened()
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
