"""What a step of judging takes by `judge.mode`: calls and tokens, from a fake server. `python -m benchmarks.judge_modes`

16 roles with 8 questions each, the size of a step; tokens are letters / 4, as the fake server counts them. A tenth of the calls
can be made to fail with `--faults 0.1`, to see what that costs. No network, no model, a few seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any, Literal

from benchmarks import REPOSITORY
from recruiter.config import JudgeConfig
from recruiter.files import read_jsonl
from recruiter.judges.making import make_judge
from recruiter.roles import Role, load_roles
from recruiter.rubric import Judgement
from tests.fake_judge import FakeJudge, Faults

ROLES, GROUP = 16, 8
CASES: tuple[tuple[Literal["single", "group", "pairs"], int | None], ...] = (
    ("single", None), ("group", 1), ("group", 2), ("pairs", 2), ("pairs", 3),
)  # fmt: skip
FOR_GOOD = 10**6
FAULTS = ("refusal", "malformed", "missing_score", "truncated")


def measure(mode: Literal["single", "group", "pairs"], rounds: int | None, faults: float) -> dict[str, Any]:
    """Calls, tokens and unscored questions of one step."""
    texts = [row["question"] for row in read_jsonl(REPOSITORY / "tests/data/honest_questions.jsonl")]
    roles = load_roles(REPOSITORY / "data/backend_roles.json")[:ROLES]
    groups = [
        (role, [texts[(start * 3 + index) % len(texts)] for index in range(GROUP)]) for start, role in enumerate(roles)
    ]
    with FakeJudge(Faults(FAULTS, share=faults, times=FOR_GOOD)) as server, tempfile.TemporaryDirectory() as folder:
        settings = JudgeConfig(
            provider="openai_compatible",
            model="fake",
            base_url=server.openai_url,
            cache_path=str(Path(folder) / "cache.sqlite"),
            mode=mode,
            rounds=rounds,
        )
        judge = make_judge(settings)

        async def run(groups: list[tuple[Role, list[str]]]) -> list[list[Judgement]]:
            try:
                return await asyncio.gather(*(judge.score(*group) for group in groups))
            finally:
                await judge.close()

        judged = [judgement for group in asyncio.run(run(groups)) for judgement in group]
    total = judge.usage.total
    return {
        "mode": mode if rounds is None else f"{mode}, rounds {rounds}",
        "calls": total.calls,
        "tokens_in": total.input_tokens,
        "tokens_out": total.output_tokens,
        "unscored": sum(judgement.scores is None for judgement in judged),
        "questions": len(judged),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--faults", type=float, default=0.0, metavar="SHARE", help="of calls that fail for good")
    options = parser.parse_args()
    for mode, rounds in CASES:
        print(json.dumps(measure(mode, rounds, options.faults)))


if __name__ == "__main__":
    main()
