"""Ratings from a file: an export goes in again elsewhere, a spreadsheet goes in, and what is wrong is said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from feedback import importing
from recruiter.errors import DataError
from recruiter.rubric import load_rubric

from .conftest import group

HEAD = "group_id,question,rater,relevance,clarity,discriminative"


def table(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join([HEAD, *lines]))
    return path


def take(server: Any, path: Path) -> importing.Imported:
    return importing.import_file(server.context.database, load_rubric(), path)


@pytest.fixture
def rated(server: Any) -> Any:
    """Two people rated `g`, one put `h` in order; something is said in words."""
    server.training.ok("POST", "/api/groups", group("g", overlap=2))
    server.training.ok("POST", "/api/groups", group("h", task="rank"))
    for scores in ((5, 3, 1), (4, 4, 1)):
        rater = server.rater()
        rater.rate(
            rater.next(prefer="g"), *scores, note="a note", remarks={"2": {"comment": "=odd", "improved": "Why so?"}}
        )
    taken = rater.next(prefer="h")
    places = {one["candidate_id"]: {"place": number} for number, one in enumerate(taken["group"]["candidates"], 1)}
    rater.ok("POST", rater.lease("submit", taken), {"ratings": places})
    return server


def everything(server: Any, what: str) -> list[dict[str, Any]]:
    text = server.rater().call("GET", f"/api/export?what={what}&format=jsonl").text
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])
def test_an_export_goes_in_again_with_all_that_counts(rated: Any, tmp_path: Path, form: str) -> None:
    owner = rated.rater()
    files, before = {}, {what: everything(rated, what) for what in ("ratings", "comparisons")}
    for what in before:
        files[what] = tmp_path / f"{what}.{form}"
        files[what].write_bytes(owner.call("GET", f"/api/export?what={what}&format={form}").content)
    assert take(rated, files["ratings"]) == importing.Imported(ratings=0, known=2, groups=0)
    view = rated.training.ok("GET", "/api/groups/g")["results"]
    for name in ("g", "h"):
        owner.ok("DELETE", f"/api/owner/groups/{name}")
    assert take(rated, files["ratings"]) == importing.Imported(ratings=2, groups=1)
    assert take(rated, files["comparisons"]) == importing.Imported(ratings=1, groups=1)
    assert take(rated, files["comparisons"]) == importing.Imported(known=1)
    for what, rows in before.items():
        changed = {"rater", "rating_id", "revised_at"} | ({"note"} if what == "comparisons" else set())
        found = [{k: v for k, v in row.items() if k not in changed} for row in everything(rated, what)]
        assert sorted(map(str, found)) == sorted(
            str({k: v for k, v in row.items() if k not in changed}) for row in rows
        )
    assert rated.training.ok("GET", "/api/groups/g")["results"] == view


def test_a_spreadsheet_of_somebody_elses(server: Any, tmp_path: Path) -> None:
    path = table(tmp_path, "x1,How?,Ada,5,4,3", "x1,Why?,Ada,1,2,3", "x1,How?,Ben,3,2,1", "x1,Why?,Ben,1,2,3")
    owner = server.rater()
    said = owner.ok("POST", "/api/owner/import", {"format": "csv", "text": path.read_text()})["message"]
    assert said == "Imported: 2 ratings of whole groups. New groups: 1. There already: 0."
    view = server.training.ok("GET", "/api/groups/x1")
    assert (view["status"], view["raters"], view["results"][0]["scores"]["relevance"]) == ("rated", 2, 4.0)
    names = [one["name"] for one in owner.ok("GET", "/api/owner/raters")["raters"]]
    assert {"Ada (imported)", "Ben (imported)"} <= set(names)
    assert owner.next()["lease"] is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x1,How?,Ada,6,4,3", "line 2: relevance must be a whole number from 1 to 5"),
        ("x1,How?,Ada,,4,3", "line 2: it has no number for relevance"),
        (",How?,Ada,1,4,3", "line 2: it has no group_id"),
        ("g,How?,Ada,1,4,3", "Ada has not rated"),
        ("g,Whence?,Ada,1,4,3", "group g has no question 'Whence?'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_taken_in(server: Any, tmp_path: Path, line: str, said: str) -> None:
    server.training.ok("POST", "/api/groups", group("g"))
    path = table(tmp_path, line)
    with pytest.raises(DataError, match=re.escape(said)):
        take(server, path)
    owner = server.rater()
    assert owner.refused("POST", "/api/owner/import", {"format": "csv", "text": path.read_text()}) == (422, "invalid")
    assert everything(server, "ratings") == []
    assert server.training.call("GET", "/api/groups/x1").status_code == 404
