"""Where the judged groups of a step come from.

The loop does not know who judges. It hands a step's groups over as they are sampled and asks for each group's judgements
in turn. `JudgedGroups` has a judge answer by itself; `rated_groups.py` has people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self

from recruiter.engines import Sample
from recruiter.judges import Judge
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.background_judge import BackgroundJudge
from recruiter.train.rollout import Rollout
from recruiter.train.rows import MetricsRow


class GroupSource(Protocol):
    """Hands a step's groups to whoever judges them. Its context ends what still runs.

    Attributes:
        judge: judges the validation slice.
    """

    judge: BackgroundJudge

    def groups(self, step: int, sampled: Iterator[tuple[Role, list[Sample]]]) -> list[Rollout]:
        """The groups that a step trains on, in a fixed order.

        Args:
            sampled: the groups of this step, sampled as they are asked for. A source that kept those of an interrupted
                step does not ask.
        """
        ...

    def judging(self, rollout: Rollout) -> Future[list[Judgement]]:
        """What will hold the judgements of one of these groups, in the order of its samples."""
        ...

    def figures(self) -> Mapping[str, float]:
        """What belongs into the present step's metrics besides the figures of its groups."""
        ...

    def finished(self, metrics: MetricsRow) -> None:
        """A step is trained, validated and logged."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class JudgedGroups:
    """Groups of a judge that answers by itself: a group is at the judge from the moment it is sampled.

    What a judge computes with the policy's own model, it computes when all groups are sampled.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = BackgroundJudge(judge)
        self._judging: dict[Rollout, Future[list[Judgement]]] = {}

    def groups(self, step: int, sampled: Iterator[tuple[Role, list[Sample]]]) -> list[Rollout]:
        """See `GroupSource`."""
        self._judging = {
            Rollout(role, generator_messages(role), samples): self.judge.submit(role, [s.text for s in samples], step)
            for role, samples in sampled
        }
        self.judge.read([(rollout.role, [s.text for s in rollout.samples]) for rollout in self._judging], step)
        return list(self._judging)

    def judging(self, rollout: Rollout) -> Future[list[Judgement]]:
        """See `GroupSource`."""
        return self._judging[rollout]

    def figures(self) -> Mapping[str, float]:
        """See `GroupSource`."""
        return {}

    def finished(self, metrics: MetricsRow) -> None:
        """See `GroupSource`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.judge.close()
