"""The model card: what the model is, where it comes from, how good it is known to be, and how to use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData, metadata_load
from yaml import YAMLError

from recruiter.errors import DataError
from recruiter.evaluation.estimates import Estimate
from recruiter.evaluation.read_tables import read_tables
from recruiter.evaluation.tables import short_names
from recruiter.export.config_files import PROBE
from recruiter.export.evidence import KnownResults, TrainingRun
from recruiter.export.manifest import Manifest
from recruiter.prompts import generator_messages
from recruiter.report.plots import plot_training, read_runs
from recruiter.rubric import load_rubric

PLOT = "training.png"
_CURVE_ROWS = 8
_FEW_BITS_KEPT = 0.9


def find_licence(base: Path) -> str | None:
    """The licence that a base model's own card or manifest states, as an SPDX-like identifier."""
    card, stated = base / "README.md", None
    if card.is_file():
        with suppress(ValueError, YAMLError):  # a card that cannot be read states nothing
            stated = (metadata_load(card) or {}).get("license")
    if stated is None:
        stated = Manifest.licence_of(base)
    return str(stated).lower() if stated else None


def write_card(
    folder: Path, manifest: Manifest, run: TrainingRun | None, evaluations: list[KnownResults], hub_repo: str | None
) -> None:
    """Write `README.md`, and the curve of the run as a picture beside it."""
    has_plot = _draw(run, folder)
    name = hub_repo.partition("/")[2] if hub_repo else folder.name
    parts = [
        f"---\n{_metadata(manifest)}\n---\n\n# {name}",
        *(f"**{line}**" for line in _evidence(evaluations)),
        "Writes technical screening questions: a role description goes in, one question comes out that a candidate can "
        "answer in two to five minutes. A person should read a question before a candidate does.",
        _origin(manifest, run),
        _training(run, has_plot),
        *(part for known in evaluations for part in _evaluation(known)),
        _limits(manifest, run, evaluations),
        _usage(hub_repo or str(folder.name), manifest),
        _licence(manifest),
    ]
    (folder / "README.md").write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")


def _metadata(manifest: Manifest) -> str:
    data = ModelCardData(
        language="en",
        license=manifest.licence or "other",
        license_name=None if manifest.licence else "not-stated",
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=manifest.hub_base,
        tags=["grpo", "lora", "question-generation"],
    )
    return data.to_yaml()


def _origin(manifest: Manifest, run: TrainingRun | None) -> str:
    about: Mapping[str, Any] = run.description if run else {}
    lora = about.get("config", {}).get("trainer", {}).get("policy", {}).get("lora", {})
    rows = {
        "base model": manifest.base,
        "method": "GRPO on a LoRA adapter"
        + (f" (rank {lora['rank']}, alpha {lora['alpha']})" if {"rank", "alpha"} <= set(lora) else "")
        + f", merged into the base and stored in {manifest.dtype}",
        "data": "role descriptions of the training split; the held-out split was not trained on" if run else None,
        "step": f"{run.step}" if run else None,
        "judge in training": about.get("judge"),
        "prompt": f"`{about.get('prompt_hash', manifest.prompt_hash)}`",
        "rubric": f"`{about.get('rubric_hash', manifest.rubric_hash)}`",
        "adapter": f"SHA-256 `{manifest.adapter_sha256}`",
        "context": f"{manifest.max_model_len} tokens",
        "code": f"Question Generation RL {about['version']}, revision {about.get('revision')}" if run else None,
    }
    return "## Where it comes from\n\n| | |\n| --- | --- |\n" + "\n".join(
        f"| {key} | {value} |" for key, value in rows.items() if value
    )


def _draw(run: TrainingRun | None, folder: Path) -> bool:
    if run is None:
        return False
    try:
        drawn = plot_training(read_runs([run.folder]), (folder / PLOT).with_suffix(""))
    except DataError:
        return False
    for path in drawn:
        if path.name != PLOT:
            path.unlink()  # the card shows one picture
    return True


