"""`scripts/eval.py` as a person runs it, against a server that writes questions and judges them."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recruiter.evaluation.results import load_results
from tests import REPOSITORY
from tests.conftest import known
from tests.fake_judge import FakeJudge
from tests.fake_judge.faults import Faults
from tests.judges.test_simulated import interviewing, is_interview

MODEL = "openai_compatible/writer"


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with FakeJudge() as server:
        yield server


@pytest.fixture(scope="module")
def run(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run the command on five roles; returns the finished process and the folder of its results, or the process."""
    folder = tmp_path_factory.mktemp("evaluation")
    records = json.loads((REPOSITORY / "data/backend_roles.json").read_text(encoding="utf-8"))[:5]
    (folder / "roles.json").write_text(json.dumps(records))

    def start(*arguments: Any, output: str = "results/eval_results.json", wait: bool = True) -> Any:
        command = [
            sys.executable, str(REPOSITORY / "scripts/eval.py"), "--roles", str(folder / "roles.json"),
            *(["--base-url", server.openai_url] if any("openai_compatible" in each for each in arguments) else []),
            "--output", str(folder / output), "--cache", str(folder / "cache.sqlite"), *arguments,
        ]  # fmt: skip
        environment = {**os.environ, "COLUMNS": "80", "XAI_API_KEY": "", "OPENAI_COMPATIBLE_API_KEY": ""}
        if not wait:
            pipe = subprocess.PIPE
            return subprocess.Popen(
                command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=_heed_ctrl_c
            )
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120), folder

    return start


