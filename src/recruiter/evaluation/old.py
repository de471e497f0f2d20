"""Evaluation: the same held-out roles, the same messages and settings for every model, every sample reported.

Nothing is dropped. An unscored question is counted and left out of the means; a paired difference says how many roles it
stands on. Intervals are 95% percentile bootstrap over roles. Generations and judgements are stored with the fingerprint
of what made them, so an evaluation that is run again repeats only what changed.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recruiter.checkpoints import adapter_folder, resolve_checkpoint, write_json
from recruiter.config import REPOSITORY, SamplingParams
from recruiter.errors import ConfigError, DataError
from recruiter.judges import Judge, PaidJudge
from recruiter.prompts import PROMPT_HASH, generator_messages
from recruiter.reward import overlaps_across_roles
from recruiter.roles import Role
from recruiter.rubric import CRITERION_NAMES, RUBRIC_HASH

SCHEMA_VERSION = 1
RESAMPLES = 10_000
WHOLE_HASH_BYTES = 1024**3
ALIASES = {"baseline": "Qwen/Qwen3-4B-Instruct-2507", "starter": "exports/starter"}


@dataclass(frozen=True)
class Contestant:
    """A model in an evaluation: the name in tables, the weights, and the adapter on top if there is one."""

    name: str
    path: str
    adapter: Path | None = None

    def fingerprint(self, roles: Sequence[Role], sampling: SamplingParams, seed: int, samples: int) -> str:
        """Hash of everything its questions depend on."""
        parts = [
            self.path,
            _weights_hash(REPOSITORY / self.path),
            _weights_hash(self.adapter) if self.adapter else "",
            PROMPT_HASH,
            json.dumps(asdict(sampling), sort_keys=True),
            f"{seed}/{samples}",
            *(role.model_dump_json() for role in roles),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def find_contestant(name: str, checkpoint: str | None) -> Contestant:
    """What a `--model` argument means: an alias, `rl` (needs --checkpoint), a folder, or a Hub id.

    Raises:
        ConfigError: `rl` without a checkpoint.
        ModelError: there is no such checkpoint.
    """
    if name != "rl":
        return Contestant(name, ALIASES.get(name, name))
    if checkpoint is None:
        raise ConfigError("--model rl needs --checkpoint: a folder, or `latest` or `best`.")
    if (Path(checkpoint) / "config.json").is_file():
        return Contestant(name, checkpoint)
    adapter = adapter_folder(resolve_checkpoint(checkpoint, REPOSITORY / "checkpoints"))
    from recruiter.engines.model import adapter_base

    return Contestant(name, adapter_base(adapter), adapter)


def training_run(contestant: Contestant) -> dict[str, Any] | None:
    """What `run.json` says of the run that trained a contestant's adapter."""
    if contestant.adapter is None:
        return None
    path = contestant.adapter.parents[2] / "run.json"
    return json.loads(path.read_text()) if path.is_file() else None


