"""Every point of a plot is a stored figure: what is drawn is read back from the figures before they are closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib import pyplot as plt

from recruiter.errors import DataError
from recruiter.evaluation.records import Training
from recruiter.evaluation.results import Results
from recruiter.files import write_json
from recruiter.report.plots import (
    Contest,
    plot_distributions,
    plot_levels,
    plot_people,
    plot_scores,
    plot_training,
    plot_unscored,
    read_ratings,
    read_runs,
)
from scripts import analyze_results
from tests.conftest import MakeRole
from tests.report_data import make_results
from tests.scoring import RUBRIC


def test_a_notebooks_backend_is_not_taken_over() -> None:
    code = "import recruiter.report.plots, matplotlib; print(matplotlib.get_backend())"
    environment = {**os.environ, "MPLBACKEND": "module://no_such_backend"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.lower() == "agg\n"


def step(number: int, **changes: object) -> dict[str, Any]:
    base = {
        "step": number, "reward_mean": 0.1 * number, "reward_std": 0.05, "relevance": 1.0 * number, "clarity": 2.0,
        "discriminative": 3.0, "overlap": 0.2, "length_mean": 20.0 + number, "entropy": 1.5, "samples": 8, "unscored": 0,
        "unscored_reasons": {},
    }  # fmt: skip
    return {**base, **changes}


def write_run(folder: Path, rows: list[dict[str, Any]], base: str = "exports/before") -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_json(folder / "run.json", {"config": {"trainer": {"policy": {"model": {"path": base}}}}})
    return folder


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Axes by title of everything that is drawn."""
    found = {}
    close = plt.close

    def keep(figure: Any) -> None:
        found.update({axes.get_title(): axes for axes in figure.axes})
        close(figure)

    monkeypatch.setattr(plt, "close", keep)
    return found


@pytest.fixture
def results(role: MakeRole) -> Any:
    roles = [role(i) for i in range(20)]
    models = {"before": lambda judge, n: 2.0, "after": lambda judge, n: None if n == 0 else 4.0 + (n % 5)}
    return make_results(roles, models, training={"after": {"run": "nowhere", "step": 2}})


def points(axes: Any) -> dict[str, Any]:
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.get_lines()}


# ---- training --------------------------------------------------------------------------------------------------------


def test_watching_judges_stand_beside_the_reward_and_alarms_are_marked_where_they_began(
    tmp_path: Path, drawn: Any
) -> None:
    rows = [step(n, reward_level=0.1 * n, watch_grok=9.0 - n, watch_grok_unscored=0) for n in range(1, 6)]
    for row in (rows[1], rows[3], rows[4]):
        row["alarm"] = "Alarm: …"
    plot_training(read_runs([write_run(tmp_path / "run", rows)]), tmp_path / "plot")
    lines = points(drawn["Reward, and what watching judges say"])
    assert lines["run"] == [(n, pytest.approx(0.1 * n)) for n in range(1, 6)]
    assert lines["grok, watching"] == [(n, pytest.approx(0.9 - 0.1 * n)) for n in range(1, 6)]
    marked = [line.get_xdata()[0] for line in drawn["Reward, and what watching judges say"].get_lines()[2:]]
    assert (marked, "alarm" in lines) == ([2, 4], True)


