"""A team's day in a real browser: guidelines, three raters, every way to answer, training, one who leaves, backup, export."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from recruiter.config import Config
from recruiter.human_feedback import HumanJudge
from recruiter.metrics_logger import RunLog
from recruiter.roles.schedule import total_steps
from recruiter.train.grpo import Trainer
from recruiter.train.rated_groups import RatedGroups
from tests import REPOSITORY
from tests.browser.conftest import DESKTOP, PATIENCE, QUESTIONS, free_port, start
from tests.browser.test_rate import card, choose, is_empty, press, ready
from tests.conftest import MakeRole
from tests.fake_policy import FakePolicy

GUIDELINES = "A question about a tool alone is never more than usable."


class Team:
    """The server, and a browser for everybody who uses it."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder, self.port = browser, folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.contexts: list[BrowserContext] = []
        self.errors: list[str] = []
        self.process = start(self.port, folder, FEEDBACK_CHECK_EVERY="2", FEEDBACK_LEASE_SECONDS="300")

    def person(self, address: str) -> Page:
        """A browser that nobody has used, at an address."""
        context = self.browser.new_context(**DESKTOP)
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(address)
        return page

    def invited(self, owner: Page, name: str, fields: str = "") -> Page:
        """A rater who came by the link that the owner made for them."""
        owner.goto(f"{self.url}/owner")
        owner.get_by_label("Name").fill(name)
        owner.get_by_role("button", name="Create a link").click()
        expect(owner.locator("#link-for")).to_have_text(name)
        link = owner.locator("#link").input_value()
        if fields:
            owner.locator("#raters tr").filter(has_text=name).get_by_role("button", name="Change").click()
            owner.get_by_label("Fields that they know").fill(fields)
            owner.get_by_role("button", name="Save", exact=True).click()
            expect(owner.locator("#raters tr").filter(has_text=fields)).to_be_visible()
        page = self.person(link)
        replace = page.get_by_role("button", name="Sign out and use the link")
        replace.or_(page.locator("#start")).first.wait_for()
        if replace.is_visible():
            replace.click()
        page.locator("#start").wait_for()
        return page

    def training(self, method: str, path: str, **body: Any) -> Any:
        return httpx.request(method, self.url + path, json=body or None, timeout=20).raise_for_status().json()

    def add(self, name: str, role: Any, **fields: Any) -> None:
        body = {
            "group_id": name,
            "run": "nightly",
            "policy_step": 1,
            "role": role.model_dump(mode="json"),
            "questions": QUESTIONS,
        }
        self.training("POST", "/api/groups", **{**body, **fields})

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def command(self, *arguments: str) -> str:
        """A command of the owner's, in the server's folder and with its database."""
        environment = {
            **os.environ, "DATABASE_URL": f"sqlite:///{self.folder / 'feedback.db'}",
            "PYTHONPATH": str(REPOSITORY / "src"),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=REPOSITORY / "feedback-ui",
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def team(browser: Browser, tmp_path: Path) -> Iterator[Team]:
    found = Team(browser, tmp_path)
    yield found
    for context in found.contexts:
        context.close()
    if found.process.poll() is None:
        found.stop()
    assert not found.errors


def exported(owner: Page, what: str) -> list[dict[str, Any]]:
    owner.locator("#export").get_by_label("What").select_option(what)
    owner.locator("#export").get_by_label("As").select_option("jsonl")
    with owner.expect_download() as download:
        owner.get_by_role("button", name="Download").click()
    return [json.loads(line) for line in download.value.path().read_text().splitlines()]


def in_order(page: Page, best_first: list[str]) -> None:
    """Put the questions on the page in order."""
    for place, question in enumerate(best_first):
        card(page, question).locator(".scale label").nth(place).click()
    page.get_by_role("button", name="Submit").click()


def reported(team: Team) -> bool:
    """Whether a run has said what it waits for."""
    runs = httpx.get(f"{team.url}/api/runs", timeout=20).raise_for_status().json()["runs"]
    return any(run["waiting_groups"] for run in runs)


def rate_all(team: Team, page: Page, training: Future[None]) -> None:
    """Put both groups of the step in order as they come."""
    until = time.monotonic() + 60
    while not training.done() and not reported(team):
        assert time.monotonic() < until, "training asked nobody"
        time.sleep(0.1)
    for _ in range(2):
        page.goto(team.url)
        page.locator("#rating").wait_for(timeout=30_000)
        expect(page.locator("#training-waits")).to_contain_text("has waited", timeout=30_000)
        for number, candidate in enumerate(page.locator(".candidate").all()):
            candidate.locator(".scale label").nth(number).click()
        with page.expect_response(lambda response: response.url.endswith("/submit")):
            page.get_by_role("button", name="Submit").click()


def test_a_teams_day(team: Team, role: MakeRole, config: Config, tmp_path: Path) -> None:
    owner = team.person(f"{team.url}/owner")
    owner.get_by_label("Text").fill(GUIDELINES)
    owner.get_by_role("button", name="Save the guidelines").click()
    expect(owner.locator("#live")).to_have_text("Saved.")
    ada, ben, cleo = (
        team.invited(owner, name, fields) for name, fields in (("Ada", ""), ("Ben", ""), ("Cleo", "focus 3"))
    )

    # The card says what it is about, with what the team agreed on and rated examples.
    expect(ada.locator("#start")).to_contain_text(GUIDELINES)
    expect(ada.locator(".examples li")).to_have_count(3)
    ada.get_by_role("button", name="I have read this").click()

    # Two people rate one group; Ada comments, and says how she would ask it.
    team.add("shared", role(1), overlap=2)
    for page, stars in ((ada, (5, 1, 3)), (ben, (4, 2, 5))):
        page.goto(team.url)
        ready(page)
        for question, value in zip(QUESTIONS, stars, strict=True):
            choose(page, question, value, value, value)
        if page is ada:
            box = card(page, QUESTIONS[1])
            box.get_by_text("Comment, or a better wording").click()
            box.get_by_label("Comment").fill("a definition")
            box.get_by_label("How I would ask it").fill("When has Python's lock hurt you, and what did you do?")
        page.get_by_role("button", name="Submit").click()
        is_empty(page)
    assert team.training("GET", "/api/groups/shared")["results"][0]["scores"]["clarity"] == 4.5

    # An order, the best and the worst, pairs: Cleo gets the group of her field first.
    team.add("ordered", role(0), task="rank")
    team.add("extremes", role(3), task="best_worst")
    team.add("paired", role(0), task="pairs")
    cleo.goto(team.url)
    ready(cleo)
    expect(cleo.locator("#task")).to_contain_text("Name the best and the worst")
    card(cleo, QUESTIONS[0]).locator(".scale label").filter(has_text="Best").click()
    card(cleo, QUESTIONS[1]).locator(".scale label").filter(has_text="Worst").click()
    cleo.get_by_role("button", name="Submit").click()
    expect(cleo.locator("#task")).to_contain_text("Put the questions in order")
    in_order(cleo, [QUESTIONS[2], QUESTIONS[0], QUESTIONS[1]])
    # After two groups comes one that she has not had, or her own again; here the pairs are next, and nothing is known yet.
    expect(cleo.locator("#task")).to_contain_text("for each pair")
    press(cleo, "= Control+Enter")
    views = {name: team.training("GET", f"/api/groups/{name}") for name in ("extremes", "ordered", "paired")}
    rewards = {name: [result["reward"] for result in view["results"]] for name, view in views.items()}
    assert rewards == {"extremes": [1.0, 0.0, 0.5], "ordered": [0.5, 0.0, 1.0], "paired": [0.5, 0.5, 0.5]}

    # Training asks, waits, and takes what Ben rates; the page says what it waits for. An open page would take a group.
    for page in (ada, cleo):
        page.goto("about:blank")
    trainer, human = config.trainer, config.human_feedback
    trainer.train_batch_size, trainer.epochs, trainer.max_training_steps, trainer.eval_interval = 2, 1, 1, 0
    config.judge.provider = "human"
    human.api_url, human.poll_interval, human.timeout, human.task = team.url, 0.5, 60.0, "rank"
    policy, judge = FakePolicy(), HumanJudge(human)
    roles = [role(4), role(5)]
    total = total_steps(config, len(roles))

    def train() -> None:
        with RunLog(tmp_path / "run", config, judge, total, 0, False) as log:
            Trainer(config, policy, RatedGroups(config, judge, log, total), roles, [], log).train()

    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(train)
        rate_all(team, ben, training)
        training.result(60)
    assert policy.weight != 0.0
    row = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[0])
    assert row["unscored"] == 0

    # Ben leaves and is erased; everything answers, and his name is nowhere.
    owner.goto(f"{team.url}/owner")
    owner.locator("#raters tr").filter(has_text="Ben").get_by_role("button", name="Erase").click()
    owner.get_by_role("button", name="Erase, keep the ratings").click()
    expect(owner.locator("#raters tr").filter(has_text="forgotten")).to_be_visible()
    ben.goto(team.url)
    expect(ben.get_by_role("heading", name="You need a link to rate here")).to_be_visible()
    owner.get_by_label("Known answers are those of").fill("shared")
    owner.get_by_role("button", name="Use its ratings").click()
    expect(owner.locator("#steady")).to_contain_text("Known answers: 1 group.")
    expect(owner.locator("#steady tbody tr").first).to_be_visible()

    # The owner saves while the server runs, loses everything, restores, and exports.
    before = exported(owner, "ratings")
    saved = tmp_path / "saved.db"
    assert "holds" in team.command("feedback.backup", "save", str(saved))
    for name in ("shared", "extremes", "ordered", "paired"):
        owner.get_by_role("textbox", name="Group").fill(name)
        owner.get_by_role("button", name="Delete …").click()
        owner.locator("#sure-yes").click()
        expect(owner.get_by_role("textbox", name="Group")).to_have_value("")
    team.stop()
    team.command("feedback.backup", "restore", str(saved))
    team.process = start(team.port, team.folder)
    owner.goto(f"{team.url}/owner")
    assert exported(owner, "ratings") == before
    pairs = {(row["chosen"], row["rejected"]) for row in exported(owner, "pairs")}
    assert ("When has Python's lock hurt you, and what did you do?", QUESTIONS[1]) in pairs
    assert (QUESTIONS[2], QUESTIONS[0]) in pairs
    assert len(exported(owner, "comparisons")) >= 8
    assert b"Ben" not in (team.folder / "feedback.db").read_bytes()
    owner.goto(f"{team.url}/stats")
    expect(owner.locator("#figures")).to_contain_text("Agreement")
