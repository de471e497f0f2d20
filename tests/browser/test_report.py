"""The evaluation's report in a real browser, opened from disk without a network."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from recruiter.evaluation.blind import make_sheet, with_sheet
from recruiter.evaluation.records import Mark, Reading
from recruiter.evaluation.results import Results
from recruiter.report import write_report
from recruiter.roles import LEVELS, Role
from recruiter.rubric import load_rubric
from tests import REPOSITORY
from tests.browser.conftest import DESKTOP, PATIENCE, PHONE
from tests.conftest import MakeRole, known
from tests.report_data import make_results

ROLES = 100
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> Why & how?"
JUDGES = ("rubric", "second")


def after(judge: str, index: int) -> float | None:
    """Better than the baseline's 4 from the sixth role on, unscored for the last three."""
    return None if index >= ROLES - 3 else (2.0 + index / 12) / (1 if judge == "rubric" else 2)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """100 roles, 3 models and 2 judges."""
    levels = LEVELS
    roles = [
        Role(
            id=f"role-{i:03d}", title=f"Engineer {i}", level=levels[i % 5], focus=f"focus {i % 7}",
            stack=("Python", "Kafka"), description=f"Own service {i}.", key_skills=("queues", "indexes"),
        )
        for i in range(ROLES)
    ]  # fmt: skip
    models = {"before": lambda judge, n: 4.0, "after": after, "xai/third": lambda judge, n: 6.0}
    questions = {("after", 0): HOSTILE, ("xai/third", 1): None}
    results = make_results(
        roles, models, JUDGES, lambda model, n: questions.get((model, n), f"{model} asks for case {n}: why is it slow?")
    )
    folder = tmp_path_factory.mktemp("report")
    results.save(folder / "eval_results.json")
    write_report(folder / "eval_results.json", folder / "eval_results.html")
    return folder / "eval_results.html", results


@pytest.fixture
def show(browser: Browser, report: tuple[Path, Results]) -> Iterator[Callable[..., Page]]:
    """`show("#order=low", **PHONE)` opens the report offline. Errors and requests of the page fail the test."""
    contexts, errors, requests = [], [], []

    def opened(address: str = "", **options: Any) -> Page:
        context = browser.new_context(**{**DESKTOP, **options})
        context.set_default_timeout(PATIENCE)
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report[0].as_uri() + address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors
    assert all(url.startswith("file:") and ".html" in url for url in requests)


