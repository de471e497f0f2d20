"""The page Bank: from a kept question to an edit, a set that was asked, and a retirement."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from recruiter.writers.kit.sheets import render_kits
from tests.browser.conftest import PHONE, Server
from tests.browser.test_accessibility import check
from tests.kits import sample_kit

Visit = Callable[..., Page]
FIRST = "Two workers picked up one job at once after a failover."


def test_a_kit_question_is_kept_edited_asked_and_retired(visit: Visit, server: Server) -> None:
    kit = sample_kit(server.role(7))
    page = visit("/bank")
    expect(page.locator("#range")).to_contain_text("No question is kept yet")
    check(page)
    state = json.dumps({"kit": kit.model_dump(mode="json")})
    page.goto(f"{server.url}/write")
    page.evaluate(
        "state => localStorage.setItem('write:' + document.querySelector('meta[name=identity]').content, state)", state
    )
    page.reload()
    page.get_by_role("button", name="Keep question 1 in the bank").click()
    expect(page.locator("#kit-list")).to_contain_text("Kept as number")
    page.get_by_role("button", name="Keep question 2 in the bank").click()
    expect(page.locator("#kit-list > li").nth(1)).to_contain_text("Kept as number")

    page.goto(f"{server.url}/bank")
    questions = page.locator("#bank-list > li")
    page.get_by_label("Search title").fill("failover job")
    page.get_by_role("button", name="Search").click()
    expect(questions).to_have_count(1)
    questions.first.locator("summary").click()
    expect(questions.first).to_contain_text("A good answer")
    page.get_by_role("button", name="Edit question").click()
    page.get_by_label("Question", exact=True).fill(
        f"{FIRST} How do you make its effect happen only once, and how sure is it?"
    )
    page.get_by_label("Tags, with commas between").fill("Payments, round one")
    page.get_by_label("A good answer, a point a line").fill("Stores the key with the effect.\n\nNames when that fails.")
    page.get_by_label("Minutes for an answer").fill("7")
    check(page)
    page.get_by_role("button", name="Save").click()
    expect(questions.first).to_contain_text("version 2")
    expect(questions.first.get_by_role("list", name="Tags")).to_contain_text("round one")
    questions.first.get_by_text("Versions, uses and guide").click()
    expect(questions.first.get_by_role("listitem").filter(has_text="Names when that fails.")).to_be_visible()
    past = questions.first.get_by_text("Guide of version 1")
    past.click()
    expect(past.locator("xpath=..")).to_contain_text("Compares the broker's")
    questions.first.get_by_role("button", name="Edit question").click()
    expect(page.get_by_label("Minutes for an answer")).to_have_value("7")
    page.get_by_label("Ask next, one a line").fill("And with two consumers?")
    page.get_by_role("button", name="Save").click()
    expect(questions.first).to_contain_text("version 3")
    questions.first.get_by_text("Versions, uses and guide").click()
    expect(questions.first).to_contain_text("another guide")
    check(page)

    page.get_by_label("Into the set").check()
    page.get_by_label("Name of the set").fill("Monday")
    page.get_by_label("Role", exact=True).fill("Backend Engineer")
    page.get_by_role("button", name="Note it").click()
    expect(questions.first).to_contain_text("used 1 time")

    page.get_by_role("button", name="Retire question").click()
    page.get_by_label("Why").fill("On a forum")
    page.locator("#retire-dialog").get_by_role("button", name="Retire").click()
    expect(page.locator("#notice-text")).to_contain_text("is retired")
    expect(questions).to_have_count(0)
    page.get_by_label("Show").select_option("retired")
    page.get_by_role("button", name="Search").click()
    expect(questions.first).to_contain_text("On a forum")
    check(page)


@pytest.mark.parametrize("view", [{"color_scheme": "dark"}, PHONE, {"viewport": {"width": 320, "height": 640}}])
def test_a_file_is_taken_in_and_what_is_alike_is_shown(visit: Visit, server: Server, view: dict[str, Any]) -> None:
    page = visit("/bank", **view)
    kits = render_kits([sample_kit(server.role(8))], "json")
    page.get_by_label("File of questions").set_input_files(
        {"name": "kits.json", "mimeType": "application/json", "buffer": kits.encode()}
    )
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#import-told")).to_contain_text("Took in")
    page.get_by_label("Search title").fill("area 8 replication")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#bank-list > li")).to_have_count(1)
    page.get_by_role("button", name="Edit question").click()
    page.get_by_label("Question", exact=True).fill(f"{FIRST} How do you make its effect happen just once?")
    page.get_by_role("button", name="Save").click()
    dialog = page.locator("#keep-dialog")
    expect(dialog).to_contain_text("like number")
    check(page)
    dialog.get_by_role("button", name="Go back").click()
    check(page)
