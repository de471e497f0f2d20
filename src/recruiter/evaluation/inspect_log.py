"""The same results as logs of Inspect AI, for its viewer: one a model, every judge a scorer, every question a sample.

Nothing is computed here: samples, scores and figures are those of the results. A question that could not be written is a
sample with an error, one that a judge could not score is unscored.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recruiter.errors import ConfigError
from recruiter.evaluation.estimates import ModelFigures
from recruiter.evaluation.records import SampleRecord
from recruiter.evaluation.results import Results

TASK = "screening_question"


def require_inspect() -> None:
    """Refuse `--inspect-log` where the package is missing.

    Raises:
        ConfigError: it is.
    """
    if importlib.util.find_spec("inspect_ai") is None:
        raise ConfigError("--inspect-log needs Inspect AI: install it with pip install -e '.[inspect]'.")


def write_inspect_logs(results: Results, folder: Path) -> list[Path]:
    """Write a log for each model into `folder`; files of the same models are replaced."""
    from inspect_ai.log import write_eval_log

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for model in results.models:
        path = folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', model)}.eval"
        write_eval_log(_log(results, model), str(path), format="eval")
        paths.append(path)
    return paths


def _log(results: Results, model: str) -> Any:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats
    from inspect_ai.model import GenerateConfig

    plan, rows = results.plan, [sample for sample in results.samples if sample.model == model]
    sampling = plan.sampling
    ids = [role.id for role in results.roles]
    return EvalLog(
        status="success" if any(row.question is not None for row in rows) else "error",
        eval=EvalSpec(
            created=results.made_at,
            task=TASK,
            dataset=EvalDataset(name=plan.roles_from, samples=len(ids), sample_ids=ids),
            model=results.models[model].source,
            model_generate_config=GenerateConfig(
                max_tokens=sampling["max_generate_length"],
                temperature=sampling["temperature"],
                top_p=sampling["top_p"],
                seed=plan.seed,
            ),
            config=EvalConfig(epochs=plan.samples),
            packages={name: version for name, version in results.versions.items() if version},
            metadata={
                "name": model,
                "plan": plan.model_dump(mode="json"),
                "evidence": results.evidence,
                "flags": results.flags,
            },
        ),
        results=EvalResults(
            total_samples=len(rows),
            completed_samples=sum(row.question is not None for row in rows),
            scores=[_eval_score(judge, results.metrics, figures[model]) for judge, figures in results.figures.items()],
        ),
        stats=EvalStats(started_at=results.made_at, completed_at=results.made_at),
        samples=[_sample(results, row) for row in rows],
    )


def _eval_score(judge: str, names: Sequence[str], figures: ModelFigures) -> Any:
    """A judge's means with the ends of their intervals."""
    from inspect_ai.log import EvalMetric, EvalScore

    metrics = {}
    for name in names:
        estimate = figures.scores[name]
        for ending, value in zip(("", "_low", "_high"), _ends(estimate), strict=True):
            if value is not None:
                metrics[name + ending] = EvalMetric(name=name + ending, value=value)
    unscored = figures.unscored + figures.unwritten
    return EvalScore(
        name=judge,
        scorer=judge,
        scored_samples=figures.questions - unscored,
        unscored_samples=unscored,
        metrics=metrics,
    )


def _ends(estimate: Any) -> tuple[float | None, float | None, float | None]:
    return (estimate.mean, estimate.low, estimate.high) if estimate else (None, None, None)


def _sample(results: Results, row: SampleRecord) -> Any:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, ModelOutput

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser}
    prompt = [kinds[message["role"]](content=message["content"]) for message in results.prompts[row.role_id]]
    role = next(role for role in results.roles if role.id == row.role_id)
    written: dict[str, Any] = {
        "messages": [*prompt, ChatMessageAssistant(content=row.question or "")],
        "output": ModelOutput.from_content(
            results.models[row.model].source, row.question or "", "max_tokens" if row.finished is False else "stop"
        ),
        "total_time": row.seconds,
    }
    if row.question is None:
        why = row.failure or "it was not written"
        written = {"messages": prompt, "error": EvalError(message=why, traceback=why, traceback_ansi=why)}
    return EvalSample(
        id=row.role_id,
        epoch=row.sample + 1,
        input=prompt,
        target="",
        scores={judge: _score(row, judge) for judge in row.judgements},
        metadata={"level": role.level, "focus": role.focus, "title": role.title, "tokens": row.tokens},
        **written,
    )


def _score(row: SampleRecord, judge: str) -> Any:
    from inspect_ai.scorer import Score

    judgement = row.judgements[judge]
    if judgement.scores is None:
        return Score.unscored(answer=row.question, explanation=judgement.unscored_reason)
    return Score(value=dict(judgement.scores), answer=row.question, explanation=judgement.reasoning)
