"""Rating a group: by keyboard, by mouse, by touch; skipping, undoing, editing; what is kept when something goes wrong."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any, cast

from playwright.sync_api import Locator, Page, expect

from recruiter.rubric import load_rubric
from tests.browser.conftest import LEASE_SECONDS, PHONE, QUESTIONS, Server

Visit = Callable[..., Page]
CRITERIA = load_rubric().names


def card(page: Page, question: str) -> Locator:
    """The card of a question; cards are shuffled."""
    return page.locator(".candidate").filter(has_text=question)


def choose(page: Page, question: str, *values: int, tap: bool = False) -> None:
    for criterion, value in zip(CRITERIA, values, strict=True):
        cell = card(page, question).locator(f"[data-criterion={criterion}] label").nth(value - 1)
        cell.tap() if tap else cell.click()


def rated(server: Server, group: str) -> dict[str, tuple[float, ...]]:
    """What training gets: the ratings by question."""
    results = server.view(group)["results"]
    return {QUESTIONS[r["question_index"]]: tuple(r["scores"][name] for name in CRITERIA) for r in results}


def ready(page: Page) -> None:
    page.locator("#rating").wait_for()


def is_empty(page: Page) -> None:
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()


def press(page: Page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def test_a_group_is_rated_with_the_keyboard_alone(visit: Visit, server: Server) -> None:
    group = server.add()
    page = visit()
    expect(page.get_by_role("heading", name="Backend Engineer, Area 7")).to_be_visible()
    order = page.locator(".candidate:not(#equal-card) .candidate-text").all_inner_texts()
    assert sorted(order) == sorted(QUESTIONS)
    press(page, "5 4 5 2 1 3 Enter")  # one question is left out
    expect(page.locator(".criterion.missing")).to_have_count(3)
    assert server.view(group)["status"] == "leased"
    press(page, "k k ArrowDown 3 j ArrowUp 2 j j 1 1 1 Enter")
    is_empty(page)
    expected = {order[0]: (5, 3, 2), order[1]: (2, 1, 3), order[2]: (1, 1, 1)}
    assert rated(server, group) == expected


def test_a_group_is_rated_with_the_mouse(visit: Visit, server: Server) -> None:
    group = server.add()
    page = visit()
    for question, value in zip(QUESTIONS, (5, 1, 3), strict=True):
        choose(page, question, value, value, 2)
    expect(page.locator("#rated-text")).to_have_text("9 of 9 ratings")
    page.get_by_role("button", name="Submit").click()
    is_empty(page)
    assert rated(server, group) == {QUESTIONS[0]: (5, 5, 2), QUESTIONS[1]: (1, 1, 2), QUESTIONS[2]: (3, 3, 2)}
    expect(page.locator("#mine-today")).to_have_text("1")


def test_a_group_is_rated_on_a_phone(visit: Visit, server: Server) -> None:
    group = server.add("word " * 60 + "https://example.org/" + "a" * 120, *QUESTIONS[1:])
    page = visit(**PHONE)
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    small = page.evaluate(
        "[...document.querySelectorAll('button, .scale label, nav a, summary')].filter(e => e.offsetParent)"
        ".map(e => [e.textContent.trim(), e.getBoundingClientRect()]).filter(([_, r]) => r.width < 44 || r.height < 44)"
        ".map(([text]) => text)"
    )
    assert small == []
    for question, value in zip(("example.org", *QUESTIONS[1:]), (2, 1, 4), strict=True):
        choose(page, question, value, 5, value, tap=True)
    page.get_by_role("button", name="Submit").tap()
    is_empty(page)
    assert server.view(group)["results"][2]["scores"]["relevance"] == 4


def test_skipping_asks_why_and_undo_opens_the_group_again(visit: Visit, server: Server) -> None:
    is_empty(visit())  # another rater is there, so that one skip does not close the group
    group = server.add()
    page = visit()
    ready(page)
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Why skip this group?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#rating")).to_be_visible()
    press(page, "s 2")
    is_empty(page)
    assert server.view(group)["status"] == "pending"
    page.get_by_role("button", name="Undo my last answer").click()
    ready(page)
    assert server.view(group)["status"] == "leased"
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="The text is broken").click()
    is_empty(page)
    view = server.view(group)
    assert (view["status"], view["skip_reason"]) == ("skipped", "broken_text")


def test_undo_and_change_until_training_has_used_it(visit: Visit, server: Server) -> None:
    group = server.add()
    page = visit()
    ready(page)
    press(page, "1 2 3 4 5 1 2 3 4 Enter")
    is_empty(page)
    page.keyboard.press("u")
    ready(page)
    expect(page.locator("#rated-text")).to_have_text("9 of 9 ratings")
    press(page, "j 5 Control+Enter")
    is_empty(page)
    first = page.locator("#recent-list li").first
    page.get_by_text("My recent ratings").click()
    first.get_by_role("button", name="Change").click()
    ready(page)
    press(page, "j 4 Enter")
    is_empty(page)
    assert sorted(values[0] for values in rated(server, group).values()) == [2, 4, 4]

    server.post("/api/groups/consume", ids=[group], step=4)
    page.keyboard.press("u")
    expect(page.get_by_role("alert")).to_contain_text("Training has used these ratings already")
    press(page, "j 1 Enter")
    expect(page.get_by_role("alert")).to_contain_text("Stored as a revision")
    assert sorted(values[0] for values in rated(server, group).values()) == [2, 4, 4]


def test_a_comment_and_a_better_wording_are_entered_kept_and_submitted(visit: Visit, server: Server) -> None:
    server.add(run="remarks")
    page = visit()
    ready(page)
    press(page, "1 2 3 4 5 1 2 3 4")
    mine = card(page, "What is Python?")
    mine.get_by_text("Comment, or a better wording").click()
    expect(mine.get_by_label("How I would ask it")).to_have_value("What is Python?")
    mine.get_by_label("Comment").fill("recall")
    mine.get_by_label("How I would ask it").fill("When would you not take Python?")
    other = card(page, "index on (a, b)")
    other.get_by_text("Comment, or a better wording").click()  # looked at, and left as it is
    page.reload()
    ready(page)
    expect(mine.get_by_label("How I would ask it")).to_have_value("When would you not take Python?")
    page.get_by_role("button", name="Submit").click()
    is_empty(page)
    pairs = page.evaluate("fetch('/api/export?what=pairs&run=remarks&format=json').then((r) => r.json())")
    assert [(one["rejected"], one["chosen"], one["comment"]) for one in pairs] == [
        ("What is Python?", "When would you not take Python?", "recall")
    ]


def test_all_equal_is_an_answer_of_its_own(visit: Visit, server: Server) -> None:
    groups = [server.add(), server.add()]
    page = visit()
    ready(page)
    press(page, "=")
    expect(page.locator("#equal-card")).to_contain_text("teaches it nothing")
    press(page, "3 3 4 Enter")
    expect(page.locator("#mine-today")).to_have_text("1")
    ready(page)
    press(page, "2 2 2 2 2 2 2 2 2 Enter")  # the same throughout, without having said so
    page.get_by_role("button", name="They are equal").click()
    is_empty(page)
    assert [server.view(group)["all_equal"] for group in groups] == [True, True]
    assert set(rated(server, groups[0]).values()) == {(3, 3, 4)}


def test_identical_questions_are_shown_once(visit: Visit, server: Server) -> None:
    group = server.add("Why?", "Why?")
    page = visit()
    expect(page.locator(".candidate-text")).to_have_text(["Why?"])
    expect(page.get_by_role("button", name="All equal")).to_be_hidden()
    press(page, "2 3 4 Enter")
    is_empty(page)
    assert [r["scores"]["clarity"] for r in server.view(group)["results"]] == [3, 3]


def test_what_a_model_writes_is_text_whatever_it_holds(visit: Visit, server: Server) -> None:
    text = "<img src=x onerror=\"document.title='caught'\"> <script>document.title='caught'</script> {{ 7 * 7 }}"
    server.add(text, "Why?")
    page = visit()
    expect(card(page, "onerror").locator(".candidate-text")).to_have_text(text)
    assert "caught" not in page.title()
    assert page.locator(".candidate-text img").count() == 0


def test_the_draft_survives_a_reload_and_a_closed_tab(visit: Visit, server: Server) -> None:
    server.add()
    page = visit()
    ready(page)
    press(page, "1 2 3 4")
    page.reload()
    expect(page.locator("#rated-text")).to_have_text("4 of 9 ratings")
    context = page.context
    page.close()
    page = context.new_page()
    page.goto(server.url)
    expect(page.locator("#rated-text")).to_have_text("4 of 9 ratings")


def test_a_draft_is_its_raters_and_follows_the_questions(visit: Visit, server: Server) -> None:
    """Two people at one browser: the second one's page is shuffled otherwise and starts empty."""
    group = server.add(overlap=2)
    page = visit()
    ready(page)
    for question, value in zip(QUESTIONS, (5, 4, 1), strict=True):
        choose(page, question, value, value, value)
    order = page.locator(".candidate:not(#equal-card) .candidate-text").all_inner_texts()
    context, kept = page.context, page.context.cookies()
    for _ in range(10):  # until the second person's order is another one
        context.clear_cookies()
        page.goto(server.url)
        ready(page)
        expect(page.locator("#rated-text")).to_have_text("0 of 9 ratings")
        if page.locator(".candidate:not(#equal-card) .candidate-text").all_inner_texts() != order:
            break
    page.locator(".candidate:not(#equal-card) .scale label").first.click()
    context.clear_cookies()
    context.add_cookies(cast(Any, kept))
    page.goto(server.url)
    ready(page)
    expect(page.locator("#said")).to_have_text("Continued from your draft.")
    expect(page.locator("#rated-text")).to_have_text("9 of 9 ratings")
    page.get_by_role("button", name="Submit").click()
    page.locator("#mine-today").get_by_text("1").wait_for()
    server.post("/api/groups/expire", ids=[group])
    assert rated(server, group) == {q: (v,) * 3 for q, v in zip(QUESTIONS, (5, 4, 1), strict=True)}


