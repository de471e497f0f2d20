"""Statistics, runs, owner and sign-in: they show what is stored, and nothing else."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.conftest import known

Visit = Callable[..., Page]


def rate(page: Page, keys: str) -> None:
    page.locator("#rating").wait_for()
    for key in keys.split():
        page.keyboard.press(key)
    page.get_by_role("heading", name="Nothing waits for you").wait_for()


def test_statistics_draw_what_was_rated(visit: Visit, server: Server) -> None:
    run = "drawn-run"
    server.add("How would you shard it?", "What is a B-tree?", run=run, overlap=2)
    rate(visit(), "5 4 3 2 2 1 Enter")
    rate(visit(), "5 4 3 2 2 1 Enter")
    page = visit("/stats")
    page.get_by_label("Run").select_option(run)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#figures[aria-busy=false] .figures div").filter(has_text="group ratings")).to_contain_text("2")
    chart = page.locator("figure.chart").filter(has=page.get_by_role("heading", name="Relevance"))
    expect(chart.locator("rect title")).to_have_text(["2: 2", "5: 2"])
    chart.locator("summary").click()
    assert [row.split() for row in chart.locator("tbody tr").all_inner_texts()][4] == ["5", "2"]
    expect(page.locator("#ratings h3").first).to_have_text("Backend Engineer, Area 7")
    page.get_by_label("Search roles and questions").fill("shard it")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#ratings-range")).to_have_text("1 to 2 of 2")
    page.locator("#ratings summary").first.click()
    expect(page.locator("#ratings details[open] li")).to_have_count(2)
    page.get_by_label("Search roles and questions").fill("no such words")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#ratings-range")).to_have_text("Nothing matches.")


def test_the_place_on_the_page_is_drawn_when_enough_was_rated_there(visit: Visit, server: Server) -> None:
    """A chart of one rating would show what one rater thinks of three questions."""
    session = httpx.Client(base_url=server.url)
    session.headers["X-CSRF-Token"] = session.get("/api/session").json()["csrf_token"]
    criteria = session.get("/api/rubric").json()["criteria"]

    def rate_groups(run: str, count: int) -> None:
        for number in range(count):
            group = server.add(run=run)
            taken = session.post("/api/rate/next", json={"prefer": group}).json()
            scores = {
                one["candidate_id"]: {criterion["name"]: 1 + (number + place) % 5 for criterion in criteria}
                for place, one in enumerate(taken["group"]["candidates"])
            }
            path = f"/api/rate/leases/{taken['lease']['id']}/submit"
            session.post(path, json={"ratings": scores}).raise_for_status()

    rate_groups("few-places", 1)
    rate_groups("many-places", 30)
    page = visit("/stats")
    while page.locator("select[name=run] option[value=many-places]").count() == 0:  # figures may be some seconds old
        page.wait_for_timeout(500)
        page.reload()
        page.locator("#figures[aria-busy=false]").wait_for()
    for run, says, is_drawn in (
        ("few-places", "shows when 30 questions were rated", 0),
        ("many-places", "shuffled", 1),
    ):
        page.get_by_label("Run").select_option(run)
        page.get_by_role("button", name="Show").click()
        section = page.locator("#figures section").filter(has_text="Position on the page")
        expect(section).to_contain_text(says)
        expect(section.locator("svg")).to_have_count(is_drawn)
    session.close()


def test_a_run_in_progress_is_drawn_and_followed(visit: Visit, server: Server) -> None:
    steps = [
        {"step": 1, "reward": 0.25, "rated": 12, "unscored": 4},
        {"step": 2, "reward": 0.5, "rated": 16, "unscored": 0},
    ]
    report = {"step": 3, "total_steps": 10, "recent": steps}
    server.report(
        "drawn", **report, state="waiting", reward_mean=0.5, waiting_groups=["g1", server.add()], message="Wait."
    )
    page = visit("/runs?run=drawn")
    expect(page.locator("#run-head")).to_contain_text("waiting for ratings")
    expect(page.locator("figure.chart").first.locator("circle title")).to_have_text(["1: 0.25", "2: 0.50"])
    expect(page.get_by_role("heading", name="Waiting for 2 groups")).to_be_visible()
    waited_for = page.get_by_role("region", name="Groups this run waits for")
    expect(waited_for.locator("tbody th")).to_have_text(["g1", "Backend Engineer, Area 7"])
    server.report("drawn", **report)
    expect(page.locator("#run-head")).to_contain_text("finished", timeout=8000)


def test_the_owner_makes_and_revokes_links_exports_and_deletes(visit: Visit, server: Server) -> None:
    group = server.add()
    rate(visit(), "1 2 3 4 5 1 2 3 4 Enter")
    page = visit("/owner")
    page.get_by_label("Name").fill("Ada <b>")
    page.get_by_role("button", name="Create a link").click()
    expect(page.locator("#link")).to_have_value(re.compile(re.escape(server.url + "/join#") + ".+"))
    row = page.locator("#raters tr").filter(has_text="Ada <b>")
    expect(row).to_be_visible()

    rater = visit()
    rater.goto(page.locator("#link").input_value())
    expect(rater.locator("#join-text")).to_contain_text("signed in as the owner of this machine")
    rater.get_by_role("button", name="Sign out and use the link").click()
    expect(rater.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    assert "#" not in rater.url
    expect(rater.get_by_role("link", name="Owner")).to_have_count(0)
    rater.goto(server.url + "/owner")
    expect(rater.get_by_role("heading", name="This page is the owner's")).to_be_visible()

    row.get_by_role("button", name="Revoke").click()
    page.locator("#sure-yes").click()
    expect(row).to_contain_text("revoked")
    rater.goto(server.url)
    expect(rater.get_by_role("heading", name="You need a link to rate here")).to_be_visible()
    rater.get_by_role("button", name="Sign out").click()
    expect(rater.get_by_role("link", name="Owner")).to_be_visible()  # on this machine, by a choice of their own

    with page.expect_download() as download:
        page.get_by_label("Run").fill("test-run")
        page.get_by_role("button", name="Download").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert group in {row["group_id"] for row in rows}
    saved = download.value.path().read_text().replace(group, f"{group}-again")
    page.get_by_label("File of ratings").set_input_files(
        {"name": "ratings.csv", "mimeType": "text/csv", "buffer": re.sub(r"\b[0-9a-f]{20}\b", "", saved).encode()}
    )
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#import-told")).to_contain_text("Imported:")
    assert server.view(f"{group}-again")["status"] == "rated"
    page.get_by_role("textbox", name="Group").fill(group)
    page.get_by_role("button", name="Delete …").click()
    page.locator("#sure-yes").click()
    expect(page.get_by_role("textbox", name="Group")).to_have_value("")
    assert server.client.get(f"/api/groups/{group}").status_code == 404


def test_the_owner_erases_a_person(visit: Visit, server: Server) -> None:
    page = visit("/owner")
    page.get_by_label("Name").fill("Edsger")
    page.get_by_role("button", name="Create a link").click()
    row = page.locator("#raters tr").filter(has_text="Edsger")
    row.get_by_role("button", name="Erase").click()
    expect(page.locator("#erase-title")).to_have_text("Erase Edsger?")
    page.get_by_role("button", name="Erase, keep the ratings").click()
    expect(row).to_have_count(0)
    expect(page.locator("#raters tr").filter(has_text="forgotten").last).to_be_visible()


def test_the_owner_renames_a_person_says_what_they_know_and_makes_a_new_link(visit: Visit, server: Server) -> None:
    page = visit("/owner")
    page.get_by_label("Name").fill("Barbara")
    page.get_by_role("button", name="Create a link").click()
    first = page.locator("#link").input_value()
    page.locator("#raters tr").filter(has_text="Barbara").get_by_role("button", name="Change").click()
    page.get_by_label("Shown as").fill("Barbara L.")
    page.get_by_label("Fields that they know").fill("storage, queues")
    page.get_by_role("button", name="Save", exact=True).click()
    row = page.locator("#raters tr").filter(has_text="Barbara L.")
    expect(row).to_contain_text("storage, queues")
    row.get_by_role("button", name="New link").click()
    page.locator("#sure-yes").click()
    expect(page.locator("#link")).not_to_have_value(first)
    expect(page.locator("#link-for")).to_have_text("Barbara L.")


def test_how_steadily_people_rate_is_the_owners_to_see(visit: Visit, server: Server) -> None:
    group = server.add(overlap=2)
    for keys in ("5 5 5 3 3 3 1 1 1 Enter", "5 5 5 1 1 1 3 3 3 Enter"):
        rate(visit(), keys)
    page = visit("/owner")
    page.get_by_label("Known answers are those of").fill(group)
    page.get_by_role("button", name="Use its ratings").click()
    expect(page.locator("#steady")).to_contain_text("Known answers: 1 group.")
    expect(page.locator("#steady tbody")).to_contain_text("1 group")


def test_raters_see_the_teams_guidelines_before_they_start(visit: Visit, server: Server) -> None:
    owner, rater = visit("/owner"), visit()
    start = rater.locator("#start")
    expect(start).to_have_attribute("open", "")
    expect(start).not_to_contain_text("agreed on")
    rater.get_by_role("button", name="I have read this").click()
    rater.reload()
    expect(start).to_be_visible()
    expect(start).not_to_have_attribute("open", "")
    owner.get_by_label("Text").fill("Ask for one thing. <b>Never</b> two.\nExample: …")
    owner.get_by_role("button", name="Save the guidelines").click()
    expect(owner.locator("#live")).to_have_text("Saved.")
    rater.reload()
    expect(start).to_have_attribute("open", "")
    expect(rater.locator(".guidelines")).to_contain_text("<b>Never</b> two.")
    owner.reload()
    expect(owner.get_by_label("Text")).to_have_value("Ask for one thing. <b>Never</b> two.\nExample: …")
    owner.get_by_label("Text").fill("")
    owner.get_by_role("button", name="Save the guidelines").click()
    expect(owner.locator("#live")).to_have_text("Saved.")


def test_from_elsewhere_a_link_is_needed_and_enough(visit: Visit, server: Server) -> None:
    owner = visit("/owner")
    owner.get_by_label("Name").fill("Grace")
    owner.get_by_role("button", name="Create a link").click()
    expect(owner.locator("#link")).not_to_have_value("")
    path = owner.locator("#link").input_value().removeprefix(server.url)
    page = visit()
    away = server.url.replace("127.0.0.1", "elsewhere.test")
    assert known(page.goto(away)).status == 401
    expect(page.get_by_role("heading", name="You need a link to rate here")).to_be_visible()
    page.goto(away + path)
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    server.add()
    page.reload()
    rate(page, "1 2 3 4 5 1 2 3 4 Enter")
    page.goto(away + "/write")
    page.evaluate(
        "localStorage.setItem('sets', JSON.stringify([{name: 'One', role: {title: 'T', level: 'mid'}, questions: ['Why?']}]))"
    )
    page.reload()
    page.get_by_label("Saved sets").select_option("One")
    page.get_by_role("button", name="Copy all").click()  # browsers let pages copy only in a secure context
    expect(page.get_by_role("alert")).to_contain_text("select the text instead")


def test_a_link_that_is_not_genuine_is_refused_with_a_sentence(visit: Visit, server: Server) -> None:
    page = visit("/join#no-such-token")
    expect(page.locator("#join-text")).not_to_have_text("One moment …")
    expect(page.locator("#join-text")).to_contain_text("link")
