"""What is known of the model that is exported: its training run, and evaluations that it took part in.

Only figures that were stored are used, and only those of this very adapter: results are taken if they name its checkpoint
(or the exported folder) and are younger than its weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recruiter.cli.command import shown
from recruiter.export.adapter import Adapter
from recruiter.metrics_logger import read_jsonl

RESULTS_VERSION = 2


@dataclass(frozen=True)
class TrainingRun:
    """The run that a checkpoint belongs to.

    Attributes:
        description: `run.json`: configuration, judge, prompt and rubric hashes, code revision.
        metrics: one row a step, up to the exported one.
    """

    folder: Path
    step: int
    description: dict[str, Any]
    metrics: list[dict[str, Any]]

    @property
    def sampling(self) -> dict[str, Any] | None:
        """How training sampled its questions, as `generator.sampling_params`."""
        found = self.description.get("config", {}).get("generator", {}).get("sampling_params")
        return dict(found) if found else None


@dataclass(frozen=True)
class EvaluationTable:
    """One judge's figures for this model and the others of the same evaluation; `mine` is its name there."""

    judge: str
    mine: str
    roles: int
    models: dict[str, dict[str, Any]]


def find_run(adapter: Adapter) -> TrainingRun | None:
    """The run above `<run>/global_step_N/policy/lora_adapter`, if it left a description there."""
    parents = adapter.folder.resolve().parents
    checkpoint, run = parents[1], parents[2]
    step = checkpoint.name.removeprefix("global_step_")
    if not step.isdigit() or not (run / "run.json").is_file():
        return None
    metrics = read_jsonl(run / "metrics.jsonl") if (run / "metrics.jsonl").is_file() else []
    description = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return TrainingRun(run, int(step), description, [row for row in metrics if row["step"] <= int(step)])


def find_evaluations(results: Path, adapter: Path, weights_time: float, export: Path) -> list[EvaluationTable]:
    """Tables of the result files in a folder in which this model took part, the newest file's first."""
    tables = []
    for path in sorted(results.glob("*.json"), key=lambda path: -path.stat().st_mtime):
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if not isinstance(stored, dict) or stored.get("schema_version") != RESULTS_VERSION:
            continue
        if path.stat().st_mtime < weights_time:
            continue
        for name, model in stored["models"].items():
            if shown(adapter) == model.get("adapter") or shown(export) == model.get("source"):
                roles = len(stored["roles"])
                tables += [EvaluationTable(judge, name, roles, models) for judge, models in stored["figures"].items()]
    return tables
