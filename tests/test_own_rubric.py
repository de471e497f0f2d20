"""A rubric of the user's own, four criteria with unequal weights, through every command: train, eval, judge, generate,
analyze. The judge is a language model on a local server."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recruiter.evaluation.results import load_results
from recruiter.prompts import comparison_messages, judge_messages
from recruiter.rubric import load_rubric
from recruiter.train.layout import RunFolder
from tests import REPOSITORY
from tests.conftest import MakeRole, known
from tests.fake_judge import FakeJudge
from tests.test_main import command_for, data, tiny  # noqa: F401

FILE = REPOSITORY / "tests/own_rubric.yaml"
OWN = load_rubric(FILE)
NAMES = ("depth", "tone", "brevity", "fairness")
WEIGHTS = dict(zip(NAMES, (3.0, 1.0, 0.5, 1.5), strict=True))
JUDGE = "openai_compatible/judge"


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with FakeJudge() as server:
        yield server


def finished(command: list[object], code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XAI_API_KEY": "k", "OPENAI_COMPATIBLE_API_KEY": "", "COLUMNS": "100"}
    done = subprocess.run(
        list(map(str, command)), cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == code, done.stderr
    return done


def script(name: str, *arguments: object) -> list[object]:
    return [sys.executable, f"scripts/{name}.py", *arguments]


def composite(scores: dict[str, float]) -> float:
    return sum(WEIGHTS[name] * scores[name] for name in NAMES) / sum(WEIGHTS.values())


@pytest.fixture(scope="module")
def trained(server: Any, tiny: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:  # noqa: F811
    """A run of two steps by the rubric, and the command that made it."""
    folder = tmp_path_factory.mktemp("own")
    rubric = shutil.copy(FILE, folder / "mine.yaml")
    command = command_for(
        tiny, data, folder / "run", "trainer.max_training_steps=2", "trainer.eval_interval=1", "judge.provider=xai",
        f"judge.base_url={server.openai_url}", f"judge.cache_path={folder / 'cache.sqlite'}", f"rubric={rubric}",
    )  # fmt: skip
    finished([*command])
    return RunFolder(folder / "run"), command


def test_the_judge_is_told_the_criteria_their_scale_and_red_flags_and_nothing_else(role: MakeRole) -> None:
    system = judge_messages(OWN, role(), "How?")[0]["content"]
    for part in (
        "depth: Does it go deeper than a definition?\n0: a definition\n5: one step further\n10: down to a cause\nRed flags:",
        "- stays on the surface (-2.5)", "tone: Is it friendly?\n\nbrevity:",
        '"depth": <0-10>, "tone": <0-10>, "brevity": <0-10>, "fairness": <0-10>}',
    ):  # fmt: skip
        assert part in system
    compared = comparison_messages(OWN, role(), "How?", "Why?")[0]["content"]
    assert "- needs two breaths" in compared
    assert not any(name in system + compared for name in ("relevance", "clarity", "discriminative"))


def test_training_rewards_logs_and_validates_by_the_rubric(trained: tuple[Any, ...], server: Any) -> None:
    run, _ = trained
    assert all('"fairness": <0-10>' in request.system for request in server.requests[:40])
    schema = server.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["reasoning", *NAMES]
    described = run.read_description()
    assert (described["rubric_hash"], described["rubric"]) == (OWN.hash, OWN.model_dump(mode="json"))
    for row in run.read_metrics():
        assert row["composite"] == pytest.approx(composite(row), abs=1e-6)
        assert row["validation_reward"] is not None
        assert "clarity" not in row
    for row in run.read_rollouts():
        assert tuple(row["scores"]) == NAMES
        assert row["reward"] <= composite(row["scores"]) / 10 + 1e-9


def test_a_run_goes_on_by_the_same_rubric_wherever_it_lies_and_by_no_other(
    trained: tuple[Any, ...], tmp_path: Path
) -> None:
    run, command = trained
    same = command[:-1]
    moved = Path(shutil.copy(FILE, tmp_path / "moved.yaml"))
    finished([*same, f"rubric={moved}", "trainer.max_training_steps=3"])
    assert [row["step"] for row in run.read_metrics()] == [1, 2, 3]
    moved.write_text(FILE.read_text().replace("weight: 3", "weight: 2"))
    for other in (f"rubric={moved}", "rubric=null"):
        refused = finished([*same, other, "trainer.max_training_steps=4"], code=1)
        assert "holds a run by another rubric (depth, tone, brevity, fairness): give that rubric back" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


def test_the_rubric_judge_says_that_it_knows_the_built_in_criteria_alone(trained: tuple[Any, ...]) -> None:
    for command in (
        [*trained[1], "judge.provider=rubric"],
        script("judge", "--role", "ad-serving-01", "Why?", "--judge", "rubric", "--rubric", FILE),
    ):
        refused = finished(command, code=1)
        assert "knows the built-in criteria and red flags alone (relevance, clarity, discriminative)" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def evaluated(server: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """An evaluation of two models by the rubric; its folder."""
    folder = tmp_path_factory.mktemp("evaluation")
    records = json.loads((REPOSITORY / "data/backend_roles.json").read_text(encoding="utf-8"))[:3]
    (folder / "roles.json").write_text(json.dumps(records))
    command = script(
        "eval", "--roles", folder / "roles.json", "--base-url", server.openai_url, "--output", folder / "results.json",
        "--cache", folder / "cache.sqlite", "--model", "openai_compatible/one", "openai_compatible/two", "--judge", JUDGE,
        "--pairwise", "--rubric", FILE,
    )  # fmt: skip
    finished([*command])
    return folder, command


def test_evaluation_has_figures_and_tables_of_the_criteria(evaluated: tuple[Any, ...]) -> None:
    folder, _ = evaluated
    results = load_results(folder / "results.json")
    assert (results.rubric, results.plan.rubric_hash, results.metrics) == (OWN, OWN.hash, (*NAMES, "composite"))
    for figures in results.figures[JUDGE].values():
        means = {name: found.mean for name, found in figures.scores.items() if found}
        assert means["composite"] == pytest.approx(composite(means))
    tables = (folder / "results.md").read_text(encoding="utf-8")
    assert "| model | depth | tone | brevity | fairness | composite (95%) |" in tables
    assert f"rubric {OWN.hash} (depth, tone, brevity, fairness)" in tables


def test_what_was_judged_by_a_rubric_is_asked_anew_by_another_and_not_by_the_same(
    evaluated: tuple[Any, ...], server: Any
) -> None:
    folder, command = evaluated
    asked = len(server.requests)
    finished([*command])
    assert len(server.requests) == asked
    (folder / "other.yaml").write_text(FILE.read_text().replace("Is it friendly?", "Is it warm?"))
    finished([*command, "--rubric", folder / "other.yaml", "--output", folder / "other.json"])
    assert len(server.requests) > asked
    reweighted = len(server.requests)
    (folder / "other.yaml").write_text(FILE.read_text().replace("weight: 3", "weight: 1"))
    finished([*command, "--rubric", folder / "other.yaml", "--output", folder / "reweighted.json"])
    assert all("compare" in r.system for r in server.requests[reweighted:])  # weights: no new scores
    results = load_results(folder / "reweighted.json")
    scores = known(results.samples[0].judgements[JUDGE].scores)
    assert scores["composite"] == pytest.approx(
        (scores["depth"] + scores["tone"] + 0.5 * scores["brevity"] + 1.5 * scores["fairness"]) / 4
    )


def test_judged_lists_and_sheets_have_a_column_for_each_criterion(server: Any, tmp_path: Path) -> None:
    asked = ("--judge", JUDGE, "--rubric", FILE, "--format", "csv")
    ids = [r["id"] for r in json.loads((REPOSITORY / "data/backend_roles.json").read_text())[:1]]
    judged = script(
        "judge", *asked, "--base-url", server.openai_url, "--cache", tmp_path / "c.sqlite", "--role", *ids, "Why?"
    )
    (row,) = csv.DictReader(io.StringIO(finished(judged).stdout))
    assert list(row) == ["role_id", "question", *NAMES, "composite", "reasoning", "unscored_reason"]
    assert float(row["composite"]) == pytest.approx(composite({name: float(row[name]) for name in NAMES}), abs=1e-3)


def test_plots_draw_runs_and_evaluations_of_the_rubric_and_refuse_to_mix_criteria(
    trained: tuple[Any, ...], evaluated: tuple[Any, ...], tmp_path: Path
) -> None:
    folder, _ = evaluated
    drawn = finished(
        script("analyze_results", "--run", trained[0].path, "--results", folder / "results.json", "--output", tmp_path)
    )
    assert all(name in drawn.stdout for name in ("training", "scores", "distributions", "levels"))
    for plot in ("training.svg", "scores.svg"):
        assert all(f">{name}<" in (tmp_path / plot).read_text(encoding="utf-8") for name in NAMES)
    stored = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    (tmp_path / "built_in.json").write_text(json.dumps(_by_built_in(stored)))
    both = ("--results", folder / "results.json", tmp_path / "built_in.json", "--output", tmp_path)
    mixed = finished(script("analyze_results", *both), code=1)
    assert "results and built_in are scored by different criteria" in mixed.stderr


def _by_built_in(stored: dict[str, Any]) -> dict[str, Any]:
    """The same results as version 2 would have stored them: by the built-in criteria, without the rubric."""
    text = json.dumps({**stored, "schema_version": 2, "rubric": None})
    for own, built_in in zip(NAMES, ("relevance", "clarity", "discriminative", "spare"), strict=True):
        text = text.replace(f'"{own}"', f'"{built_in}"')
    old = json.loads(text)
    del old["rubric"]
    return old


def test_results_of_an_older_version_are_by_the_built_in_criteria(evaluated: tuple[Any, ...], tmp_path: Path) -> None:
    stored = json.loads((evaluated[0] / "results.json").read_text(encoding="utf-8"))
    (tmp_path / "old.json").write_text(json.dumps(_by_built_in(stored)))
    assert load_results(tmp_path / "old.json").rubric == load_rubric()
