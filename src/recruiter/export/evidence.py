"""What is known of the model that is exported: its training run, and evaluations that it took part in.

Only figures that were stored are used, and only those of this very adapter: results are taken if they name its checkpoint
(or the exported folder) and are younger than its weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recruiter.errors import DataError
from recruiter.evaluation.records import Training
from recruiter.evaluation.results import Results, load_results
from recruiter.export.adapter import Adapter
from recruiter.files import short_path
from recruiter.rubric import Rubric, stored_rubric
from recruiter.train.layout import Checkpoint
from recruiter.train.rows import MetricsRow, RunDescription


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
    def rubric(self) -> Rubric:
        """What its judge scored by."""
        return stored_rubric(self.description.get("rubric"))

    @property
    def sampling(self) -> dict[str, Any] | None:
        """How training sampled its questions, as `generator.sampling_params`."""
        found = self.description.get("config", {}).get("generator", {}).get("sampling_params")
        return dict(found) if found else None


@dataclass(frozen=True)
class KnownResults:
    """The results of an evaluation that this model took part in, under the name `mine`."""

    mine: str
    results: Results


def find_run(adapter: Adapter) -> TrainingRun | None:
    """The run above `<run>/global_step_N/policy/lora_adapter`, if it left a description there."""
    checkpoint = Checkpoint.of_adapter(adapter.folder)
    step, description = checkpoint.step, checkpoint.run.read_description()
    if step is None or description is None:
        return None
    metrics = [row for row in checkpoint.run.read_metrics() if row["step"] <= step]
    return TrainingRun(checkpoint.run.path, step, description, metrics)


def find_evaluations(
    results: Path, adapter: Path, weights_time: float, export: Path, run: TrainingRun | None
) -> list[KnownResults]:
    """The results in a folder in which this model took part, the newest file first; what trained it is known from `run`."""
    found = []
    for path in sorted(results.glob("*.json"), key=lambda path: -path.stat().st_mtime):
        if path.stat().st_mtime < weights_time:
            continue
        try:
            stored = load_results(path)
        except DataError:
            continue
        for name, model in stored.models.items():
            if short_path(adapter) == model.adapter or short_path(export) == model.source:
                if run and model.training is None:
                    model.training = Training(
                        run=short_path(run.folder), step=run.step, judge=run.description.get("judge")
                    )
                found.append(KnownResults(name, Results.model_validate(dict(stored))))
    return found