def test_training_shows_the_metrics_of_every_step_and_leaves_out_what_is_missing(tmp_path: Path, drawn: Any) -> None:
    rows = [step(1), step(2, reward_mean=None, reward_std=None, validation_reward=0.3), step(3)]
    written = plot_training(read_runs([write_run(tmp_path / "run", rows)]), tmp_path / "out/training")
    reward = points(drawn["Reward, with the spread within groups"])["run"]
    assert reward == [(1, 0.1), (3, pytest.approx(0.3))]
    assert points(drawn["Held-out roles, composite"]) == {"validation": [(2, 3.0)]}
    assert points(drawn["The judge's criteria"])["relevance"] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert points(drawn["Mean length in tokens"])["run"] == [(1, 21.0), (2, 22.0), (3, 23.0)]
    assert [path.name for path in written] == ["training.png", "training.svg"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(written[1]).getroot().tag.endswith("svg")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["training.png", "training.svg"]


def test_runs_share_the_axes_and_equal_names_are_told_apart(tmp_path: Path, drawn: Any) -> None:
    folders = [write_run(tmp_path / name / "run", [step(1, reward_mean=0.1 * i)]) for i, name in enumerate("ab", 1)]
    plot_training(read_runs(folders), tmp_path / "training")
    reward = points(drawn["Reward, with the spread within groups"])
    assert reward == {str(folders[0]): [(1, 0.1)], str(folders[1]): [(1, 0.2)]}


def test_evaluations_of_a_run_stand_at_their_steps(tmp_path: Path, drawn: Any, results: Any) -> None:
    run = write_run(tmp_path / "run", [step(1), step(2)])
    results.models["after"].training = Training(run=str(run), step=2)
    plot_training(read_runs([run]), tmp_path / "training", [results])
    (container,) = drawn["Held-out roles, composite"].containers
    figures = results.figures["rubric"]
    means = [(0, figures["before"].scores["composite"].mean), (2, figures["after"].scores["composite"].mean)]
    assert list(zip(*container.lines[0].get_data(), strict=True)) == means


def test_unscored_questions_are_counted_by_reason_and_add_up(tmp_path: Path, drawn: Any) -> None:
    reasons = {"skipped": 2, **{f"reason {i}": 1 for i in range(5)}}
    rows = [step(1), step(2, unscored=7, unscored_reasons=reasons)]
    plot_unscored(read_runs([write_run(tmp_path / "run", rows)]), tmp_path / "unscored")
    bars = {bar.get_label(): [patch.get_height() for patch in bar] for bar in drawn["Questions of run"].containers}
    assert bars["scored"] == [8, 1]
    assert bars["skipped"] == [0, 2]
    assert bars["other reasons"] == [0, 1]
    assert [sum(column) for column in zip(*bars.values(), strict=True)] == [8, 8]


def test_a_folder_without_scored_steps_is_refused(tmp_path: Path) -> None:
    for rows in ([], [step(1, reward_mean=None)]):
        with pytest.raises(DataError, match=r"no metrics of scored steps at .*; name a run's folder with --run"):
            read_runs([write_run(tmp_path / str(len(rows)), rows)])
    with pytest.raises(DataError, match="Every question of these runs has a score"):
        plot_unscored(read_runs([write_run(tmp_path / "good", [step(1)])]), tmp_path / "unscored")


# ---- evaluation ------------------------------------------------------------------------------------------------------


def test_scores_and_differences_are_those_of_the_results(tmp_path: Path, drawn: Any, results: Any) -> None:
    plot_scores(Contest([("file", results)]), tmp_path / "scores")
    figures = results.figures["rubric"]["after"]
    means = [figures.scores[metric].mean for metric in ("relevance", "clarity", "discriminative", "composite")]
    drawn_means = [text.get_text() for text in drawn["Held-out roles, judge rubric"].texts]
    assert [text for text in drawn_means if text != "2.0"] == [f"{mean:.1f}" for mean in means]
    differences = drawn["Differences, judge rubric"]
    assert [text.get_text() for text in differences.texts] == [f"{mean - 2:+.1f}" for mean in means]
    intervals = [line.get_xdata() for line in differences.get_lines() if len(line.get_xdata()) == 2]
    composite = figures.difference.scores["composite"]
    assert [composite.low, composite.high] in [list(interval) for interval in intervals]


def test_nothing_scored_is_no_point_at_zero(tmp_path: Path, drawn: Any, role: MakeRole) -> None:
    roles = [role(i) for i in range(6)]
    results = make_results(roles, {"before": lambda judge, n: 5.0, "silent": lambda judge, n: None})
    plot_scores(Contest([("file", results)]), tmp_path / "scores")
    assert {text.get_text() for text in drawn["Held-out roles, judge rubric"].texts} == {"5.0"}
    with pytest.raises(DataError, match="no scored question"):
        Contest([("file", make_results(roles, {"silent": lambda judge, n: None}))])


def test_distributions_count_every_scored_role_once(tmp_path: Path, drawn: Any, results: Any) -> None:
    plot_distributions(Contest([("one", results), ("two", results)]), tmp_path / "distributions")
    counts = {title.split(",")[0]: sum(p.get_height() for p in axes.patches) for title, axes in drawn.items()}
    assert counts == {"one: before": 20, "one: after": 19, "two: before": 20, "two: after": 19}


def test_levels_show_means_and_numbers_of_roles(tmp_path: Path, drawn: Any, results: Any) -> None:
    plot_levels(Contest([("file", results)]), tmp_path / "levels")
    axes = drawn["Composite, judge rubric"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["junior", "mid", "senior", "staff", "principal"]
    by_level = results.figures["rubric"]["after"].by_level
    texts = [text.get_text() for text in axes.texts]
    assert texts[5:] == [f"{found.mean:.1f}\n({found.roles})" for found in by_level.values()]
    assert [found.roles for found in by_level.values()] == [3, 4, 4, 4, 4]
    assert len(drawn["Difference to the baseline, judge rubric"].texts) == 5


# ---- people ----------------------------------------------------------------------------------------------------------


def rating(question: str, score: int, **changes: object) -> dict[str, Any]:
    row = {"role_id": "r", "question": question, "relevance": score, "clarity": score, "discriminative": score}
    return {**row, "group_id": "g", "counts": True, **changes}


def judged(question: str, score: float | None) -> dict[str, Any]:
    names = ("relevance", "clarity", "discriminative", "composite")
    return {"role_id": "r", "question": question, **dict.fromkeys(names, score)}


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_people_are_averaged_and_set_against_the_judge(tmp_path: Path, drawn: Any, suffix: str) -> None:
    rows = [
        rating("a", 1),
        rating("a", 3),
        rating("b", 5),
        rating("c", 4),
        rating("c", 1, counts=False),
        rating("d", 2),
    ]
    path = tmp_path / f"ratings.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows)) + "\n")
    scores = [judged("a", 2.0), judged("b", 9.0), judged("c", 6.0), judged("d", None), judged("elsewhere", 3.0)]
    (tmp_path / "strict.json").write_text(json.dumps(scores))
    plot_people(read_ratings(path, [tmp_path / "strict.json"], RUBRIC), RUBRIC, tmp_path / "people")
    (axes,) = (axes for title, axes in drawn.items() if title.startswith("composite"))
    assert sorted(map(tuple, axes.collections[0].get_offsets())) == [(2.5, 2.0), (7.5, 6.0), (10.0, 9.0)]
    assert axes.get_title() == "composite\n3 questions, rank correlation 1.00"
    assert axes.get_ylabel() == "strict"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no ratings"),
        ("{", "line 1: it is not JSON"),
        ("[1]", "line 1: it is no JSON object"),
        (json.dumps(rating("a", 9)), r"line 1: its scores cannot be used .*between 1 and 5"),
        (json.dumps({"question": "a"}), "line 1: it has no texts `role_id` and `question`"),
    ],
)
def test_bad_ratings_are_refused_in_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "ratings.jsonl").write_text(text)
    with pytest.raises(DataError, match=told):
        read_ratings(tmp_path / "ratings.jsonl", [], RUBRIC)


