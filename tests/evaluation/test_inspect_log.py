"""Needs Inspect AI, whose pins differ from the tested versions: run by hand, `pytest -m inspect`, after
`pip install -e '.[inspect]'`."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from recruiter.evaluation.inspect_log import write_inspect_logs
from tests.conftest import known
from tests.evaluation.conftest import Evaluate, ListWriter


@pytest.mark.inspect
def test_logs_read_back_by_inspect_hold_the_same_results(evaluate: Evaluate, tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log

    writers = [ListWriter("a", ["a b c", "please refuse", ""]), ListWriter("b/c", ["a", "b c", "d e f g"])]
    results, _ = evaluate(writers)
    paths = write_inspect_logs(results, tmp_path / "logs")
    assert [path.name for path in paths] == ["a.eval", "b-c.eval"]
    log = read_eval_log(str(paths[0]))
    assert (log.status, log.eval.model, log.results.total_samples, log.results.completed_samples) == (
        "success",
        "a",
        3,
        2,
    )
    (score,) = log.results.scores
    assert (score.scorer, score.scored_samples, score.unscored_samples) == ("words", 1, 2)
    assert score.metrics["composite"].value == known(results.figures["words"]["a"].scores["composite"]).mean
    first, refused, missing = log.samples
    assert first.scores["words"].value == {"relevance": 3, "clarity": 3, "discriminative": 3, "composite": 3}
    assert [message.role for message in first.messages] == ["system", "user", "assistant"]
    assert first.input[1].content == results.prompts["role-000"][1]["content"]
    assert math.isnan(refused.scores["words"].value)
    assert refused.scores["words"].explanation == "refusal"
    assert missing.error.message == "the server was busy"
