"""A blind sheet on the rating page: handed in by the evaluation, read by people, taken in as readings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recruiter.cli.evaluate import main as evaluate
from recruiter.evaluation.blind import make_sheet, with_sheet
from recruiter.evaluation.results import load_results
from tests.conftest import MakeRole, known
from tests.report_data import make_results
from tests.train.online.people import Person, Server

JUDGED = {"base": lambda judge, n: 4.0, "rl": lambda judge, n: 3.0 + n}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server.url
    server.close()


@pytest.mark.parametrize("task", ["score", "rank", "best_worst", "pairs"])
def test_people_read_a_sheet_on_the_page_and_the_report_has_what_they_said(
    role: MakeRole, tmp_path: Path, address: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people prefer every question of one model, of which one makes no sense; neither can see whose it is."""
    results = make_results(
        [role(i) for i in range(4)], JUDGED, question=lambda model, n: f"{model}'s question {n} in {task}?"
    )
    output = tmp_path / "results.json"
    with_sheet(results, make_sheet(results, seed=5)).save(output)
    command = ["eval.py", "--people", address, "--people-task", task, "--output", str(output)]
    monkeypatch.setattr("sys.argv", command)
    evaluate()
    evaluate()  # handed in again: nobody is asked twice
    assert known(load_results(output).sheet).readings == {}
    for _ in range(2):
        person = Person(address)
        for _ in range(4):
            shown = person.open()
            assert shown is not None
            group = shown["group"]
            assert (group["blind"], group["task"]) == (True, task)
            good = {one["candidate_id"] for one in group["candidates"] if one["text"].startswith("rl")}
            names = ["-".join(pair) for pair in group["pairs"]] or [one["candidate_id"] for one in group["candidates"]]
            said = {}
            for name in names:
                is_good = name.split("-")[0] in good
                scale = "better" if task == "pairs" else "place"
                value = 1 if is_good else 2 if task == "rank" else 3
                stars = dict.fromkeys(("relevance", "clarity", "discriminative"), 5 if is_good else 2)
                said[name] = stars if task == "score" else {scale: value}
            remarks = {name: {"no_sense": True} for name in good if "question 2" in texts(group)[name]}
            person.post(f"/api/rate/leases/{shown['lease']['id']}/submit", {"ratings": said, "remarks": remarks})
        assert person.open() is None
    evaluate()
    reads = load_results(output).reads
    assert reads is not None
    assert set(reads.readers.values()) == {"person"}
    assert len(reads.readers) == 2
    figures = reads.models["rl"]
    assert (figures.won, figures.lost, figures.tied) == (8, 0, 0)
    assert known(figures.no_sense).mean == pytest.approx(0.25)


def texts(group: Any) -> dict[str, str]:
    return {one["candidate_id"]: one["text"] for one in group["candidates"]}