def test_enter_in_the_note_of_a_skip_takes_no_reason_by_itself(visit: Visit, server: Server) -> None:
    is_empty(visit())
    group = server.add()
    page = visit()
    ready(page)
    page.keyboard.press("s")
    page.locator("#skip-note").fill("about databases I know nothing")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Something else")).to_be_focused()
    assert server.view(group)["status"] == "leased"
    page.keyboard.press("Enter")
    is_empty(page)
    assert page.evaluate("fetch('/api/stats').then((r) => r.json())")["skips"]["other"] >= 1


def test_a_second_tab_that_answers_otherwise_is_told(visit: Visit, server: Server) -> None:
    group = server.add()
    page = visit()
    ready(page)
    other = page.context.new_page()
    other.goto(server.url)
    ready(other)
    press(page, "1 2 3 4 5 1 2 3 4 Enter")
    is_empty(page)
    press(other, "5 5 5 4 4 4 3 3 3 Enter")
    expect(other.get_by_role("alert")).to_contain_text("other ratings of this group already")
    is_empty(other)
    assert server.view(group)["raters"] == 1


def test_a_group_that_is_deleted_under_a_rater_is_said_to_be(visit: Visit, server: Server) -> None:
    group = server.add()
    page = visit()
    ready(page)
    token = page.evaluate("document.querySelector('meta[name=csrf-token]').content")
    page.evaluate(
        "([group, token]) => fetch(`/api/owner/groups/${group}`, {method: 'DELETE', headers: {'X-CSRF-Token': token}})",
        [group, token],
    )
    server.groups.remove(group)
    press(page, "1 2 3 4 5 1 2 3 4 Enter")
    expect(page.get_by_role("alert")).to_contain_text("was deleted")
    is_empty(page)