def write_questions(
    contestant: Contestant,
    roles: Sequence[Role],
    sampling: SamplingParams,
    seed: int,
    samples: int,
    progress: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Have a model write `samples` questions for each role; one row a question."""
    from recruiter.engines.model import LocalModel

    model = LocalModel(contestant.path, adapter=contestant.adapter)
    rows = []
    start = time.perf_counter()
    groups = model.sample([generator_messages(role) for role in roles], samples, sampling, seed)
    for done, (role, group) in enumerate(zip(roles, groups, strict=True), 1):
        for index, sample in enumerate(group):
            tokens = len(sample.token_ids)
            rows.append(
                {"role_id": role.id, "sample": index, "question": sample.text, "tokens": tokens,
                 "finished": sample.finished}
            )  # fmt: skip
        progress(done)
    seconds = time.perf_counter() - start
    for row in rows:
        row["seconds"] = round(seconds / len(rows), 3)
    return rows


def judge_questions(judge: Judge, roles: Sequence[Role], rows: Sequence[dict[str, Any]]) -> None:
    """Judge every row, all roles at once, and write scores, reasoning or the reason why there are none into it."""

    async def judge_role(role: Role) -> None:
        mine = [row for row in rows if row["role_id"] == role.id]
        judgements = await judge.score(role, [row["question"] for row in mine])
        for row, judgement in zip(mine, judgements, strict=True):
            scores = judgement.scores
            row["scores"] = {**asdict(scores), "composite": scores.composite} if scores else None
            row["reasoning"], row["unscored_reason"] = judgement.reasoning, judgement.unscored_reason

    async def run() -> None:
        try:
            await asyncio.gather(*map(judge_role, roles))
        finally:
            if isinstance(judge, PaidJudge):
                await judge.close()

    asyncio.run(run())


def summarise(roles: Sequence[Role], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one model: means with intervals over roles, tail, overlap across roles, counts."""
    scored = [row for row in rows if row["scores"]]
    means = {}
    for name in (*CRITERION_NAMES, "composite"):
        by_role = _role_means(rows, name)
        means[name] = _mean_with_interval(np.array(list(by_role.values()))) if by_role else None
    first = {row["role_id"]: row["question"] for row in rows if row["sample"] == 0}
    overlaps = overlaps_across_roles(roles, [first[role.id] for role in roles])
    return {
        "questions": len(rows),
        "unscored": len(rows) - len(scored),
        "scores": means,
        "share_below_5": sum(row["scores"]["composite"] < 5 for row in scored) / len(scored) if scored else None,
        "overlap_median": float(np.median(overlaps)),
        "tokens_mean": float(np.mean([row["tokens"] for row in rows])),
        "cut_off": sum(not row["finished"] for row in rows),
    }


def paired_difference(rows: Sequence[dict[str, Any]], baseline: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Composite of one model minus another's on the roles where both have a score."""
    ours, theirs = _role_means(rows, "composite"), _role_means(baseline, "composite")
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return None
    differences = np.array([ours[role] - theirs[role] for role in common])
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return {
        **_mean_with_interval(differences),
        "roles": len(common),
        "wins": wins,
        "ties": len(common) - wins - losses,
        "losses": losses,
    }


def load_results(path: Path) -> dict[str, Any]:
    """Stored results, or an empty set.

    Raises:
        DataError: the file is something else, or of a newer version.
    """
    if not path.is_file():
        return {"schema_version": SCHEMA_VERSION, "models": {}}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        version, _ = stored["schema_version"], stored["models"].items()
    except (OSError, json.JSONDecodeError, AttributeError, KeyError, TypeError):
        raise DataError(f"{path} is not a results file; name another with --output.") from None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {version}, this code writes {SCHEMA_VERSION}; name another --output."
        )
    return stored  # type: ignore[no-any-return]


def evaluate(
    contestants: Sequence[Contestant],
    judge: Judge,
    roles: Sequence[Role],
    sampling: SamplingParams,
    seed: int,
    samples: int,
    output: Path,
    progress: Callable[[Contestant, int], None],
) -> dict[str, Any]:
    """Write, judge and compare; the first contestant is the baseline of the differences. Stored after each model."""
    before = load_results(output)
    stored = before["models"]
    models: dict[str, Any] = {}
    header = {
        "schema_version": SCHEMA_VERSION,
        "judge": judge.name,
        "judge_version": judge.version,
        "prompt_hash": PROMPT_HASH,
        "rubric_hash": RUBRIC_HASH,
        "seed": seed,
        "samples": samples,
        "sampling": asdict(sampling),
        "roles": [role.model_dump(mode="json") for role in roles],
    }
    comparable = stored if all(before.get(key) == value for key, value in header.items()) else {}
    for contestant in contestants:
        fingerprint = contestant.fingerprint(roles, sampling, seed, samples)
        known = stored.get(contestant.name, {})
        rows = known.get("rows") if known.get("fingerprint") == fingerprint else None
        if rows is None:
            rows = write_questions(contestant, roles, sampling, seed, samples, functools.partial(progress, contestant))
        progress(contestant, len(roles))
        judge_questions(judge, roles, rows)
        models[contestant.name] = {
            "path": contestant.path,
            "adapter": str(contestant.adapter) if contestant.adapter else None,
            "fingerprint": fingerprint,
            "summary": summarise(roles, rows),
            "difference": paired_difference(rows, models[contestants[0].name]["rows"]) if models else None,
            "rows": rows,
        }
        results = {**header, "models": {**comparable, **models}}
        output.parent.mkdir(parents=True, exist_ok=True)
        write_json(output, results)
    return {**results, "models": models}


def _weights_hash(path: Path) -> str:
    """Hash of a local model's or adapter's weights, whole if small, else by name, size and time; "" for a Hub id."""
    digest = hashlib.sha256()
    for file in sorted([*path.glob("*.safetensors"), *path.glob("*config.json")]):
        state = file.stat()
        digest.update(f"{file.name}/{state.st_size}".encode())
        digest.update(file.read_bytes() if state.st_size < WHOLE_HASH_BYTES else str(state.st_mtime_ns).encode())
    return digest.hexdigest() if path.is_dir() else ""


def _role_means(rows: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in rows:
        if row["scores"]:
            values.setdefault(row["role_id"], []).append(row["scores"][name])
    return {role: sum(scores) / len(scores) for role, scores in values.items()}


def _mean_with_interval(values: np.ndarray) -> dict[str, float]:
    """Mean and 95% percentile bootstrap interval over the entries (n,); the resampling is seeded."""
    generator = np.random.default_rng(0)
    resampled = values[generator.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}
