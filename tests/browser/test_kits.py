"""From a pasted advertisement to a printed sheet, with a model behind HTTP that writes well: the page Write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import DESKTOP, PATIENCE, free_port, start
from tests.browser.test_accessibility import check
from tests.fake_judge import FakeJudge
from tests.writers.test_advertisements import ADS

WRITTEN = 30_000  # ms
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def model() -> Iterator[FakeJudge]:
    with FakeJudge() as server:
        yield server


@pytest.fixture(scope="module")
def address(model: FakeJudge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, folder = free_port(), tmp_path_factory.mktemp("kits")
    process = start(port, folder, FEEDBACK_MODEL=model.openai_url)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def opened(**options: Any) -> Page:
        context = browser.new_context(**{**DESKTOP, **options})
        context.set_default_timeout(PATIENCE)
        context.add_init_script("window.print = () => { window.printed = true; }")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
        page.goto(f"{address}/write")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors


def test_from_a_pasted_advertisement_to_a_printed_sheet(visit: Visit) -> None:
    page = visit()
    page.get_by_label("Paste an advertisement").fill(ADS["en"])
    page.get_by_role("button", name="Find the role in it").click()
    expect(page.get_by_label("Title")).to_have_value("Senior Backend Engineer", timeout=WRITTEN)
    expect(page.get_by_label("Stack")).to_have_value("Java, Kafka")
    expect(page.locator("#read-result")).to_contain_text("left out 5 lines on benefits")
    expect(page.get_by_label("Title")).to_be_focused()
    page.get_by_label("Title").fill("Ledger Engineer")
    page.get_by_label("Key skills").fill("idempotent consumers, reconciliation, lag")
    page.locator("#count").select_option("2")
    page.locator("#difficulty").select_option("hard")
    page.get_by_role("button", name="Write a kit").click()
    kit = page.locator("#kit-list > li")
    expect(kit).to_have_count(2, timeout=WRITTEN)
    expect(page.locator("#kit-about")).to_contain_text("Not tested by this set: lag.")
    expect(kit.first).to_contain_text("idempotent consumers · hard · 4 min")
    good = kit.first.get_by_label("A good answer, a point a line", exact=False)
    expect(good).to_have_value(re.compile("Compares the broker's"))

    page.get_by_role("textbox", name="Kit question 1").fill("How would you make this consumer idempotent?")
    kit.first.get_by_label("Ask next", exact=False).fill("And with two consumers?")
    page.reload()
    expect(page.get_by_role("textbox", name="Kit question 1")).to_have_value(
        "How would you make this consumer idempotent?"
    )
    expect(page.get_by_label("Title")).to_have_value("Ledger Engineer")
    expect(page.get_by_label("Paste an advertisement")).to_have_value(ADS["en"])

    for name, pages, shown in (("interviewer", 3, True), ("candidate", 1, False)):
        with page.expect_popup() as popup:
            page.get_by_role("button", name=f"Print for the {name}").click()
        sheet = popup.value
        expect(sheet.locator("main")).to_contain_text("How would you make this consumer idempotent?")
        sheet.wait_for_timeout(100)
        assert sheet.evaluate("window.printed")
        assert ("And with two consumers?" in sheet.locator("main").inner_text()) == shown
        assert len(re.findall(rb"/Type\s*/Page\b", sheet.pdf(format="A4"))) == pages
        sheet.close()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == "kit.csv"

    page.get_by_role("button", name="Take question 1 out").click()
    expect(kit).to_have_count(1)
    page.get_by_role("button", name="Throw this kit away").click()
    expect(page.locator("#kit")).to_be_hidden()
    page.reload()
    expect(page.locator("#kit")).to_be_hidden()


def test_a_reload_waits_for_what_is_being_written_and_keeps_questions_and_the_set(
    visit: Visit, model: FakeJudge
) -> None:
    page = visit()
    page.get_by_label("Title").fill("Backend Engineer")
    page.get_by_label("Stack").fill("Go, Kafka")
    page.locator("#count").select_option("2")
    page.get_by_label("Drafts for each").select_option("1")
    page.get_by_role("button", name="Write questions").click()
    expect(page.locator(".question")).to_have_count(2, timeout=WRITTEN)
    page.locator(".question").first.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_label("Name of the set").fill("Round one")
    model.latency = 1.5
    page.get_by_role("button", name="Write a kit").click()
    expect(page.locator("#job-text")).to_contain_text("done")
    page.reload()
    model.latency = 0.0
    expect(page.locator("#kit-list > li")).to_have_count(2, timeout=WRITTEN)
    expect(page.locator(".question")).to_have_count(2)
    expect(page.locator(".question").first.get_by_role("button", name="Kept")).to_be_visible()
    expect(page.get_by_label("Name of the set")).to_have_value("Round one")


def test_a_question_without_a_kit_is_kept_in_the_bank_as_written_and_as_edited(visit: Visit, address: str) -> None:
    page = visit(viewport={"width": 320, "height": 700})
    page.get_by_label("Title").fill("Ledger Engineer")
    page.get_by_label("Stack").fill("Go, Kafka")
    page.locator("#count").select_option("1")
    page.get_by_label("Drafts for each").select_option("1")
    page.get_by_role("button", name="Write questions").click()
    card = page.locator(".question")
    keep = card.get_by_role("button", name="Keep this question in the bank")
    page.get_by_label("Title").fill("Another role")  # it was written for the one before
    keep.click()
    expect(keep).to_have_text(re.compile(r"Kept as number \d+"), timeout=WRITTEN)
    written = card.locator(".question-text").inner_text()
    card.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("textbox", name="Question 1", exact=True).fill(f"{written} Ask the candidate.")
    page.get_by_role("button", name="Keep question 1 of the set in the bank").click()
    dialog = page.locator("#keep-dialog")
    expect(dialog).to_contain_text("Read again")
    expect(dialog).to_contain_text("like number")
    check(page)
    dialog.get_by_role("button", name="Go back").click()
    expect(page.locator("#set-list")).not_to_contain_text("Kept as number")
    page.get_by_role("button", name="Keep question 1 of the set in the bank").click()
    dialog.get_by_role("button", name="Keep it").click()
    expect(page.locator("#set-list")).to_contain_text("Kept as number")
    check(page)
    kept = httpx.get(f"{address}/api/bank").json()["questions"]
    assert [(one["text"], one["role"]["title"]) for one in kept[:2]] == [
        (f"{written} Ask the candidate.", "Another role"), (written, "Ledger Engineer"),
    ]  # fmt: skip
    assert kept[1]["role"]["stack"] == ["Go", "Kafka"]


def test_too_little_and_too_much_is_said_and_nothing_is_cut(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Find the role in it").click()
    expect(page.locator("#notice-text")).to_contain_text("Paste an advertisement first")
    page.get_by_label("Paste an advertisement").fill("word " * 5000)
    page.get_by_role("button", name="Find the role in it").click()
    expect(page.locator("#notice-text")).to_contain_text("24,999 characters, and 20,000 are read")
    assert len(page.get_by_label("Paste an advertisement").input_value()) == 25000


@pytest.mark.parametrize(
    "view", [{"color_scheme": "dark"}, {"viewport": {"width": 320, "height": 640}, "has_touch": True}]
)
def test_a_kit_is_made_by_keyboard_and_fits_a_phone(visit: Visit, view: dict[str, Any]) -> None:
    page = visit(**view)
    page.get_by_label("Title").fill("Backend Engineer")
    page.get_by_label("Stack").fill("Go, Kafka")
    page.locator("#write-kit").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#kit-list > li")).to_have_count(4, timeout=WRITTEN)
    check(page)
