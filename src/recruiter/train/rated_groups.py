"""Groups that people rate (`judge.provider=human`): the other source of the loop in `grpo.py`.

People rate all groups, or, with other judges beside them (`judges`), a share: `choosing.py` says which, and what those judges
say stands for the rest. A step's samples are on disk before anybody is asked (`asked_groups.py`). Ratings are taken as they
are at the moment the step trains on them; groups that nobody rated are left out. Ratings that come too late may still be
trained on, against the policy that wrote the questions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, Self, TypeVar

from recruiter.config import Config
from recruiter.engines import Sample
from recruiter.human_feedback import GroupView, HumanJudge, PeopleAndJudges, QuestionGroup
from recruiter.judges.feedback_client import duration_text
from recruiter.metrics_logger import RunLog
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.asked_groups import AskedGroup, AskedGroups
from recruiter.train.background_judge import BackgroundJudge
from recruiter.train.choosing import choose_groups
from recruiter.train.groups import Sampler
from recruiter.train.interruption import NOTICED_WITHIN, Interrupted, wait_for
from recruiter.train.rollout import Rollout
from recruiter.train.rows import MetricsRow

T = TypeVar("T")
SHOWN_STEPS = 500  # of a run, on the raters' pages
LAST_WORD_SECONDS = 2.0


class RatedGroups:
    """See `recruiter.train.groups.GroupSource`; whoever looks at the raters' pages hears how far the run is."""

    def __init__(
        self,
        config: Config,
        judge: HumanJudge | PeopleAndJudges,
        log: RunLog,
        total_steps: int,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self.config, self.log, self.stop_requested = config, log, stop_requested
        self.people, self._is_mixed = judge.people, judge.filling is not None
        self.judge = BackgroundJudge(judge)
        self.asked = AskedGroups(log.run)
        self._step, self._total = 0, total_steps  # the step that people are asked about
        self._staleness = config.human_feedback.max_staleness_steps
        self._seconds_waiting, self._stale_groups = 0.0, 0
        self._is_asking = self._is_away = False

    def groups(self, step: int, sample: Sampler) -> list[Rollout]:
        """Have this step's groups rated: those that were sampled before the run was continued, or new ones.

        Raises:
            Interrupted: asked to stop; the groups stay in the queue.
            UnscoredError: nobody rated anything in time.
            JudgeError: the server cannot be used.
        """
        if not self._step:
            of_step = self.config.trainer.train_batch_size
            most = (self._total - step + 1) * (max(1, round(self._share * of_step)) if self._is_mixed else of_step)
            self.log.say(f"People are asked about {most} groups at most; stop whenever you like, no rating is lost.")
        self._step, self._is_asking = step, True
        self._seconds_waiting, self._stale_groups = 0.0, 0
        groups = self.asked.load(step)
        if not groups:
            self._report("sampling", f"writing the questions of step {step}")
            written = list(sample(step))
            judged = self._judged(written) if self._is_mixed else None
            groups = self.asked.store(step, written, self._chosen(judged) if judged else None)
        elif self._is_mixed:
            judged = self._judged([(group.role, group.samples) for group in groups])
        else:
            judged = None
        everything, groups = groups, [group for group in groups if group.asked]
        start = time.perf_counter()
        views = self._rated(groups)
        self._seconds_waiting = time.perf_counter() - start
        self._report("training", f"training on the ratings of step {step}")
        usable = [group.id for group in groups if views[group.id].counts_in(step, is_own=True)]
        views |= self._result(self.people.consume(usable, step))
        own = [
            _rollout(group, _judgements(views[group.id], group.id in usable) if group.asked else filled)
            for group, filled in zip(everything, judged or [[]] * len(everything), strict=True)
        ]
        for group, said in zip(everything, judged or (), strict=False):
            if group.asked:
                self.judge.start(self.people.show_judges(group.id, said))
        late = self._late() if self._staleness else []
        self._stale_groups, self._is_asking = len(late), False
        return [*own, *late]

    def judging(self, rollout: Rollout) -> Future[list[Judgement]]:
        """What holds the ratings of one of these groups: they are there."""
        rated: Future[list[Judgement]] = Future()
        rated.set_result(rollout.judgements)
        return rated

    def figures(self) -> Mapping[str, float]:
        """How many late groups the step trains on, and how long people were waited for."""
        return {"stale_groups": self._stale_groups, "seconds_waiting": self._seconds_waiting}

    def finished(self, metrics: MetricsRow) -> None:
        """Forget what no step can need any more; after the last step, stop asking."""
        step = metrics["step"]
        if metrics["unscored"] == metrics["samples"]:
            reasons = ", ".join(metrics["unscored_reasons"])
            self.log.say(f"Step {step} taught nothing: none of its groups was rated ({reasons}).")
        saved = self.log.run.steps
        if saved:  # a file is needed until its groups were given up, which happens in the step after their last chance
            self.asked.forget_until(saved[-1] - (self._staleness + 1 if self._staleness else 0))
        if step == self._total:
            self._result(
                self.people.expire([g.id for known in self.asked.steps for g in self.asked.load(known) if g.asked])
            )
            self._report("done", "all steps are done")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is Interrupted and self._is_asking and self._step in self.asked.steps:
                self.log.say(f"The questions of step {self._step} stay in the queue and can be rated meanwhile.")
            if kind is None and self.log.run.steps[-1:] == [self._total]:
                self.asked.forget_until(self._total)
        finally:
            self.judge.close()

    # ---- judges beside people -------------------------------------------------------------------------------------

    @property
    def _share(self) -> float:
        return next((entry.share for entry in self.config.judges if entry.asks_people), 1.0)

    def _judged(self, written: Sequence[tuple[Role, list[Sample]]]) -> list[list[Judgement]]:
        """What the other judges say of each group."""
        texts = [(role, [sample.text for sample in samples]) for role, samples in written]
        waiting = [self.judge.submit(role, questions, self._step) for role, questions in texts]
        self.judge.read(texts, self._step)
        return [wait_for(future, self.stop_requested) for future in waiting]

    def _chosen(self, judged: Sequence[Sequence[Judgement]]) -> list[int]:
        by_uncertainty = self.config.human_feedback.ask == "uncertain"
        return choose_groups(judged, self._share, by_uncertainty, self.config.trainer.seed, self._step)

    # ---- asking people --------------------------------------------------------------------------------------------

    def _rated(self, groups: Sequence[AskedGroup]) -> dict[str, GroupView]:
        """Hand the step's groups in and wait, telling whoever looks what is waited for."""
        step, run = self._step, self.log.run_id
        self.log.say(f"Step {step}: {len(groups)} groups are there to be rated at {self.people.client.url}")
        questions = [QuestionGroup(g.id, run, step, g.role, tuple(s.text for s in g.samples)) for g in groups]
        rating = self.judge.start(self.people.rate(questions, keep_open=self._staleness > 0))
        start, reported = time.monotonic(), -float("inf")
        while not wait([rating], timeout=NOTICED_WITHIN).done:
            if self.stop_requested():
                raise Interrupted
            self._say_whether_away()
            message = self._waiting_for(time.monotonic() - start)
            self.log.status(message)
            if time.monotonic() - reported > self.config.human_feedback.poll_interval and self.people.waiting:
                self._report("waiting", message)
                reported = time.monotonic()
        views = rating.result()
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

    def _waiting_for(self, seconds: float) -> str:
        step, waiting, away = self._step, self.people.waiting, self.people.client.away
        if away:
            return f"step {step}: no feedback server for {duration_text(time.monotonic() - away[0])} ({away[1]}), trying again"
        if waiting is None:
            return f"step {step}: handing in the questions"
        rated, there = waiting.groups - len(waiting.ids), waiting.raters_online
        people = "nobody is there" if not there else f"{there} rater{'s' if there > 1 else ''} there"
        return f"step {step}: {rated} of {waiting.groups} groups done, {people}, waiting for {duration_text(seconds)}"

    def _late(self) -> list[Rollout]:
        """Groups of the latest steps that were rated after their own step had gone on; older ones are given up."""
        step = self._step
        before = (known for known in self.asked.steps if known < step)
        earlier = {g.id: (known, g) for known in before for g in self.asked.load(known) if g.asked}
        recent = [name for name, (known, _) in earlier.items() if known >= step - self._staleness]
        self._result(self.people.expire([name for name in earlier if name not in recent]))
        seen = self._result(self.people.look(recent))
        late = [name for name, view in seen.items() if view.counts_in(step, is_own=False)]
        views = self._result(self.people.consume(late, step)).values()
        return [_rollout(earlier[view.id][1], view.judgements, late_from=earlier[view.id][0]) for view in views]

    def _report(self, state: str, message: str) -> None:
        """Tell the raters' pages how far the run is; nobody waits for that, but the last word gets a moment."""
        rows = self.log.run.read_metrics()[-SHOWN_STEPS:]
        recent = [
            {
                "step": row["step"],
                "reward": row["reward_mean"],
                "rated": row["samples"] - row["unscored"],
                "unscored": row["unscored"],
            }
            for row in rows
        ]
        progress = {
            "step": self._total if state == "done" else self._step,
            "total_steps": self._total,
            "state": state,
            "reward_mean": recent[-1]["reward"] if recent else None,
            "waiting_groups": list(self.people.waiting.ids) if self.people.waiting else [],
            "message": f"{message}. {warning}" if (warning := rows[-1].get("alarm") if rows else None) else message,
            "recent": recent,
        }
        told = self.judge.start(self.people.report(self.log.run_id, progress))
        if state == "done":
            wait([told], timeout=LAST_WORD_SECONDS)

    def _result(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a short call, unless the user asks to stop first."""
        return wait_for(self.judge.start(work), self.stop_requested)


def _rollout(group: AskedGroup, judgements: Sequence[Judgement], late_from: int | None = None) -> Rollout:
    is_late, messages = late_from is not None, generator_messages(group.role)
    return Rollout(group.role, messages, group.samples, late_from, is_late, list(judgements))


def _judgements(view: GroupView, is_usable: bool) -> Sequence[Judgement]:
    """What a step makes of one of its groups: ratings that came too late do not count in it."""
    if is_usable or not view.is_rated:
        return view.judgements
    return [Judgement.unscored("not rated in time")] * len(view.judgements)