def _training(run: TrainingRun | None, has_plot: bool) -> str:
    rows = [row for row in run.metrics if row.get("reward_mean") is not None] if run else []
    if run is None or not rows:
        return ""
    places = sorted({round(i * (len(rows) - 1) / (_CURVE_ROWS - 1)) for i in range(_CURVE_ROWS)})
    names = run.rubric.names
    table = ["| step | reward (0–1) | " + " | ".join(names) + " | validation |", "| --- " * (len(names) + 3) + "|"]
    for row in (rows[place] for place in places):
        values = [row["reward_mean"], *(row.get(name) for name in names), row.get("validation_reward")]
        cells = " | ".join("" if value is None else f"{value:.3g}" for value in values)
        table.append(f"| {row['step']} | {cells} |")
    picture = f"![Reward over the steps of training]({PLOT})\n\n" if has_plot else ""
    return (
        f"## Training\n\n{picture}Mean over the samples of a step; criteria from 0 to 10. The picture shows the whole run, "
        f"this model is its step {run.step}. The judge here is the one that rewarded it: the curve shows that training "
        f"worked, not that the questions are good.\n\n" + "\n".join(table)
    )


def _evidence(evaluations: list[KnownResults]) -> list[str]:
    """What the results say of whether it is better, each sentence once, with this model's name in them."""
    lines = [(known.mine, line) for known in evaluations for line in known.results.evidence]
    return list(dict.fromkeys(f"This model is {mine}. {line}" for mine, line in lines))


def _evaluation(known: KnownResults) -> Iterator[str]:
    """Blind reads first, then each judge; a mark stands where a judge trained the model."""
    results = known.results
    names, about = results.metrics, f"{len(results.roles)} roles, scores from 0 to 10 with 95% intervals over roles."
    if results.reads:
        for table in read_tables(results.reads, names, short_names(results)):
            yield f"## {table.title}\n\nThis model is *{known.mine}*.\n\n{table.markdown()}"
    for judge, models in results.figures.items():
        marked = " (*: this judge trained it: no evidence)" if any(m.judge_trained_it for m in models.values()) else ""
        yield "\n\n".join(
            [
                f"## Evaluation, judge {judge}{marked}",
                f"{about} This model is *{known.mine}*.",
                "\n".join(
                    ["| model | " + " | ".join(names) + " | unscored |", "| --- " * (len(names) + 2) + "|"]
                    + [
                        f"| {name}{'*' * figures.judge_trained_it} | "
                        + " | ".join(_estimate(figures.scores.get(metric)) for metric in names)
                        + f" | {figures.unscored} of {figures.questions} |"
                        for name, figures in models.items()
                    ]
                ),
            ]
        )


def _estimate(estimate: Estimate | None) -> str:
    if not estimate:
        return "–"
    interval = "" if estimate.low is None else f" ({estimate.low:.2f} to {estimate.high:.2f})"
    return f"{estimate.mean:.2f}{interval}"


def _limits(manifest: Manifest, run: TrainingRun | None, evaluations: list[KnownResults]) -> str:
    rubric = run.rubric if run else load_rubric()
    points = [
        "Scores are a judge's opinion by a rubric ("
        + ", ".join(rubric.names)
        + "), not what candidates or interviewers "
        "experienced. Red flags that the rubric takes points for: "
        + "; ".join(flag.text for criterion in rubric.criteria for flag in criterion.red_flags)
        + ".",
        "It was trained on written role descriptions in English. A question can be wrong, trivial, or impossible to answer: "
        "a person decides whether it is asked.",
    ]
    if not evaluations:
        points.insert(0, "It was not evaluated on held-out roles.")
    if manifest.kept < _FEW_BITS_KEPT:
        points.append(
            f"Rounding to {manifest.dtype} left {manifest.kept:.0%} of what the adapter changes in its weights; float32 "
            f"keeps all of it."
        )
    return "## What to be careful about\n\n" + "\n".join(f"- {point}" for point in points)


def _usage(repo: str, manifest: Manifest) -> str:
    messages = ",\n    ".join(repr(dict(message)) for message in generator_messages(PROBE))
    return f"""## Use it

The model was trained on one prompt. With transformers:

```python
from transformers import pipeline

messages = [
    {messages},
]
writer = pipeline("text-generation", model="{repo}")
print(writer(messages, max_new_tokens=256)[0]["generated_text"][-1]["content"])
```

As a server with vLLM (`--dtype half` on a GPU without bfloat16):

```
vllm serve {repo} --max-model-len {manifest.max_model_len}
```

With Question Generation RL, which fills in the prompt from a role and judges the result:

```
python scripts/eval.py --model {repo}
```"""


def _licence(manifest: Manifest) -> str:
    if manifest.licence:
        return f"## Licence\n\n{manifest.licence}, as its base model {manifest.base}."
    return (
        f"## Licence\n\nThe base model {manifest.base} does not state one in its files. Its terms apply to this model: find "
        f"them out before you use or share it."
    )
