"""Judges that compute with a model in this process: while a policy is trained, they do it when no update runs.

Training hands in a step's groups with `read`, in its own thread, once all are sampled; `score`, in the judge's thread, waits
for what is found there. Where nothing is trained, `score` computes by itself.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future

from recruiter.engines import Policy
from recruiter.errors import ApiError
from recruiter.judges import Judge
from recruiter.llm.loop_thread import run_async
from recruiter.roles import Role
from recruiter.rubric import Judgement

Group = tuple[Role, Sequence[str]]


class InTrainer(Judge):
    """A judge that judges many groups at once, in `judge`. See `Judge`.

    Attributes:
        computes_here: whether it computes with a model in this process; else `score` never waits for `read`.
    """

    computes_here = True

    def __init__(self) -> None:
        self._in_trainer = False
        self._judged: dict[tuple[str, tuple[str, ...]], Future[list[Judgement]]] = {}

    @abstractmethod
    async def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement for each question of each group."""

    def attach(self, policy: Policy) -> None:  # noqa: ARG002
        """See `Judge`: from now on `score` waits for `read`."""
        self._in_trainer = self.computes_here

    def read(self, groups: Sequence[Group]) -> None:
        """Judge the groups here and now: `score` of the same questions returns what is found."""
        if not self._in_trainer:
            return

        async def run() -> list[list[Judgement]]:
            try:
                return await self.judge(groups)
            finally:
                await self.close()

        results = [self._result(role, questions) for role, questions in groups]
        try:
            judged = run_async(run())
        except ApiError as error:  # whoever waits for them decides what it means
            for result in results:
                result.set_exception(error)
            return
        for result, judgements in zip(results, judged, strict=True):
            if not result.done():  # the same questions again, before anybody asked for the first ones
                result.set_result(judgements)

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """See `Judge`. While a policy is trained with a model in this process, waits for `read`."""
        if not self._in_trainer:
            return (await self.judge([(role, list(questions))]))[0]
        judgements = await asyncio.wrap_future(self._result(role, questions))
        self._judged.pop((role.id, tuple(questions)), None)
        return judgements

    def _result(self, role: Role, questions: Sequence[str]) -> Future[list[Judgement]]:
        return self._judged.setdefault((role.id, tuple(questions)), Future())