def _heed_ctrl_c() -> None:
    """Tests that run in a shell's background inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def finished(run: Callable[..., Any]) -> Any:
    return run(
        "--model", MODEL, "openai_compatible/other", "--judge", "rubric", "openai_compatible/judge", "--pairwise",
        "--trim", "0.2", "--show", "1", "--price", "judge", "1", "2",
    )  # fmt: skip


def test_it_ends_well_and_leaves_results_tables_and_a_report(finished: Any) -> None:
    done, folder = finished
    assert (done.returncode, done.stderr) == (0, "")
    results = load_results(folder / "results/eval_results.json")
    assert list(results.models) == [MODEL, "openai_compatible/other"]
    assert len(results.samples) == 2 * 5 * 2
    assert results.plan.baseline == MODEL
    assert all(figures.unscored == 0 for each in results.figures.values() for figures in each.values())
    tables = (folder / "results/eval_results.md").read_text(encoding="utf-8")
    assert "## Scores by rubric" in tables
    assert "## Judges against each other" in tables
    report = (folder / "results/eval_results.html").read_text(encoding="utf-8")
    assert report.startswith("<!doctype html>")


def test_what_it_says_fits_a_terminal_and_ends_with_what_to_do_next(finished: Any) -> None:
    done, _ = finished
    tables = [line for line in done.stdout.splitlines() if line.startswith(" ") and "Wrote" not in line]
    assert max(map(len, tables)) <= 80
    for part in ("Scores by rubric", "win/tie/loss", "Each judge asked twice", "openai_compatible/judge: ", "$"):
        assert part in done.stdout
    assert "results/eval_results.html" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("Next: ")


def test_a_budget_that_is_spent_leaves_results_and_exit_status_2(run: Callable[..., Any]) -> None:
    done, folder = run(
        "--model", MODEL, "--judge", "openai_compatible/poor", "--price", "poor", "100", "100", "--price", "writer", "1", "1",
        "--budget-usd", "0.5", "--twice", "0", output="poor/eval.json",
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "--budget-usd=0.5" in done.stderr
    assert "run the same command again" in done.stderr
    results = load_results(folder / "poor/eval.json")
    assert 0 < results.figures["openai_compatible/poor"][MODEL].unscored < 10
    assert known(results.spent["openai_compatible/poor"].cost_usd) <= 0.5


def test_a_judge_that_does_not_answer_ends_it_before_anything_is_written(run: Callable[..., Any], server: Any) -> None:
    server.faults = Faults(("wrong_key",), share=1.0, times=None)
    asked = len(server.requests)
    done, folder = run(
        "--model", MODEL, "--judge", "openai_compatible/locked", "--seed", "7", output="locked/eval.json"
    )
    server.faults = Faults()
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)
    assert "refused the key" in done.stderr
    assert len(server.requests) == asked + 1
    assert not (folder / "locked/eval.json").exists()


def test_simulated_candidates_stand_in_results_tables_and_report(run: Callable[..., Any], server: Any) -> None:
    server.instead = lambda request: interviewing(request) if is_interview(request) else None
    arguments = [
        "--model", MODEL, "--judge", "none", "--samples", "1",
        "--simulate-candidates", "openai_compatible/weak", "openai_compatible/strong", "--candidate-answers", "2",
    ]  # fmt: skip
    done, folder = run(*arguments, output="simulated/eval.json")
    server.instead = lambda _: None
    assert (done.returncode, done.stderr) == (0, "")
    assert "will take at most 25 calls" in done.stdout
    results = load_results(folder / "simulated/eval.json")
    assert known(known(results.simulated).models[MODEL]).mean == 0.5  # two models get no persona, and answer alike
    assert "strong beats weak" in done.stdout
    assert "Simulated candidates" in (folder / "simulated/eval.html").read_text(encoding="utf-8")
    refused, _ = run("--model", MODEL, "--simulate-candidates", "a", "b", "c", "d", output="x/eval.json")
    assert "--simulate-candidates takes one to three models, not 4" in refused.stderr


@pytest.mark.parametrize("stage", ["writing", "judging"])
def test_ctrl_c_ends_it_without_a_stack_trace_and_it_goes_on_afterwards(
    run: Callable[..., Any], server: Any, stage: str
) -> None:
    arguments = ["--model", MODEL, "--judge", f"openai_compatible/{stage}", "--samples", "4"]
    server.latency, before = 0.5, len(server.requests)
    wanted = 10 if stage == "writing" else 25  # requests: 1 look at the judge, 20 questions, 20 judgements
    process = run(*arguments, output=f"stopped-{stage}/eval.json", wait=False)
    deadline = time.monotonic() + 60
    while len(server.requests) < before + wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    server.latency = 0.0
    assert process.returncode == 130, said
    assert said.strip() == "Stopped; what was finished is stored."
    done, folder = run(*arguments, output=f"stopped-{stage}/eval.json")
    assert done.returncode == 0
    assert (
        load_results(folder / f"stopped-{stage}/eval.json").figures[f"openai_compatible/{stage}"][MODEL].unscored == 0
    )


def test_a_sheet_is_read_by_a_model_and_people_without_any_judge(
    run: Callable[..., Any], server: Any, tmp_path: Path
) -> None:
    models = ["--model", MODEL, "openai_compatible/other", "--judge", "none", "--samples", "1"]
    done, folder = run(*models, "--blind-sheet", str(tmp_path / "sheet"), output="blind/eval.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "not for them" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("Have the sheet read. ")
    stored = folder / "blind/eval.json"
    sheet = load_results(stored).sheet
    assert sheet is not None

    price = ["--price", "reader", "1", "2", "--budget-usd", "5"]
    done, _ = run("--reader", "openai_compatible/reader", *price, output="blind/eval.json")
    assert (done.returncode, done.stderr) == (0, "")
    results = load_results(stored)
    assert results.reads is not None
    assert results.reads.readers == {"openai_compatible/reader": "language model"}
    assert "Read blind by 1 language model, against writer" in done.stdout
    assert results.spent["openai_compatible/reader as a reader"].calls == len(sheet.items)
    told = [request for request in server.requests if request.body["model"] == "reader"]
    assert len(told) == len(sheet.items)
    assert all("writer" not in json.dumps(request.body) for request in told)

    (tmp_path / "again").mkdir()
    for path in (tmp_path / "anna.csv", tmp_path / "again/anna.csv"):
        path.write_text("1A,5\n")
    done, _ = run("--readings", str(tmp_path / "anna.csv"), str(path), output="blind/eval.json")
    assert done.stderr == f"{path}: another file is by anna too; give one of the files another name.\n"

    (tmp_path / "anna.csv").write_text("".join(f"{item.id},{n % 9}\n" for n, item in enumerate(sheet.items)))
    done, _ = run(
        "--readings", str(tmp_path / "anna.csv"), "--readings-kind", "person", "--reader", "openai_compatible/reader",
        output="blind/eval.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len([r for r in server.requests if r.body["model"] == "reader"]) == len(told)  # nothing is asked twice
    assert max(map(len, [line for line in done.stdout.splitlines() if line.startswith(" ")])) <= 80
    results = load_results(stored)
    assert list(known(results.reads).readers.items()) == [
        ("openai_compatible/reader", "language model"),
        ("anna", "person"),
    ]
    assert known(results.reads).alpha is not None
    assert (folder / "blind/eval.md").read_text().split("\n")[2].startswith("**Read blind by 1 ")

    done, _ = run(*models, output="blind/eval.json")  # the same questions: what was read is kept
    assert load_results(stored).reads == results.reads
    done, _ = run(*models, "--seed", "3", output="blind/eval.json")  # other ones: it stays beside
    assert "so the sheet and the readings of the earlier ones stay with these, in " in done.stdout.replace("\n", " ")
    (kept,) = (folder / "blind").glob("eval-2*.json")
    assert load_results(kept).reads == results.reads
    assert load_results(stored).reads is None


def test_what_a_reader_cannot_read_is_said_and_asked_for_again(
    run: Callable[..., Any], server: Any, tmp_path: Path
) -> None:
    run("--model", MODEL, "--judge", "rubric", "--samples", "1", "--twice", "0", output="unread/eval.json")
    server.faults = Faults(("missing_score",), share=0.5, times=None, seed=1)
    done, folder = run("--reader", "openai_compatible/shaky", output="unread/eval.json")
    server.faults = Faults()
    assert done.returncode == 2
    assert "openai_compatible/shaky did not read " in done.stderr
    assert "malformed: the reply holds no score" in done.stderr
    first = known(load_results(folder / "unread/eval.json").sheet).readings["openai_compatible/shaky"].marks
    done, _ = run("--reader", "openai_compatible/shaky", output="unread/eval.json")
    assert done.returncode == 0, done.stderr
    second = known(load_results(folder / "unread/eval.json").sheet).readings["openai_compatible/shaky"].marks
    assert len(first) < len(second) == 5
    done, _ = run("--blind-sheet", str(tmp_path / "other"), "--seed", "9", output="unread/eval.json")
    assert "holds another sheet, which somebody may be reading (seed 0)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samples", "0"], "--samples 0 cannot work; write a whole number, 1 or more"),
        (["--trim", "0.5"], "--trim 0.5 cannot work; write a number above 0 and up to 0.49"),
        (["--budget-usd", "-1"], "--budget-usd -1 cannot work; write a number above 0"),
        (["--price", "writer", "one", "2"], "--price takes a model and two numbers"),
        (["--sheet-roles", "0"], "--sheet-roles 0 cannot work; write a whole number, 1 or more"),
        (["--output", "results.html"], "--output results.html cannot work; write the name of a .json file"),
    ],
)
def test_options_that_cannot_work_are_refused(
    arguments: list[Any], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = REPOSITORY / "scripts/eval.py"
    script = importlib.util.module_from_spec(spec := known(importlib.util.spec_from_file_location("eval_script", path)))
    known(spec.loader).exec_module(script)
    monkeypatch.setattr(sys, "argv", ["eval.py", "--model", "starter", *arguments])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 1
    assert said in capsys.readouterr().err


def test_without_a_model_there_must_be_something_to_do_and_results(run: Callable[..., Any], tmp_path: Path) -> None:
    done, _ = run(output="nothing/eval.json")
    assert "give --model, or --blind-sheet, --readings, --reader or --people" in done.stderr
    (tmp_path / "a.csv").touch()
    for option, value in (("--blind-sheet", tmp_path / "s"), ("--readings", tmp_path / "a.csv")):
        done, _ = run(option, str(value), output="nothing/eval.json")
        assert "There are no results at" in done.stderr
    done, _ = run(
        "--model",
        MODEL,
        "--judge",
        "rubric",
        "--twice",
        "0",
        "--readings",
        str(tmp_path / "a.csv"),
        output="no/eval.json",
    )
    assert "no/eval.json has no sheet that could have been read: write one with --blind-sheet FOLDER." in done.stderr
