"""The one place that judges: a Ray actor with the judge, so that its limits, cache and cost hold for the whole cluster.

The actor runs on the machine where training was started, beside the judge's cache. Its judge serves all questions at a
time, as far as `judge.concurrency` allows, while other questions are still being written.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from typing import Any, cast

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from recruiter.config import Config
from recruiter.env import GroupKey
from recruiter.errors import ApiError, JudgeError, RecruiterError, UnscoredError
from recruiter.human_feedback import HumanJudge, QuestionGroup
from recruiter.judges import Judge
from recruiter.judges.making import training_judge
from recruiter.roles import Role
from recruiter.rubric import Judgement

AT_A_TIME = 100_000  # questions that may wait in the actor; the judge has a limit of its own


class JudgeService:
    """What the actor runs."""

    judge: Judge
    people: HumanJudge | None = None
    run: str

    def __init__(self) -> None:
        self._asked: dict[str, list[tuple[str, asyncio.Future[Judgement]]]] = {}

    async def start(
        self, settings: Config, run: str, environment: Mapping[str, str], usage: Mapping[str, Any] | None
    ) -> None:
        """Make the judge.

        Args:
            run: what raters' pages call the run.
            environment: variables that hold keys; they travel as an argument, because Ray writes those of a runtime
                environment into its logs.
            usage: what an earlier part of the run has used.

        Raises:
            ConfigError: the judge cannot be made.
        """
        os.environ.update(environment)
        self.judge, self.run = training_judge(settings), run
        if settings.judge.asks_people:
            self.people = cast(HumanJudge, self.judge)
        if usage is not None:
            self.judge.usage.load_state(usage)

    async def score(self, role: Role, question: str, group: GroupKey) -> Judgement:
        """The judgement of one question. People get the group on one page, so theirs waits until it is whole."""
        if self.people is None:
            judge = self.judge.in_step(group.step) if group.step else self.judge
            return (await judge.score(role, [question]))[0]
        answer: asyncio.Future[Judgement] = asyncio.get_running_loop().create_future()
        asked = self._asked.setdefault(group.name, [])
        asked.append((question, answer))
        if len(asked) == group.size:
            del self._asked[group.name]
            await self._rate(self.people, role, group, asked)
        return await answer

    async def _rate(
        self, people: HumanJudge, role: Role, group: GroupKey, asked: list[tuple[str, asyncio.Future[Judgement]]]
    ) -> None:
        """Have a whole group rated, tell the server that its ratings are used, and answer everybody who waits."""
        questions = tuple(question for question, _ in asked)
        try:
            name = hashlib.sha256("\n".join([self.run, group.name, *questions]).encode()).hexdigest()[:24]
            rated = QuestionGroup(f"skyrl-{name}", self.run, group.step, role, questions)
            view = (await people.rate([rated]))[rated.id]
            if view.is_rated and group.step:
                view = (await people.consume([rated.id], group.step)).get(rated.id, view)
            judgements = list(view.judgements)
        except UnscoredError:
            judgements = [Judgement.unscored("not rated in time")] * len(asked)
        except ApiError as error:
            for _, answer in asked:
                answer.set_exception(error)
            return
        for (_, answer), judgement in zip(asked, judgements, strict=True):
            answer.set_result(judgement)

    async def take_metrics(self) -> dict[str, Any]:
        """What judging took since this was last asked."""
        return {f"judge_{name}": value for name, value in self.judge.usage.take_step().items()}

    async def usage_state(self) -> dict[str, Any] | None:
        """All that judging has taken, or None where it takes nothing."""
        return self.judge.usage.state() or None


class ClusterScorer:
    """Asks the actor, from any thread. See `recruiter.env.Scorer`."""

    def __init__(self, settings: Config, run: str = "", usage: Mapping[str, Any] | None = None) -> None:
        """Start the actor on this machine.

        Raises:
            ConfigError: the judge cannot be made.
            JudgeError: likewise.
        """
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        service = ray.remote(JudgeService).options(num_cpus=0, max_concurrency=AT_A_TIME, scheduling_strategy=here)
        self._actor: Any = service.remote()
        self._ask("start", settings, run, _keys(), usage)

    def __call__(self, role: Role, question: str, group: GroupKey) -> Judgement:
        """Wait for the judgement of one question."""
        judgement: Judgement = self._ask("score", role, question, group)
        return judgement

    def take_metrics(self) -> dict[str, Any]:
        """What judging took since this was last asked."""
        metrics: dict[str, Any] = self._ask("take_metrics")
        return metrics

    def usage_state(self) -> dict[str, Any] | None:
        """All that judging has taken."""
        state: dict[str, Any] | None = self._ask("usage_state")
        return state

    def close(self) -> None:
        """End the actor, and with it every thread that waits for it."""
        ray.kill(self._actor)

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return ray.get(getattr(self._actor, method).remote(*arguments))
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, RecruiterError) else error) from None
        except RayActorError as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise JudgeError(f"The process that judges has ended: {reason}.") from None


def _keys() -> dict[str, str]:
    """The variables of this process that hold keys of judges."""
    from recruiter.llm.providers import PROVIDERS

    names = {provider.key_variable for provider in PROVIDERS.values()} | {"FEEDBACK_API_KEY"}
    return {name: os.environ[name] for name in names if name and name in os.environ}
