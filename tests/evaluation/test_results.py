from __future__ import annotations

import json
from pathlib import Path

import pytest

from recruiter.errors import DataError
from recruiter.evaluation.results import load_results
from tests.evaluation.conftest import Evaluate, ListWriter


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"a": 1}', '{"schema_version": 2}', '{"schema_version": 2, "samples": NaN}']
)
def test_a_file_that_holds_no_results_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"notes.json is not a results file") as caught:
        load_results(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_of_another_version_are_refused(tmp_path: Path, evaluate: Evaluate) -> None:
    with pytest.raises(DataError, match=r"no results at .*none.json; make some with `python scripts/eval.py`"):
        load_results(tmp_path / "none.json")
    results, _ = evaluate([ListWriter("a", ["x"])])
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**results.model_dump(mode="json"), "schema_version": 1}))
    with pytest.raises(DataError, match=r"schema version 1, this code reads 2 to 4: make it again"):
        load_results(path)
