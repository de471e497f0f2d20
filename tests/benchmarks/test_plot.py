from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plot
from benchmarks.run import SUITES


def line(case: dict[str, Any], seconds: float) -> str:
    result = dict.fromkeys(("seconds", "cpu_seconds", "peak_memory"), seconds)
    return json.dumps({"case": case, "result": {**result, "tokens_sampling": 10, "tokens_training": 20}}) + "\n"


def draw(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["plot", "--results", str(folder / "results.jsonl"), "--output", str(folder)])
    plot.main()


def test_what_was_measured_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = SUITES["scaling_gpu"]
    (tmp_path / "results.jsonl").write_text("".join(line(case, 1.0 + at) for at, case in enumerate(cases)))
    draw(monkeypatch, tmp_path)
    assert "nothing measured yet: python -m benchmarks.run scaling_cpu" in capsys.readouterr().out
    assert (tmp_path / "scaling-gpu.png").stat().st_size > 10_000
    assert not (tmp_path / "scaling-cpu.png").exists()


def test_a_point_is_the_latest_measurement_of_its_case_and_settings(tmp_path: Path) -> None:
    base = next(case for case in SUITES["scaling_gpu"] if case["side"] == "trl")
    (tmp_path / "results.jsonl").write_text(line(base, 9.0) + line(base, 7.0) + line({**base, "micro_batch": 1}, 20.0))
    points = plot.measured(tmp_path / "results.jsonl", "scaling_gpu")
    assert points
    assert {(side, result["seconds"]) for (_, _, side), result in points.items()} == {("trl", 7.0)}


def test_where_nothing_was_measured_it_says_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(monkeypatch, tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert said == [f"nothing measured yet: python -m benchmarks.run scaling_{kind}" for kind in ("cpu", "gpu")]
    assert not list(tmp_path.iterdir())
