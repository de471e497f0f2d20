"""What is known of the model that is exported: its training run, and evaluations that it took part in.

Only figures that were stored are used, and only those of this very adapter: results are taken if they name its checkpoint
(or the exported folder) and are younger than its weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recruiter.export.adapter import Adapter
from recruiter.files import short_path
from recruiter.train.layout import Checkpoint
from recruiter.train.rows import MetricsRow, RunDescription

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
    description: RunDescription
    metrics: list[MetricsRow]

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
    checkpoint = Checkpoint.of_adapter(adapter.folder)
    step, description = checkpoint.step, checkpoint.run.read_description()
    if step is None or description is None:
        return None
    metrics = [row for row in checkpoint.run.read_metrics() if row["step"] <= step]
    return TrainingRun(checkpoint.run.path, step, description, metrics)


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
            if short_path(adapter) == model.get("adapter") or short_path(export) == model.get("source"):
                roles = len(stored["roles"])
                tables += [EvaluationTable(judge, name, roles, models) for judge, models in stored["figures"].items()]
    return tables
