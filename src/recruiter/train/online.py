"""Online mode: the loop of `grpo.py` where people are the judge.

What differs: a step's samples are on disk before anybody is asked (`pending.py`); groups that nobody rated are dropped
instead of counting as failures; ratings are taken as they are at the moment the step trains on them; and ratings that
come too late may still be trained on, against the policy that wrote the questions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any

from recruiter.config import Config
from recruiter.engines import Policy, TrainGroup
from recruiter.human_feedback import GroupView, HumanJudge, QuestionGroup
from recruiter.judges.feedback_client import spoken
from recruiter.metrics_logger import RunLog
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.roles.dataset import total_steps
from recruiter.rubric import Judgement
from recruiter.train.grpo import Interrupted, Trainer
from recruiter.train.pending import PendingGroup, PendingRollouts
from recruiter.train.rollout import Rollout, rollout_rows

SHOWN_STEPS = 500  # of a run, on the raters' pages
LAST_WORD_SECONDS = 2.0


class OnlineTrainer(Trainer):
    """Trains on what people say of whole groups."""

    def __init__(
        self,
        config: Config,
        policy: Policy,
        judge: HumanJudge,
        roles: Sequence[Role],
        validation_roles: Sequence[Role],
        log: RunLog,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(config, policy, judge, roles, validation_roles, log, stop_requested)
        self.people = judge
        self.pending = PendingRollouts(log.run)
        self._asked: list[QuestionGroup] = []  # the groups of the present step
        self.stale: list[Rollout] = []  # groups of earlier steps that the present one trains on as well
        self._staleness = config.human_feedback.max_staleness_steps
        self._seconds_waiting, self._is_away = 0.0, False
        self._total = total_steps(config, len(roles))

    def train(self) -> None:
        """Run to the last step. See `Trainer.train`."""
        groups = (self._total - self.step) * self.config.trainer.train_batch_size
        self.log.say(f"People are asked about {groups} groups at most; stop whenever you like, no rating is lost.")
        try:
            super().train()
        except Interrupted:
            if self.step + 1 in self.pending.steps:
                self.log.say(f"The questions of step {self.step + 1} stay in the queue and can be rated meanwhile.")
            raise
        if self.step == self._total:
            self.pending.forget_until(self._total)

    # ---- one step -------------------------------------------------------------------------------------------------

    def _train_step(self, step: int) -> dict[str, Any]:
        metrics = super()._train_step(step)
        self.log.rollouts(rollout_rows(step, self.stale))
        if metrics["unscored"] == metrics["samples"]:
            reasons = ", ".join(metrics["unscored_reasons"])
            self.log.say(f"Step {step} taught nothing: none of its groups was rated ({reasons}).")
        return {**metrics, "stale_groups": len(self.stale), "seconds_waiting": self._seconds_waiting}

    def _rollouts(self, step: int) -> Iterator[Rollout]:
        """The groups of this step: those that were sampled before the run was continued, or new ones."""
        groups = self.pending.load(step)
        if not groups:
            self._report("sampling", f"writing the questions of step {step}")
            groups = self.pending.store(step, self._sample(step))
        self._asked = [self._question_group(step, group) for group in groups]
        for group in groups:
            yield Rollout(group.role, generator_messages(group.role), group.samples, Future())

    def _mini_batches(self, rollouts: Sequence[Rollout]) -> Iterator[Iterable[TrainGroup]]:
        """Wait for people, take their ratings as they are now, and add late ones of earlier steps."""
        step, start = self.step + 1, time.perf_counter()
        views = self._rated(step)
        self._seconds_waiting = time.perf_counter() - start
        self._report("training", f"training on the ratings of step {step}")
        usable = [group.id for group in self._asked if views[group.id].counts_in(step, is_own=True)]
        views |= self._done(self.people.consume(usable, step))
        for rollout, group in zip(rollouts, self._asked, strict=True):
            rollout.judging.set_result(_judgements(views[group.id], group.id in usable))
        self.stale = self._late(step) if self._staleness else []
        yield from super()._mini_batches([*rollouts, *self.stale])

    def _rated(self, step: int) -> dict[str, GroupView]:
        """Hand the step's groups in and wait, telling whoever looks what is waited for."""
        self.log.say(f"Step {step}: {len(self._asked)} groups are there to be rated at {self.people.client.url}")
        future = self.judge.start(self.people.rate(self._asked, keep_open=self._staleness > 0))
        start, reported = time.monotonic(), -float("inf")
        while not wait([future], timeout=0.2).done:
            self._stop_if_asked()
            self._say_whether_away()
            message = self._waiting_for(step, time.monotonic() - start)
            self.log.status(message)
            if time.monotonic() - reported > self.config.human_feedback.poll_interval and self.people.waiting:
                self._report("waiting", message)
                reported = time.monotonic()
        views = future.result()
        self._say_whether_away()
        return views

    def _say_whether_away(self) -> None:
        """Say it once when the server stops answering, and once when it answers again."""
        away = self.people.client.away
        if away is not None and not self._is_away:
            self.log.say(f"The feedback server does not answer ({away[1]}); trying again until it does.")
        elif away is None and self._is_away:
            self.log.say("The feedback server is back.")
        self._is_away = away is not None

    def _waiting_for(self, step: int, seconds: float) -> str:
        waiting, away = self.people.waiting, self.people.client.away
        if away:
            return f"step {step}: no feedback server for {spoken(time.monotonic() - away[0])} ({away[1]}), trying again"
        if waiting is None:
            return f"step {step}: handing in the questions"
        rated, there = waiting.groups - len(waiting.ids), waiting.raters_online
        people = "nobody is there" if not there else f"{there} rater{'s' if there > 1 else ''} there"
        return f"step {step}: {rated} of {waiting.groups} groups done, {people}, waiting for {spoken(seconds)}"

    def _late(self, step: int) -> list[Rollout]:
        """Groups of the latest steps that were rated after their own step had gone on; older ones are given up."""
        earlier = {group.id: (known, group) for known in self.pending.steps if known < step
                   for group in self.pending.load(known)}  # fmt: skip
        recent = [name for name, (known, _) in earlier.items() if known >= step - self._staleness]
        self._done(self.people.expire([name for name in earlier if name not in recent]))
        seen = self._done(self.people.look(recent))
        late = [name for name, view in seen.items() if view.counts_in(step, is_own=False)]
        rollouts = []
        for view in self._done(self.people.consume(late, step)).values():
            sampled_in, group = earlier[view.id]
            rollout = Rollout(
                group.role, generator_messages(group.role), group.samples, Future(), sampled_in=sampled_in
            )
            rollout.judging.set_result(list(view.judgements))
            rollouts.append(rollout)
        return rollouts

    def _check_unscored(self, rollouts: Sequence[Rollout]) -> None:
        """People may skip what they cannot judge: only a step that nobody rated ends the run, see `HumanJudge.rate`."""

    def _question_group(self, step: int, group: PendingGroup) -> QuestionGroup:
        texts = tuple(sample.text for sample in group.samples)
        return QuestionGroup(group.id, self.log.run_id, step, group.role, texts)

    # ---- after a step ---------------------------------------------------------------------------------------------

    def _finish_step(self) -> None:
        super()._finish_step()
        saved = self.log.run.steps
        if saved:  # a file is needed until its groups were given up, which happens in the step after their last chance
            self.pending.forget_until(saved[-1] - (self._staleness + 1 if self._staleness else 0))
        if self.step < self._total:
            return
        self._done(self.people.expire([g.id for step in self.pending.steps for g in self.pending.load(step)]))
        self._report("done", "all steps are done")

    def _report(self, state: str, message: str) -> None:
        """Tell the raters' pages how far the run is; nobody waits for that, but the last word gets a moment."""
        recent = [
            {
                "step": row["step"],
                "reward": row["reward_mean"],
                "rated": row["samples"] - row["unscored"],
                "unscored": row["unscored"],
            }
            for row in self.log.run.read_metrics()[-SHOWN_STEPS:]
        ]
        progress = {
            "step": self.step if state == "done" else self.step + 1,
            "total_steps": self._total,
            "state": state,
            "reward_mean": recent[-1]["reward"] if recent else None,
            "waiting_groups": list(self.people.waiting.ids) if self.people.waiting else [],
            "message": message,
            "recent": recent,
        }
        told = self.judge.start(self.people.report(self.log.run_id, progress))
        if state == "done":
            wait([told], timeout=LAST_WORD_SECONDS)

    def _done(self, work: Any) -> dict[str, GroupView]:
        """The result of a short call, unless the user asks to stop first."""
        future: Future[dict[str, GroupView]] = self.judge.start(work)
        while not wait([future], timeout=0.2).done:
            self._stop_if_asked()
        return future.result()


def _judgements(view: GroupView, is_usable: bool) -> list[Judgement]:
    """What a step makes of one of its groups: ratings that came too late do not count in it."""
    if is_usable or not view.is_rated:
        return list(view.judgements)
    return [Judgement.unscored("not rated in time")] * len(view.judgements)