@pytest.fixture(scope="module")
def own_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report by a rubric of four criteria."""
    role = Role(
        id="r", title="Engineer", level="mid", focus="f", stack=("Go",), description="Own it.", key_skills=("queues",)
    )
    models = {"before": lambda judge, n: 4.0, "after": lambda judge, n: 6.5}
    folder = tmp_path_factory.mktemp("own")
    make_results([role], models, rubric=load_rubric(REPOSITORY / "tests/own_rubric.yaml")).save(folder / "own.json")
    write_report(folder / "own.json", folder / "own.html")
    return folder / "own.html"


def test_a_rubric_of_ones_own_gives_the_columns_the_cards_and_the_explanation(
    browser: Browser, own_report: Path
) -> None:
    page = browser.new_page()
    page.goto(own_report.as_uri())
    head = page.get_by_role("table", name="Scores by rubric").get_by_role("columnheader").all_inner_texts()
    assert head == ["model", "composite", "depth", "tone", "brevity", "fairness", "below 5", "without a score"]
    expect(page.locator("#scores .lead")).to_contain_text("mean of the criteria, weighted by what stands beside each")
    page.get_by_text("What the criteria ask, and what lowers a score").click()
    for text in (
        "depth (weight 3)",
        "0: a definition; 5: one step further; 10: down to a cause.",
        "needs two breaths (−4)",
    ):
        expect(page.locator("#scores")).to_contain_text(text)
    expect(cards(page).first).to_contain_text("fairness 4.0")
    expect(page.locator("#method")).to_contain_text("depth, tone, brevity, fairness; hash")
    expect(page.locator("body")).not_to_contain_text("relevance")
    page.close()


@pytest.fixture
def draw(browser: Browser, tmp_path: Path) -> Iterator[Callable[[Results], Page]]:
    """The report of results, on a page whose errors fail the test."""
    pages, errors = [], []

    def opened(results: Results) -> Page:
        results.save(tmp_path / "r.json")
        write_report(tmp_path / "r.json", tmp_path / "r.html")
        page = browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "r.html").as_uri())
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not errors


RUN: dict[str, object] = {"run": "checkpoints/x", "step": 3, "judge": "rubric", "config": None}


def test_the_word_of_the_training_judge_is_said_to_be_no_evidence(draw: Callable[..., Page], role: MakeRole) -> None:
    models = {"before": lambda judge, n: 4.0, "after": lambda judge, n: 9.0}
    page = draw(make_results([role(n) for n in range(6)], models, training={"after": RUN}))
    expect(page.locator("#top > h1 + p")).to_have_text(
        re.compile("^Only rubric has judged after, and also rewarded its training")
    )
    for section in ("scores", "differences", "groups", "pairwise"):
        expect(page.locator(f"#{section}")).to_contain_text("trained by this judge")
    expect(page.locator("#differences tbody")).to_contain_text("it trained it: no test")
    expect(page.locator("#groups td.gain")).to_have_count(0)
    expect(page.locator("#questions .up")).to_have_count(0)
    expect(page.locator("#reads")).to_have_count(0)
    expect(page.locator("#simulated tbody tr").last).to_contain_text("75%")


@pytest.mark.parametrize("judges", [("rubric",), ()])
def test_blind_reads_come_first_with_or_without_a_judge(
    draw: Callable[..., Page], role: MakeRole, judges: tuple[str, ...]
) -> None:
    models = {"before": lambda judge, n: 4.0, "after": lambda judge, n: 9.0}
    results = make_results([role(n) for n in range(6)], models, judges, training={"after": RUN})
    sheet = make_sheet(results, 0)
    for name in ("anna", "some/model"):
        marks = {item.id: Mark(score=6 if item.samples[0][0] == "after" else 5) for item in sheet.items}
        sheet.readings[name] = Reading(kind="person" if name == "anna" else "language model", marks=marks)
    page = draw(with_sheet(results, sheet))
    first = page.locator("#top > h1 + p")
    expect(first).to_contain_text(
        "Read blind by 1 person and 1 language model: after is preferred to before in 12 of 12"
    )
    expect(page.locator("main > section").first).to_have_attribute("id", "reads")
    expect(page.locator("#reads")).to_contain_text("anna (person), some/model (language model)")
    told = page.get_by_role("table", name="Blind reads").get_by_role("row").nth(2)
    expect(told).to_contain_text("100%61% to 100%")
    expect(told).to_contain_text("12 / 0 / 0")
    expect(cards(page)).to_have_count(6)
    expect(page.locator("#scores")).to_have_count(len(judges))
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def cards(page: Page) -> Locator:
    return page.locator(".roles > li")


def status(page: Page) -> Locator:
    return page.locator("#questions .status")


def test_figures_are_those_of_the_results(show: Callable[..., Page], report: tuple[Path, Results]) -> None:
    page, figures = show(), report[1].figures
    rows = page.locator("#scores tbody").first.locator("tr")
    for row, (model, found) in zip(rows.all(), figures["rubric"].items(), strict=True):
        composite = known(found.scores["composite"])
        assert row.locator("th").inner_text() == model
        assert row.locator("td strong").first.inner_text() == f"{composite.mean:.1f}"
        assert row.locator("td small").first.inner_text() == f"{composite.low:.1f} to {composite.high:.1f}"
    difference = known(figures["rubric"]["after"].difference)
    told = page.locator("#differences tbody tr").first
    expect(told).to_contain_text(f"+{known(difference.scores['composite']).mean:.1f}")
    expect(told).to_contain_text(f"{difference.wins} / {difference.ties} / {difference.losses}")
    expect(page.locator("#scores tbody").first).to_contain_text("3 unscored: 3 × timed out")
    expect(page.locator(".flags")).to_contain_text("absent is left out: it has no key")
    page.get_by_role("combobox", name="Scores by").select_option("second")
    second = known(figures["second"]["after"].scores["composite"]).mean
    expect(page.locator("#scores tbody tr").nth(1)).to_contain_text(f"{second:.1f}")


def test_questions_are_found_by_what_is_asked_for(show: Callable[..., Page]) -> None:
    page = show()
    form = page.get_by_role("search")
    expect(status(page)).to_have_text("100 of 100 roles")
    form.get_by_label("Level").select_option("staff")
    expect(status(page)).to_have_text("20 of 100 roles")
    form.get_by_label("Focus").select_option("focus 3")
    matching = sum(i % 5 == 3 and i % 7 == 3 for i in range(ROLES))
    expect(status(page)).to_have_text(f"{matching} of 100 roles")
    form.get_by_role("button", name="Clear").click()
    expect(status(page)).to_have_text("100 of 100 roles")
    form.get_by_label("Text").fill("CASE 42 slow")
    expect(status(page)).to_have_text("1 of 100 roles")
    assert cards(page).first.locator("blockquote mark").all_inner_texts()[:3] == ["case", "42", "slow"]
    form.get_by_label("Text").fill("")
    form.get_by_label("Applied to").select_option("after")
    form.get_by_label("Score from").fill("9.5")
    scored = sum((after("rubric", i) or 0.0) >= 9.5 for i in range(ROLES))
    assert 0 < scored < ROLES
    expect(status(page)).to_have_text(f"{scored} of 100 roles")
    form.get_by_role("button", name="Clear").click()
    form.get_by_role("combobox", name="Show", exact=True).select_option("missing")
    expect(status(page)).to_have_text("4 of 100 roles")
    expect(cards(page).first).to_contain_text("Not written: no answer")
    expect(cards(page).last).to_contain_text("Unscored: timed out")
    expect(cards(page).last.locator(".scores").nth(1)).to_have_text("unscored")
    form.get_by_role("combobox", name="Show", exact=True).select_option("all")
    form.get_by_label("Order").select_option("loss")
    expect(cards(page).first.locator("h3")).to_have_text("Engineer 0")
    form.get_by_label("Text").fill("nothing says this")
    expect(status(page)).to_contain_text("No role fits")


def test_models_stand_side_by_side_and_can_be_left_out(show: Callable[..., Page]) -> None:
    page = show()
    first = cards(page).nth(3)
    boxes = [known(article.bounding_box()) for article in first.locator("article").all()]
    assert len(boxes) == 3
    assert len({round(box["y"]) for box in boxes}) == 1
    assert len({round(box["x"]) for box in boxes}) == 3
    expect(first).to_contain_text("Red flag of rubric: none.")
    page.get_by_role("checkbox", name="xai/third").uncheck()
    expect(cards(page).nth(3).locator("article")).to_have_count(2)
    page.get_by_role("checkbox", name="reasons").uncheck()
    expect(cards(page).nth(3)).not_to_contain_text("Red flag of rubric")


def test_text_of_models_stays_text(show: Callable[..., Page]) -> None:
    page = show()
    expect(cards(page).first.locator("blockquote").nth(1)).to_have_text(HOSTILE)
    assert page.locator("main img").count() == 0
    assert page.title() == "Evaluation of before, after, xai/third"


def test_a_view_is_kept_in_the_address_and_the_list_is_walked_with_keys(show: Callable[..., Page]) -> None:
    page = show()
    page.get_by_role("search").get_by_label("Order").select_option("high")
    page.get_by_role("search").get_by_label("Level").select_option("mid")
    page.reload()
    expect(status(page)).to_have_text("20 of 100 roles")
    assert page.get_by_role("search").get_by_label("Order").input_value() == "high"
    page.get_by_role("link", name="Scores").click()
    assert "level=mid" in page.url
    cards(page).first.focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(cards(page).nth(1)).to_be_focused()
    page.get_by_role("search").get_by_label("Text").press_sequentially("jk")
    assert page.get_by_role("search").get_by_label("Text").input_value() == "jk"


def test_all_roles_can_be_reached_and_it_stays_fast(show: Callable[..., Page]) -> None:
    start = time.perf_counter()
    page = show()
    cards(page).nth(29).wait_for()
    assert time.perf_counter() - start < 20
    for left in (70, 40, 10):
        page.get_by_role("button", name=f"Show {min(left, 30)} more of {left}").click()
        expect(cards(page).nth(ROLES - left)).to_be_focused()
    expect(cards(page)).to_have_count(ROLES)
    start = time.perf_counter()
    page.get_by_role("search").get_by_label("Level").select_option("mid")
    expect(status(page)).to_have_text("20 of 100 roles")
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    show: Callable[..., Page], options: dict[str, Any]
) -> None:
    page = show("#level=mid&focus=focus+3", **options)
    for summary in page.locator("section:not(#questions) summary").all():
        summary.click()
    cards(page).first.locator("summary").first.click()
    found = Axe().run(page).response["violations"]
    told = [
        f"{v['id']} ({v['impact']}): {v['nodes'][0]['html'][:200]} {v['nodes'][0]['failureSummary']}" for v in found
    ]
    assert not told, "\n".join(told)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
