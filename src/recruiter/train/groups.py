"""Where the judged groups of a step come from.

The loop does not know who judges. It hands a step's groups over as they are sampled and asks for each group's judgements
in turn. `JudgedGroups` has a judge answer by itself, `GroupsAhead` while the step before is trained; `rated_groups.py` has
people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self

from recruiter.engines import Sample
from recruiter.judges import Judge
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.asked_groups import AskedGroup, AskedGroups
from recruiter.train.background_judge import BackgroundJudge
from recruiter.train.layout import RunFolder
from recruiter.train.rollout import Rollout
from recruiter.train.rows import MetricsRow

Sampler = Callable[[int], Iterator[tuple[Role, list[Sample]]]]  # samples the groups of a step, by the present policy


class GroupSource(Protocol):
    """Hands a step's groups to whoever judges them. Its context ends what still runs.

    Attributes:
        judge: judges the validation slice.
    """

    judge: BackgroundJudge

    def groups(self, step: int, sample: Sampler) -> list[Rollout]:
        """The groups that a step trains on, in a fixed order.

        Args:
            sample: yields the groups of a step one by one. A source that kept those of an interrupted step does not ask.
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

    def groups(self, step: int, sample: Sampler) -> list[Rollout]:
        """See `GroupSource`."""
        self._judging = self._submit(step, sample(step))
        return list(self._judging)

    def _submit(
        self, step: int, sampled: Iterable[tuple[Role, list[Sample]]], sampled_in: int | None = None
    ) -> dict[Rollout, Future[list[Judgement]]]:
        """Hand the groups of a step to the judge, each as soon as it is there."""
        judging = {
            Rollout(role, generator_messages(role), samples, sampled_in): self.judge.submit(
                role, [s.text for s in samples], step
            )
            for role, samples in sampled
        }
        self.judge.read([(rollout.role, [s.text for s in rollout.samples]) for rollout in judging], step)
        return judging

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


class GroupsAhead(JudgedGroups):
    """Groups that are sampled and judged one step ahead (`trainer.max_staleness_steps=1`): a slow judge is not waited for.

    A step samples the next one's groups before it trains, by a policy that lacks the step's own update. They are on disk
    before they are judged, so a run that is continued goes on with the same questions.
    """

    def __init__(self, judge: Judge, run: RunFolder, total_steps: int) -> None:
        super().__init__(judge)
        self._run, self._stored, self._total = run, AskedGroups(run), total_steps
        self._ahead: dict[Rollout, Future[list[Judgement]]] = {}

    def groups(self, step: int, sample: Sampler) -> list[Rollout]:
        """See `GroupSource`. Those of the next step are sampled here too."""
        if not self._ahead and (kept := self._stored.load(step)):
            self._ahead = self._submit_stored(step, kept)
        self._judging, self._ahead = self._ahead or self._submit(step, sample(step)), {}
        if step < self._total:
            self._ahead = self._submit_stored(step + 1, self._stored.store(step + 1, sample(step + 1)))
        return list(self._judging)

    def _submit_stored(self, step: int, stored: Sequence[AskedGroup]) -> dict[Rollout, Future[list[Judgement]]]:
        """Hand in the groups of a step that the one before has sampled."""
        return self._submit(step, [(group.role, group.samples) for group in stored], step - 1)

    def finished(self, metrics: MetricsRow) -> None:  # noqa: ARG002
        """Forget the samples of steps that a checkpoint holds."""
        self._forget()

    def __exit__(self, *error: object) -> None:
        self._forget()  # the last checkpoint is written by now
        super().__exit__(*error)

    def _forget(self) -> None:
        if saved := self._run.steps:
            self._stored.forget_until(saved[-1])
