"""Four criteria of the user's own, with other weights: training asks, a person rates on the page, training takes it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests import REPOSITORY
from tests.browser.conftest import DESKTOP, free_port, start
from tests.feedback.test_rubric import MY_RUBRIC, RATED, REWARD
from tests.test_main import command_for, data, tiny  # noqa: F401


@pytest.fixture
def rubric_file(tmp_path: Path) -> Path:
    path = tmp_path / "my_rubric.yaml"
    path.write_text(MY_RUBRIC)
    return path


@pytest.fixture
def address(tmp_path: Path, rubric_file: Path) -> Iterator[str]:
    port = free_port()
    process = start(port, tmp_path, FEEDBACK_MODEL=str(tmp_path / "none"), FEEDBACK_RUBRIC=str(rubric_file))
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def train(model: Path, roles: Path, run: Path, address: str, *overrides: str) -> subprocess.Popen[str]:
    command = command_for(
        model, roles, run, "trainer.max_training_steps=1", "trainer.train_batch_size=2", "judge.provider=human",
        f"human_feedback.api_url={address}", "human_feedback.poll_interval=0.3", "trainer.eval_interval=0",
        "generator.sampling_params.max_generate_length=8", "reward.overlap_penalty=0", *overrides,
    )  # fmt: skip
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_rating_page_and_training_take_the_users_criteria(
    browser: Browser,
    address: str,
    rubric_file: Path,
    tiny: Path,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    training = train(tiny, data, run, address, f"rubric={rubric_file}")
    context = browser.new_context(**DESKTOP)
    page = context.new_page()
    try:
        page.goto(address)
        for done in range(2):
            expect(page.locator("#mine-today")).to_have_text(str(done), timeout=90_000)
            page.locator("#rating").wait_for(timeout=90_000)
            cards = page.locator(".candidate:not(#equal-card)")
            names = cards.first.locator("legend").evaluate_all("all => all.map((one) => one.firstChild.data)")
            assert names == ["Relevance", "Depth", "Tone", "Answer length"]
            expect(page.locator("#rubric")).to_contain_text("5 years of it")
            for index in range(cards.count()):
                for name, value in RATED.items():
                    less = value - (index == 0) if value > 1 else value  # so that they are not all equal
                    page.locator(f".candidate:not(#equal-card) >> nth={index}").locator(
                        f"[data-criterion={name}] label"
                    ).nth(less - 1).click()
            page.get_by_role("button", name="Submit").click()
        _, err = training.communicate(timeout=120)
        assert training.returncode == 0, err
    finally:
        training.kill()
        context.close()
    rows = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    assert {tuple(row["scores"]) for row in rows} == {tuple(RATED)}
    best = {name: (value - 1) * 2.5 for name, value in RATED.items()}
    kept = [row for row in rows if row["scores"] == best]
    assert kept
    assert all(row["reward"] == pytest.approx(REWARD) for row in kept)
    (metrics,) = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert metrics["unscored"] == 0
    assert set(RATED) <= metrics.keys()


def test_training_by_another_rubric_than_the_servers_ends_before_it_loads_a_model(
    address: str,
    tiny: Path,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    training = train(tiny, data, tmp_path / "run", address)
    _, err = training.communicate(timeout=90)
    assert training.returncode == 1
    assert "This server rates by relevance, depth, tone, answer_length" in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