def test_a_closed_tab_gives_the_group_back(visit: Visit, server: Server) -> None:
    group = server.add()
    page = visit()
    ready(page)
    assert server.view(group)["status"] == "leased"
    page.close(run_before_unload=True)
    ready(visit())


def test_a_lease_that_another_rater_took_is_said_and_the_draft_kept(visit: Visit, server: Server) -> None:
    server.add()
    page = visit()
    ready(page)
    press(page, "1 2 3")
    page.context.set_offline(True)
    page.wait_for_timeout(LEASE_SECONDS * 1000 + 500)
    other = visit()
    expect(other.locator("#rating")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_contain_text("another rater has taken that group", timeout=12_000)
    press(other, "1 1 1 2 2 2 3 3 3 Enter")
    is_empty(other)


def test_a_rater_who_went_away_no_longer_holds_the_group(visit: Visit, server: Server) -> None:
    group = server.add()
    page = visit("/join")
    page.clock.install()
    page.goto(server.url)
    ready(page)
    press(page, "1 2 3")
    page.clock.fast_forward("11:00")
    expect(page.get_by_role("alert")).to_contain_text("You were away")
    assert server.view(group)["status"] in ("leased", "pending")
    page.get_by_role("button", name="Go on").click()
    ready(page)
    expect(page.locator("#rated-text")).to_have_text("3 of 9 ratings")


def test_ratings_wait_for_a_server_that_is_away(visit: Visit, server: Server) -> None:
    group = server.add()
    page = visit()
    ready(page)
    server.process.send_signal(signal.SIGSTOP)
    try:
        page.context.set_offline(True)
        press(page, "1 2 3 4 5 1 2 3 4 Enter")
        expect(page.get_by_role("alert")).to_contain_text("kept in this browser")
    finally:
        server.process.send_signal(signal.SIGCONT)
    page.context.set_offline(False)
    is_empty(page)
    assert server.view(group)["status"] == "rated"


def test_what_training_waits_for_is_shown(visit: Visit, server: Server) -> None:
    server.report("night-run", step=5, total_steps=9, state="waiting", waiting_groups=[server.add()])
    page = visit()
    waits = re.compile("night-run, step 5, has waited .* for 1 group")
    expect(page.locator("#training-waits")).to_have_text(waits, timeout=20_000)  # the page asks every 15 s


def test_the_focus_and_the_words_are_where_the_rater_is(visit: Visit, server: Server) -> None:
    server.add(), server.add()
    page = visit()
    ready(page)
    expect(page.locator("#role-title")).to_be_focused()
    press(page, "1 2 3")
    expect(page.locator("#said")).to_have_text("Kept in this browser until you submit.")
    press(page, "4 5 1 2 3 4 Enter")
    expect(page.locator("#said")).to_have_text("Saved.")
    expect(page.locator("#role-title")).to_be_focused()
    mine, team = page.locator("#mine-today"), page.locator("#team-today")
    expect(mine).to_have_text("1")
    assert int(team.inner_text()) >= 1
    page.locator(".candidate").last.scroll_into_view_if_needed()
    page.context.set_offline(True)
    press(page, "1 2 3 4 5 1 2 3 4 Enter")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    page.context.set_offline(False)
    is_empty(page)
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_focused()


def test_changing_an_old_rating_does_not_look_like_new_work(visit: Visit, server: Server) -> None:
    server.add()
    page = visit()
    ready(page)
    expect(page.locator("#what-for")).to_be_hidden()
    press(page, "1 2 3 4 5 1 2 3 4 Enter")
    is_empty(page)
    page.get_by_text("My recent ratings").click()
    page.get_by_role("button", name="Change").first.click()
    expect(page.locator("#what-for")).to_contain_text("You are changing what you rated")
    press(page, "5 Enter")
    is_empty(page)
    page.keyboard.press("u")
    expect(page.locator("#what-for")).to_contain_text("changing an answer that you submitted")
    expect(page.locator("#mine-today")).to_have_text("1")


def test_single_keys_can_be_switched_off(visit: Visit, server: Server) -> None:
    server.add()
    page = visit()
    ready(page)
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.get_by_role("button", name="Close").click()
    press(page, "1 2 3")
    expect(page.locator("#rated-text")).to_have_text("0 of 9 ratings")


def test_without_a_model_the_page_says_how_to_get_one(visit: Visit) -> None:
    page = visit()
    is_empty(page)
    expect(page.locator("#model-text")).to_contain_text("model")
    expect(page.get_by_role("button", name="Questions for a random role")).to_be_disabled()


def test_a_question_handed_in_alone_is_a_group_of_one(visit: Visit, server: Server) -> None:
    server.post("/api/queue/submit", request_id="alone", question="Why?", role_context="A role in three words.")
    page = visit()
    ready(page)
    expect(page.locator(".candidate:visible")).to_have_count(1)
    press(page, "5 4 3 Enter")
    is_empty(page)
    result = server.client.get("/api/queue/result/alone").json()
    assert (result["status"], result["relevance"], result["clarity"], result["discriminative"]) == ("rated", 5, 4, 3)
