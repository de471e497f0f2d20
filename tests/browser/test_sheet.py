"""The page of a sheet in a real browser, opened from disk without a network: read by keyboard and on a phone, and handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from recruiter.evaluation.blind import make_sheet
from recruiter.evaluation.readings import read_readings
from recruiter.evaluation.records import Mark, Reading, Sheet
from recruiter.report.sheet import write_sheet
from tests.browser.conftest import DESKTOP, PATIENCE, PHONE
from tests.conftest import MakeRole
from tests.report_data import make_results

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> Why & how?"


@pytest.fixture
def sheet(role: MakeRole, tmp_path: Path) -> tuple[Path, Sheet]:
    """A sheet of two models' questions for three roles."""
    questions = {("rl", 1): HOSTILE, ("rl", 2): "First line.\nSecond line?"}
    results = make_results(
        [role(i) for i in range(3)],
        {"base": lambda judge, n: 4.0, "rl": lambda judge, n: 6.0},
        question=lambda model, n: questions.get((model, n), f"Case {n} for {len(model)}: why is it slow?"),
    )
    made = make_sheet(results, 0)
    write_sheet(results, made, tmp_path / "sheet")
    return tmp_path / "sheet/sheet.html", made


@pytest.fixture
def visit(browser: Browser, sheet: tuple[Path, Sheet]) -> Iterator[Callable[..., Page]]:
    """Open the page offline, in a browser of its own or in one that has seen it. Errors and requests fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []
    requests: list[str] = []

    def opened(context: BrowserContext | None = None, **options: object) -> Page:
        if context is None:
            context = browser.new_context(**{**DESKTOP, **options})
            context.set_default_timeout(PATIENCE)
            context.set_offline(True)
            contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(sheet[0].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors
    assert all(url.startswith(("file:", "blob:")) for url in requests)


def exported(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_it_is_read_by_keyboard_and_what_it_exports_is_taken_in(
    visit: Callable[..., Page], sheet: tuple[Path, Sheet], tmp_path: Path
) -> None:
    page = visit()
    expect(page.get_by_role("heading", level=1)).to_have_text("Questions to be read blind")
    expect(page.locator("#content > p").first).to_contain_text("Do not try to find out")
    expect(page.get_by_role("status")).to_have_text("0 of 6 questions read.")
    page.get_by_role("button", name="Next unread").press("Enter")
    expect(page.get_by_label("Score of 1A")).to_be_focused()
    keys = page.keyboard
    for pressed in (
        "6",
        ".",
        "5",
        "Enter",
        "1",
        "0",
        "ArrowDown",
        "x",
        "1",
        "Enter",
        "1",
        "1",
        "Enter",
        "7",
        "ArrowUp",
    ):
        keys.press(pressed)
    expect(page.get_by_label("Score of 2B")).to_be_focused()
    expect(page.get_by_label("Score of 2B")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("2A makes no sense")).to_be_checked()
    expect(page.get_by_role("status")).to_have_text("4 of 6 questions read.")
    page.get_by_role("button", name="Export as CSV").click()
    expect(page.get_by_role("status")).to_contain_text("Write your name first.")
    expect(page.get_by_label("Your name")).to_be_focused()
    keys.type('Anna "Q", Berlin')
    path = exported(page, tmp_path)
    assert path.name == "reading-Anna-Q-Berlin.csv"
    marks = {"1A": Mark(score=6.5), "1B": Mark(score=10), "2A": Mark(score=1, no_sense=True), "3A": Mark(score=7)}
    assert read_readings(path, sheet[1]) == {'Anna "Q", Berlin': Reading(kind="person", marks=marks)}


def test_progress_stays_in_the_browser(visit: Callable[..., Page], tmp_path: Path, sheet: tuple[Path, Sheet]) -> None:
    page = visit()
    page.get_by_label("Your name").fill("some/model")
    page.get_by_label("You are a").select_option("language model")
    page.get_by_label("Score of 1B").fill("3,5")
    page.get_by_label("1B makes no sense").check()
    context = page.context
    page.close()
    again = visit(context)
    expect(again.get_by_role("status")).to_have_text("1 of 6 questions read.")
    expect(again.get_by_label("Score of 1B")).to_have_value("3,5")
    expect(again.get_by_label("1B makes no sense")).to_be_checked()
    found = read_readings(exported(again, tmp_path), sheet[1])
    assert found == {"some/model": Reading(kind="language model", marks={"1B": Mark(score=3.5, no_sense=True)})}


def test_questions_are_text_and_nothing_says_who_wrote_them(visit: Callable[..., Page]) -> None:
    page = visit()
    expect(page.locator("blockquote").filter(has_text="<img")).to_have_text(HOSTILE)
    assert page.title() == "Questions to be read blind"
    text = page.content()
    assert '"rl"' not in text
    assert '"base"' not in text


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_is_accessible_and_fits(visit: Callable[..., Page], size: dict[str, object]) -> None:
    page = visit(**size)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    for label in ("Score of 1A", "1A makes no sense"):
        box = page.get_by_label(label).locator("xpath=..").bounding_box()
        assert box is not None
        assert box["height"] >= 44
    assert page.get_by_label("Score of 1A").get_attribute("inputmode") == "decimal"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
