"""Nobody is called better on the word of whoever trained it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recruiter.evaluation.blind import make_sheet, with_sheet
from recruiter.evaluation.records import Mark, Reading
from recruiter.evaluation.results import Results, load_results
from recruiter.evaluation.tables import markdown, tables
from recruiter.report.plots import Contest
from tests.conftest import MakeRole, known
from tests.report_data import make_results

MODELS = {"base": lambda judge, n: 2.0, "rl": lambda judge, n: 9.0, "other": lambda judge, n: 5.0 + n % 2}


def trained_by(role: MakeRole, judge: str | None, judges: tuple[str, ...] = ("rubric",)) -> Results:
    training: dict[str, dict[str, object]] = {"rl": {"run": "checkpoints/x", "step": 3, "judge": judge, "config": None}}
    return make_results([role(i) for i in range(12)], MODELS, judges, training=training)


def test_where_only_the_training_judge_has_spoken_the_first_line_says_so(role: MakeRole, tmp_path: Path) -> None:
    results = trained_by(role, "rubric")
    (line,) = results.evidence
    assert line.startswith(
        "Only rubric has judged rl, and also rewarded its training: that is no evidence that rl got better."
    )
    assert markdown(results).split("\n")[2] == f"**{line}**"
    results.save(tmp_path / "r.json")
    assert (tmp_path / "r.json").read_text().split("\n")[2:4] == ['  "evidence": [', f"    {json.dumps(line)}"]


def test_its_word_is_marked_and_tests_nothing(role: MakeRole) -> None:
    results = trained_by(role, "rubric")
    figures = results.figures["rubric"]
    assert {name: each.judge_trained_it for name, each in figures.items()} == {
        "base": False, "rl": True, "other": False,
    }  # fmt: skip
    rl, other = figures["rl"].difference, figures["other"].difference
    assert rl is not None
    assert other is not None
    assert (rl.p_value, rl.p_corrected) == (None, None)
    assert other.p_corrected == other.p_value  # one test is left, so there is nothing to correct
    assert results.pairwise["rubric"].strengths["rl"].beats_baseline is None
    shown = list(tables(results))
    judged = [table for table in shown if "rubric" in table.title and "rl" in str([*table.rows, table.columns])]
    assert len(judged) >= 5
    for table in judged:
        if table.title == "Each judge asked twice":
            continue
        assert "(*: rubric trained it, so its word is no evidence)" in table.title
        assert "rl*" in [*table.columns, *(row[0] for row in table.rows)]
    (differences,) = [table for table in shown if table.title.startswith("Difference to base by rubric (")]
    assert [row[2] for row in differences.rows if row[0] == "rl*"] == ["–"]


def test_every_judge_of_a_panel_that_decided_has_trained_it(role: MakeRole) -> None:
    results = trained_by(role, "local + rubric", ("rubric", "local", "second"))
    marked = [judge for judge, figures in results.figures.items() if figures["rl"].judge_trained_it]
    assert (marked, results.evidence) == (["rubric", "local"], [])
    assert "Only rubric and local" in trained_by(role, "local + rubric", ("rubric", "local")).evidence[0]


def test_plots_mark_it_too(role: MakeRole) -> None:
    labels = [entry.label for entry in Contest([("e", trained_by(role, "rubric"))]).judges["rubric"]]
    assert labels == ["base", "rl*", "other"]


def test_another_judge_or_a_reader_is_evidence(role: MakeRole) -> None:
    assert trained_by(role, "rubric", ("rubric", "second")).evidence == []
    assert trained_by(role, "xai/grok").evidence == []
    results = trained_by(role, "rubric")
    sheet = make_sheet(results, 0)
    sheet.readings["anna"] = Reading(kind="person", marks={item.id: Mark(score=5) for item in sheet.items})
    lines = with_sheet(results, sheet).evidence
    assert lines[0] == (
        "Read blind by 1 person: no pair of rl and base is decided; 0% of its questions make no sense, of base's 0%."
    )


def test_a_reader_that_trained_it_has_no_say(role: MakeRole) -> None:
    results = trained_by(role, "xai/grok", ("xai/grok",))
    sheet = make_sheet(results, 0)
    high = {item.id: Mark(score=9 if item.samples[0][0] != "base" else 1) for item in sheet.items}
    sheet.readings["xai/grok"] = Reading(kind="language model", marks=high)
    read = with_sheet(results, sheet)
    assert read.reads is not None
    assert (read.reads.models["rl"].won, read.reads.models["rl"].readers) == (0, [])
    assert read.reads.models["other"].won == 12
    assert read.evidence[-1].startswith("Only xai/grok and xai/grok") is False
    assert any(line.startswith("Only xai/grok has judged rl, and also rewarded its training") for line in read.evidence)


@pytest.mark.parametrize("version", [2, 3])
def test_earlier_files_are_read_with_the_same_care(role: MakeRole, tmp_path: Path, version: int) -> None:
    stored = {**trained_by(role, "rubric").model_dump(mode="json"), "schema_version": version}
    for name in ("evidence", "sheet", "reads"):
        del stored[name]
    for figures in stored["figures"]["rubric"].values():
        del figures["judge_trained_it"]
        if figures["difference"]:
            figures["difference"].update(p_value=0.001, p_corrected=0.002)
    (tmp_path / "old.json").write_text(json.dumps(stored))
    results = load_results(tmp_path / "old.json")
    assert results.evidence[0].startswith("Only rubric has judged rl")
    assert known(results.figures["rubric"]["rl"].difference).p_value is None
