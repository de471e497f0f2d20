"""Putting questions in order, naming the best and the worst, comparing pairs: by keyboard, mouse and touch, with drafts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, QUESTIONS, Server
from tests.browser.test_rate import card, is_empty, press, ready

Visit = Callable[..., Page]
SHEET = "a" * 64


def rewards(server: Server, group: str) -> list[float]:
    return [result["reward"] for result in server.view(group)["results"]]


def texts(page: Page) -> list[str]:
    return page.locator(".candidate-text").all_inner_texts()


def choose(page: Page, question: str, label: str) -> None:
    card(page, question).locator(".scale label").filter(has_text=label).click()


def test_an_order_with_the_keyboard_survives_a_reload(visit: Visit, server: Server) -> None:
    group = server.add(task="rank")
    page = visit()
    ready(page)
    expect(page.locator("#task")).to_contain_text("Put the questions in order")
    order = [QUESTIONS.index(text) for text in texts(page)]
    press(page, "2 1 Enter")
    expect(page.locator(".criterion.missing")).to_have_count(1)
    page.reload()
    ready(page)
    expect(page.locator("#said")).to_have_text("Continued from your draft.")
    expect(page.locator("#rated-text")).to_have_text("2 of 3 ratings")
    press(page, "j j j 2 Enter")
    is_empty(page)
    found = rewards(server, group)
    assert [found[index] for index in order] == pytest.approx([0.25, 1.0, 0.25])
    page.keyboard.press("u")
    ready(page)
    expect(page.locator("#rated-text")).to_have_text("3 of 3 ratings")


def test_the_best_and_the_worst_with_the_mouse(visit: Visit, server: Server) -> None:
    group = server.add(task="best_worst")
    page = visit()
    ready(page)
    choose(page, QUESTIONS[0], "Best")
    choose(page, QUESTIONS[1], "Best")  # there is one best: the other is between now
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".criterion.missing")).to_have_count(1)
    choose(page, QUESTIONS[0], "Worst")
    expect(page.locator("#rated-text")).to_have_text("3 of 3 ratings")
    page.get_by_role("button", name="Submit").click()
    is_empty(page)
    assert rewards(server, group) == pytest.approx([0.0, 1.0, 0.5])


def test_pairs_on_a_phone_and_no_difference(visit: Visit, server: Server) -> None:
    group = server.add(task="pairs")
    page = visit(**PHONE)
    ready(page)
    assert page.locator(".candidate").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for pair in page.locator(".candidate").all():
        one, other = pair.locator(".candidate-text").all_inner_texts()
        worse = QUESTIONS[1] in (one, other)
        place = 1 if not worse else 2 if one == QUESTIONS[1] else 0
        pair.locator(".scale label").nth(place).tap()
    page.get_by_role("button", name="Submit").tap()
    is_empty(page)
    assert rewards(server, group) == pytest.approx([0.75, 0.0, 0.75])


def test_all_equal_is_one_key_and_can_be_taken_back(visit: Visit, server: Server) -> None:
    for task in ("rank", "best_worst", "pairs"):
        group = server.add(task=task)
        page = visit()
        ready(page)
        page.keyboard.press("=")
        expect(page.locator("#all-equal")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("=")
        expect(page.locator("#rated-text")).to_have_text("0 of 3 ratings")
        press(page, "= Control+Enter")
        is_empty(page)
        assert rewards(server, group) == [0.5] * 3
        assert server.view(group)["all_equal"]


def test_comments_and_what_makes_no_sense_of_a_blind_sheet(visit: Visit, server: Server) -> None:
    group = server.add(task="pairs", sheet=SHEET)
    page = visit()
    ready(page)
    assert page.locator(".remark-box").count() == 3  # each question has one, however often it is compared
    box = page.locator(".pair > div").filter(has_text=QUESTIONS[2]).locator(".remark-box").first
    box.get_by_label("It makes no sense").check()
    box.get_by_text("Comment, or a better wording").click()
    box.get_by_label("Comment").fill("odd")
    page.reload()
    ready(page)
    expect(page.get_by_label("It makes no sense").and_(page.locator(":checked"))).to_have_count(1)
    press(page, "= Control+Enter")
    is_empty(page)
    readings = server.client.get(f"/api/sheets/{SHEET}/readings").json()["readings"]
    mine = [row for row in readings if row["ID"].startswith(group.rpartition("-")[2])]
    assert [(row["score"], row["X"]) for row in mine] == [(5.0, ""), (5.0, ""), (5.0, "X")]


def test_ordinary_groups_do_not_ask_what_makes_no_sense(visit: Visit, server: Server) -> None:
    server.add()
    page = visit()
    ready(page)
    expect(page.get_by_label("It makes no sense").first).to_be_hidden()
    expect(page.locator("#task")).to_be_hidden()
