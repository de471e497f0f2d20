"""Interviews with simulated candidates: how surely the answers to a model's questions tell a strong candidate from a weak one.

Measured after all models have written, and stored question by question; `judges/simulated` says how.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict

from recruiter.evaluation.estimates import Estimate, Simulated
from recruiter.evaluation.figures import over_roles
from recruiter.evaluation.records import InterviewRecord, SampleRecord
from recruiter.evaluation.store import RecordStore
from recruiter.judges.simulated import Asked, Interviews, SimulatedJudge
from recruiter.llm.loop_thread import run_async
from recruiter.roles import Role

AT_A_TIME = 64  # questions whose interviews are held together


def simulate(
    judge: SimulatedJudge,
    samples: Sequence[SampleRecord],
    roles: Mapping[str, Role],
    store: RecordStore,
    seed: int,
    progress: Callable[[float], None],
) -> None:
    """Hold the interviews for all samples that have a question, and add what came of them.

    Raises:
        RecruiterError: a model cannot be used any more; what arrived is stored.
    """
    written = [sample for sample in samples if sample.question is not None]
    places = {id(sample): _place(judge, sample, roles[sample.role_id], seed) for sample in written}
    for sample in written:
        if stored := store.get(*places[id(sample)]):
            sample.interviews = InterviewRecord.model_validate(stored)
    waiting = [sample for sample in written if sample.interviews is None]
    done = len(written) - len(waiting)
    for part in _parts(waiting):
        asked = [Asked(roles[sample.role_id], str(sample.question)) for sample in part]
        for sample, found in zip(part, run_async(_measured(judge, asked, seed)), strict=True):
            sample.interviews = _record(found, found.probability(judge.answers))
            if sample.interviews.probability is not None:
                store.put(*places[id(sample)], value=sample.interviews.model_dump())
        done += len(part)
        progress(done / len(written))


def simulated_figures(judge: SimulatedJudge, models: Sequence[str], samples: Sequence[SampleRecord]) -> Simulated:
    """The figure of each model, a role counts once."""
    return Simulated(
        judge=judge.name,
        version=judge.version,
        answers=judge.answers,
        models={model: _estimate([sample for sample in samples if sample.model == model]) for model in models},
        missing={
            model: sum(
                sample.model == model and sample.question is not None and _probability(sample) is None
                for sample in samples
            )
            for model in models
        },
    )


async def _measured(judge: SimulatedJudge, asked: Sequence[Asked], seed: int) -> list[Interviews]:
    try:
        return await judge.measure(asked, seed)
    finally:
        await judge.close()


def _place(judge: SimulatedJudge, sample: SampleRecord, role: Role, seed: int) -> tuple[object, ...]:
    return "interviews", judge.name, judge.version, role.model_dump(mode="json"), sample.question, seed


def _parts(samples: Sequence[SampleRecord]) -> Iterator[Sequence[SampleRecord]]:
    for start in range(0, len(samples), AT_A_TIME):
        yield samples[start : start + AT_A_TIME]


def _record(found: Interviews, probability: float | None) -> InterviewRecord:
    sides = {name: [(each["text"], each["grade"]) for each in side] for name, side in asdict(found).items()}
    return InterviewRecord(probability=probability, **sides)


def _probability(sample: SampleRecord) -> float | None:
    return sample.interviews.probability if sample.interviews else None


def _estimate(samples: Sequence[SampleRecord]) -> Estimate | None:
    values: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        if (probability := _probability(sample)) is not None:
            values[sample.role_id].append(probability)
    return over_roles({role: sum(each) / len(each) for role, each in values.items()})