def test_ratings_of_a_group_without_a_role_are_ratings_too(tmp_path: Path) -> None:
    rows = [rating("a", 4), {**rating("b", 2), "role_id": None, "group_id": "imported-1"}]
    (tmp_path / "ratings.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [*read_ratings(tmp_path / "ratings.jsonl", [], RUBRIC)] == [("r", "a"), ("", "b")]


def test_ratings_that_no_judge_has_seen_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "ratings.jsonl").write_text(json.dumps(rating("a", 3)))
    with pytest.raises(DataError, match=r"scripts/judge\.py"):
        plot_people(read_ratings(tmp_path / "ratings.jsonl", [], RUBRIC), RUBRIC, tmp_path / "people")


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def analyze(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the script with arguments; returns its exit status and what it printed on both streams."""

    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["analyze_results.py", *map(str, arguments)])
        try:
            vars(analyze_results)["main"]()
            status: object = 0
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


def test_the_command_draws_what_there_is_and_says_so(
    tmp_path: Path, analyze: Callable[..., Any], results: Results
) -> None:
    run = write_run(tmp_path / "run", [step(1), step(2, unscored=1, unscored_reasons={"expired": 1})])
    results.save(tmp_path / "results.json")
    (tmp_path / "results.html").touch()
    output = tmp_path / "out"
    status, out, err = analyze("--run", run, "--results", tmp_path / "results.json", "--output", output)
    assert (status, err) == (0, "")
    names = ["training", "unscored", "scores", "distributions", "levels"]
    assert out.splitlines() == [
        f"Drew, as PNG and SVG in {output}: {', '.join(names)}",
        f"To read the questions, open {tmp_path / 'results.html'} in a browser.",
    ]
    assert {path.name for path in output.iterdir()} == {f"{name}.{end}" for name in names for end in ("png", "svg")}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--results", "nowhere.json"],
            "--results: there are no results at nowhere.json; make some with `python scripts/eval.py`.",
        ),
        (["--run", "nowhere"], "--run: there is no folder nowhere."),
        (["--ratings", __file__], "--ratings and --judged need each other"),
    ],
)
def test_the_command_refuses_in_one_sentence(
    tmp_path: Path, analyze: Callable[..., Any], arguments: list[Any], told: str
) -> None:
    status, out, err = analyze(*arguments, "--output", tmp_path / "out")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith(told)
    assert not (tmp_path / "out").exists()
