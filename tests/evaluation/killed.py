"""An evaluation that a test kills: two writers, an LLM judge at a server, and the rubric judge; says what it does."""

import sys
import time
from pathlib import Path

from recruiter.config import JudgeConfig
from recruiter.evaluation.contestants import Contestant, Setup
from recruiter.evaluation.runner import Evaluation
from recruiter.evaluation.store import RecordStore
from recruiter.judges.llm import LLMJudge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.roles import Role
from tests.evaluation.conftest import ListWriter, make_plan

SLOTS = [(role, index) for role in range(6) for index in range(2)]


def main(folder: Path, address: str) -> None:
    roles = [
        Role(
            id=f"role-{i}", title=f"Engineer {i}", level="mid", focus="queues", stack=("Go", "Kafka"),
            description=f"Keep queue {i} short.", key_skills=("backpressure",),
        )
        for i in range(6)
    ]  # fmt: skip
    writers = [
        ListWriter(name, [f"How would {name} keep queue {i} short when consumer {k} stalls?" for i, k in SLOTS], pause)
        for name in ("one", "other")
        for pause in [lambda: time.sleep(0.01)]
    ]
    settings = JudgeConfig(
        "openai_compatible", "fake", address, max_attempts=1, concurrency=2, cache_path=str(folder / "cache.sqlite")
    )
    plan = make_plan(["one", "other"], samples=2, twice=4, pairwise=True, trim=0.2)
    contestants = [Contestant(writer.name, writer) for writer in writers]
    setup = Setup(plan, roles, contestants, [LLMJudge(settings), RubricJudge()])

    def progress(who: str, what: str, share: float) -> None:
        print(f"{who} {what} {share:.2f}", flush=True)

    Evaluation(setup, RecordStore(folder / "eval_store.sqlite"), progress).run().save(folder / "results.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
