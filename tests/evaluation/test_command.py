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
from typing import Any

import pytest

from recruiter.evaluation.results import load_results
from tests import REPOSITORY
from tests.fake_judge import FakeJudge
from tests.fake_judge.faults import Faults

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
            "--base-url", server.openai_url, "--output", str(folder / output),
            "--cache", str(folder / "cache.sqlite"), *arguments,
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
    assert results.spent["openai_compatible/poor"].cost_usd <= 0.5


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samples", "0"], "--samples 0 cannot work; write a number 1 or more"),
        (["--trim", "0.5"], "--trim 0.5 cannot work; write a number between 0 and 0.5"),
        (["--budget-usd", "-1"], "--budget-usd -1.0 cannot work; write a number above 0"),
        (["--price", "writer", "one", "2"], "--price takes a model and two numbers"),
        (["--output", "results.html"], "--output results.html cannot work; name a .json file"),
    ],
)
def test_options_that_cannot_work_are_refused(
    arguments: list[Any], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = REPOSITORY / "scripts/eval.py"
    script = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("eval_script", path))
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", ["eval.py", "--model", "starter", *arguments])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
