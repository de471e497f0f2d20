"""axe-core finds nothing on any page, light and dark, wide and narrow, in the states that a rater meets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import PHONE, Server

Visit = Callable[..., Page]
AXE = Axe()
SMALLEST = {"viewport": {"width": 320, "height": 256}}  # what 400% of 1280 × 1024 leaves, as WCAG 1.4.10 asks
WIDE = {"viewport": {"width": 1600, "height": 900}}
VIEWS = [
    {"color_scheme": "light"},
    {"color_scheme": "dark", **WIDE},
    {"color_scheme": "dark", **PHONE},
    {"color_scheme": "light", **SMALLEST},
]
NAMES = ["light", "dark", "phone", "320px"]
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft-" + "x" * 30
OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll(".candidate:not([hidden]) legend, .candidate:not([hidden]) .scale")]
    .filter((one) => one.offsetParent).map((one) => [one.textContent.trim(), one.getBoundingClientRect()]);
  return boxes.flatMap(([name, a], i) => boxes.slice(i + 1)
    .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1)
    .filter(([, b]) => Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
    .map(([other]) => `${name} / ${other}`));
}"""


def check(page: Page) -> None:
    """No violation at all, of the rules for WCAG 2.2 A and AA and of good practice; and nothing to scroll sideways."""
    page.wait_for_timeout(250)  # colours fade in
    found = AXE.run(page).response["violations"]
    told = [
        f"{v['id']} ({v['impact']}): {v['nodes'][0]['html'][:200]} {v['nodes'][0]['failureSummary']}" for v in found
    ]
    assert not told, "\n".join(told)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture(params=VIEWS, ids=NAMES)
def look(request: pytest.FixtureRequest, visit: Visit) -> Visit:
    return lambda path: visit(path, **request.param)


def test_the_rating_page(look: Visit, server: Server) -> None:
    server.add(role={**server.role(7).model_dump(mode="json"), "title": LONG})
    page = look("/")
    page.locator("#rating").wait_for()
    check(page)
    overlapping = page.evaluate(OVERLAPS)
    assert not overlapping
    for key in ("1", "Enter", "=", "s"):  # a rating, what is missing, all equal, the dialog
        page.keyboard.press(key)
    check(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    check(page)


@pytest.mark.parametrize("task", ["rank", "best_worst", "pairs"])
def test_the_other_tasks(look: Visit, server: Server, task: str) -> None:
    server.add(
        "word " * 40 + LONG, "How?", "Why?", "When?", "Where to?", "Who?", "What for?", task=task, sheet="b" * 64
    )
    page = look("/")
    page.locator("#rating").wait_for()
    for key in ("1", "Enter"):
        page.keyboard.press(key)
    check(page)
    overlapping = page.evaluate(OVERLAPS)
    assert not overlapping


def test_the_empty_queue(look: Visit) -> None:
    page = look("/")
    page.locator("#empty").wait_for()
    for summary in page.locator("#empty summary").all():
        summary.click()
    check(page)


@pytest.mark.parametrize("path", ["/stats", "/runs", "/owner", "/write", "/join", "/nowhere"])
def test_the_other_pages(look: Visit, server: Server, path: str) -> None:
    if path == "/runs":
        steps = [{"step": i, "reward": 0.1 * i, "rated": 8 - i, "unscored": i} for i in range(1, 5)]
        server.report("a-run", step=5, total_steps=9, state="waiting", waiting_groups=["some-group"], recent=steps)
    page = look(path)
    page.wait_for_load_state("networkidle")
    check(page)
