"""With a real model: practice groups on the empty rating page, and questions for a recruiter's own role."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from recruiter.writers.starter import ensure_starter
from tests import REPOSITORY
from tests.browser.conftest import DESKTOP, free_port, start

WRITTEN = 180_000  # ms that a small model may take on a busy machine


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose model is the starter model."""
    ensure_starter(REPOSITORY / "exports/starter")
    port, folder = free_port(), tmp_path_factory.mktemp("writing")
    process = start(port, folder, FEEDBACK_MODEL="starter")
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[[str], Page]]:
    context = browser.new_context(**DESKTOP, permissions=["clipboard-read", "clipboard-write"])

    def opened(path: str) -> Page:
        page = context.new_page()
        page.goto(address + path)
        return page

    yield opened
    context.close()


def test_a_random_role_to_practise_with(visit: Callable[[str], Page]) -> None:
    page = visit("/")
    page.get_by_role("button", name="Questions for a random role").click()
    expect(page.locator("#practice-progress")).to_be_visible()
    expect(page.locator("#rating")).to_be_visible(timeout=WRITTEN)
    expect(page.locator("#what-for")).to_contain_text("For practice")
    criteria = page.locator(".candidate:visible .criterion")
    count = criteria.count()
    assert count >= 3
    for value in range(count):
        page.keyboard.press(str(1 + value % 5))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    expect(page.locator("#mine-today")).to_have_text("0")


def test_questions_for_a_role_are_judged_kept_saved_and_printed(visit: Callable[[str], Page]) -> None:
    page = visit("/write")
    page.get_by_label("Start from an example").select_option(label="Backend Engineer, Frequency Capping")
    expect(page.get_by_label("Stack")).to_have_value("Go, gRPC, Aerospike, Kafka, Kubernetes")
    page.locator("#count").select_option("2")
    page.get_by_label("Drafts for each").select_option("1")
    page.get_by_role("button", name="Write questions").click()
    cards = page.locator(".question")
    expect(cards).to_have_count(2, timeout=WRITTEN)
    for card in cards.all():
        assert [float(text) for text in card.locator("dd").all_inner_texts()]
        expect(card.locator(".question-why")).not_to_be_empty()
    overall = [float(card.locator("dd").first.inner_text()) for card in cards.all()]
    assert overall == sorted(overall, reverse=True)

    text = cards.first.locator(".question-text").inner_text()
    cards.first.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == text
    cards.first.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("textbox", name="Question 1").fill("How would you cap an advert at five views?")
    page.get_by_label("Name of the set").fill("Round one")
    page.get_by_role("button", name="Save").click()
    page.reload()
    page.get_by_label("Saved sets").select_option("Round one")
    expect(page.get_by_role("textbox", name="Question 1")).to_have_value("How would you cap an advert at five views?")
    expect(page.get_by_label("Title")).to_have_value("Backend Engineer, Frequency Capping")

    page.evaluate("window.print = () => {}")
    page.get_by_role("button", name="Print").click()
    page.emulate_media(media="print")
    expect(page.locator("#printed")).to_be_visible()
    expect(page.locator("#role")).to_be_hidden()
    expect(page.locator("#printed li")).to_contain_text("How would you cap")
