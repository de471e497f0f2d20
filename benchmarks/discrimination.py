"""Do simulated candidates tell which of two questions discriminates? `python -m benchmarks.discrimination --model PATH`

48 pairs of questions for the same role (`tests/data/discrimination_pairs.jsonl`): trivia, a definition or a yes/no question
against a scenario that needs experience. Written before the judge `simulated` was built. Each question gets the probability
that a strong candidate's answer is graded above a weak one's; a pair is in the right order if the scenario's is higher, a tie
counts half. Prints one JSON object, and writes it to `--output` if given. Offline; a model folder, a Hub id, or provider/model.
With `--weak` and `--strong` two models play the candidates and `--model` grades; else one model plays both, told who it is.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import REPOSITORY
from recruiter.config import JudgeConfig
from recruiter.evaluation.statistics import estimate
from recruiter.files import read_jsonl
from recruiter.judges.simulated import Asked, Interviews, SimulatedJudge
from recruiter.roles import load_roles

PAIRS = REPOSITORY / "tests/data/discrimination_pairs.jsonl"


def measure(settings: JudgeConfig, pairs: Sequence[dict[str, str]], seed: int) -> dict[str, Any]:
    """Hold the interviews for all questions of all pairs, and say how many pairs are in the right order."""
    roles = {role.id: role for role in load_roles(REPOSITORY / "data/backend_roles.json")}
    judge = SimulatedJudge(settings)
    asked = [Asked(roles[pair["role_id"]], pair[kind]) for kind in ("plain", "scenario") for pair in pairs]

    async def run() -> list[Interviews]:
        try:
            return await judge.measure(asked, seed)
        finally:
            await judge.close()

    start = time.perf_counter()
    found = asyncio.run(run())
    seconds = time.perf_counter() - start
    figures = [interviews.probability(judge.answers) for interviews in found]
    rows = [
        {**pair, "figures": (plain, scenario), "answers": (_texts(found[index]), _texts(found[index + len(pairs)]))}
        for index, (pair, plain, scenario) in enumerate(
            zip(pairs, figures[: len(pairs)], figures[len(pairs) :], strict=True)
        )
    ]
    usage = judge.usage
    return {
        "judge": judge.name,
        "answers": judge.answers,
        "seed": seed,
        "seconds": round(seconds, 1),
        "calls": usage.total.calls,
        "cost_usd": usage.cost_usd,
        **figures_of(rows),
        "by_kind": {kind: figures_of([row for row in rows if row["kind"] == kind]) for kind in _kinds(rows)},
        "rows": rows,
    }


def figures_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Share of the pairs in the right order and the means of both sides, with 95% intervals over pairs."""
    pairs = [row["figures"] for row in rows if None not in row["figures"]]
    order = [0.5 if plain == scenario else float(scenario > plain) for plain, scenario in pairs]
    each = {
        "right_order": order,
        "plain": [plain for plain, _ in pairs],
        "scenario": [scenario for _, scenario in pairs],
    }
    return {
        "pairs": len(pairs),
        "missing": len(rows) - len(pairs),
        "ties": order.count(0.5),
        **{name: _estimate(values) for name, values in each.items()},
    }


def _estimate(values: Sequence[float]) -> list[float | None] | None:
    found = estimate(np.array(values))
    return [None if v is None else round(v, 3) for v in (found.mean, found.low, found.high)] if found else None


def _kinds(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({row["kind"] for row in rows})


def _texts(interviews: Interviews) -> dict[str, list[tuple[float | None, str]]]:
    return {
        side: [(each.grade, each.text) for each in graded]
        for side, graded in (("weak", interviews.weak), ("strong", interviews.strong))
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--model", required=True, help="folder, Hub id or provider/model: grades, and plays both candidates"
    )
    parser.add_argument("--weak", help="another model as the weak candidate")
    parser.add_argument("--strong", help="another model as the strong candidate")
    parser.add_argument("--answers", type=int, default=8, help="of each candidate to each question (default 8)")
    parser.add_argument("--pairs", type=int, help="the first so many (default all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="a file for the JSON, with every answer and its grade")
    options = parser.parse_args()
    settings = dataclasses.replace(
        JudgeConfig(provider="simulated"),
        model=options.model,
        weak=options.weak,
        strong=options.strong,
        answers=options.answers,
    )
    result = measure(settings, read_jsonl(PAIRS)[: options.pairs], options.seed)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    print(json.dumps({name: value for name, value in result.items() if name != "rows"}))


if __name__ == "__main__":
    main()
