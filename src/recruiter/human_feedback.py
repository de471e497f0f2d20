"""People as the judge: the training side of the feedback server (`feedback-ui`).

People rate whole groups, take hours, go home, and skip what they cannot judge. So a group has an id that outlives the
process that made it: handing the same group in again asks nobody twice, and a group that was rated while training was
away is simply there. A server that is away is waited for; one that refuses the key ends the run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from recruiter.config import HumanFeedbackConfig
from recruiter.config.checks import MAX_GROUPS_A_CALL
from recruiter.engines import Policy
from recruiter.errors import JudgeError, UnscoredError
from recruiter.judges import Judge, Probe
from recruiter.judges.feedback_client import FeedbackClient, Refused, duration_text
from recruiter.roles import Role
from recruiter.rubric import Judgement, Rubric, load_rubric, rating_to_score

CANNOT_BE_SHOWN = (413, 422)  # the server will not take these questions, whenever they are handed in
REFUSED = "refused"


@dataclass(frozen=True)
class QuestionGroup:
    """The questions for one role that people rate on one page; `step` is that of the policy that wrote them."""

    id: str
    run: str
    step: int
    role: Role
    questions: tuple[str, ...]


@dataclass(frozen=True)
class GroupView:
    """What the server knows of a group.

    Attributes:
        status: pending, leased, rated, skipped, expired, cancelled, or refused (the server cannot show it).
        late: it was rated after training had stopped waiting for it.
        consumed_step: the step that trained on it.
        judgements: one for each question, in order.
    """

    id: str
    status: str
    version: int
    late: bool
    consumed_step: int | None
    judgements: tuple[Judgement, ...]
    raters_online: int = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody may still rate it in time."""
        return self.status in ("pending", "leased")

    @property
    def is_rated(self) -> bool:
        """Whether it has ratings, in time or late."""
        return self.status == "rated"

    def counts_in(self, step: int, is_own: bool) -> bool:
        """Whether `step` trains on it: rated, not used by another step, and in its own step (`is_own`) not late."""
        return self.is_rated and self.consumed_step in (None, step) and not (is_own and self.late)

    @classmethod
    def read(cls, record: dict[str, Any], rubric: Rubric) -> GroupView:
        """A group's view from the server's JSON, rated by `rubric`.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        reason = {
            "expired": "not rated in time",
            "rated": "its ratings were deleted",
            "skipped": f"skipped: {record['skip_reason'] or 'no reason given'}".replace("_", " "),
        }.get(record["status"], record["status"])
        return cls(
            record["group_id"],
            record["status"],
            record["version"],
            record["late"],
            record["consumed_step"],
            tuple(_judgement(result, rubric, reason) for result in record["results"]),
            (record["waiting"] or {}).get("raters_online", 0),
        )


@dataclass(frozen=True)
class Waiting:
    """What is waited for: ids of the groups without ratings, how many there are in all, raters seen lately."""

    ids: tuple[str, ...]
    groups: int
    raters_online: int


class HumanJudge(Judge):
    """People who rate in the browser. See `recruiter.judges.Judge`; training asks about whole groups by `rate`.

    Attributes:
        rubric: what people rate by; the server's must be the same.
        client: the server; `client.away` says whether it answers.
        waiting: what `rate` waits for at the moment, if it does.
    """

    name = "human"
    version = "1"
    filling: Judge | None = None  # nobody else judges

    def __init__(self, settings: HumanFeedbackConfig, rubric: Rubric | None = None) -> None:
        self.settings, self.rubric = settings, rubric or load_rubric()
        self.client = FeedbackClient(settings)
        self.waiting: Waiting | None = None

    @property
    def people(self) -> HumanJudge:
        """Who rate: the same as of `PeopleAndJudges`."""
        return self

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """Have the questions of one role rated. Those that are not rated in time are unscored.

        The group's id is a hash of its content, so the same questions are never rated twice.

        Raises:
            JudgeError: the server cannot be used.
        """
        content = "\n".join([str(self.settings.overlap), self.settings.task, role.model_dump_json(), *questions])
        name = f"validation-{hashlib.sha256(content.encode()).hexdigest()[:24]}"
        try:
            views = await self.rate([QuestionGroup(name, "validation", 0, role, tuple(questions))])
        except UnscoredError as error:
            return [Judgement.unscored(str(error))] * len(questions)
        return list(views[name].judgements)

    async def probe(self) -> Probe | None:
        """See `Judge`. Only whether the server is there, takes the key and has the rubric: people are not asked."""
        await self.client.check(self.rubric.hash)
        return None

    async def rate(self, groups: Sequence[QuestionGroup], keep_open: bool = False) -> dict[str, GroupView]:
        """Hand groups in and return when nothing more is to be expected of them, by id.

        When `human_feedback.timeout` is over, the groups that nobody rated expire (`keep_open`: stay in the queue).

        Raises:
            UnscoredError: nothing at all was rated by then; nothing expires.
            JudgeError: the server cannot be used.
        """
        start = time.monotonic()
        views = {group.id: await self._submit(group) for group in groups}
        if all(view.status == REFUSED for view in views.values()):
            raise JudgeError(
                f"{views[groups[0].id].judgements[0].unscored_reason} No group of this step could be shown."
            )
        while waiting := [group for group in groups if views[group.id].is_open]:
            online = max(views[group.id].raters_online for group in waiting)
            self.waiting = Waiting(tuple(group.id for group in waiting), len(groups), online)
            left = start + self.settings.timeout - time.monotonic()
            if left <= 0:
                break
            views |= await self._news(waiting, views, min(left, self.settings.poll_interval))
        self.waiting = None
        if waiting and not any(view.is_rated for view in views.values()):
            patience = self.settings.timeout
            raise UnscoredError(
                f"Nobody rated any of the {len(groups)} groups of step {groups[0].step} within {duration_text(patience)} "
                f"(human_feedback.timeout={patience:g}). They stay in the queue and everything before is saved: have "
                f"them rated at {self.client.url}, and run the same command again."
            )
        if waiting and not keep_open:
            views |= await self.expire([group.id for group in waiting])
        return views

    async def look(self, ids: Sequence[str]) -> dict[str, GroupView]:
        """The groups as they are now; without those that the server does not know."""
        return await self._views("/api/groups/wait", ids, timeout=0)

    async def expire(self, ids: Sequence[str]) -> dict[str, GroupView]:
        """Stop waiting for groups. Those that are on a rater's screen may still be rated, late."""
        return await self._views("/api/groups/expire", ids)

    async def consume(self, ids: Sequence[str], step: int) -> dict[str, GroupView]:
        """Take the ratings of groups as they are now for training: what is edited later is marked unused."""
        return await self._views("/api/groups/consume", ids, step=step)

    async def show_judges(self, group: str, judged: Sequence[Judgement]) -> None:
        """Let the server keep what judges say of a group's questions, for comparing people with them; no matter if it fails."""
        parts = [judgement.parts or {"judge": judgement} for judgement in judged]
        for name in {name for each in parts for name in each}:
            given = [each[name].scores if name in each else None for each in parts]
            scores = [dict(one.values) if one else None for one in given]
            await self.client.tell("POST", f"/api/groups/{group}/judge", {"judge": name, "scores": scores})

    async def report(self, run: str, progress: dict[str, Any]) -> None:
        """Tell the raters' pages how far a run is."""
        await self.client.tell("PUT", f"/api/runs/{quote(run, safe='')}", progress)

    async def _submit(self, group: QuestionGroup) -> GroupView:
        body = {
            "group_id": group.id,
            "run": group.run,
            "policy_step": group.step,
            "role": group.role.model_dump(mode="json"),
            "questions": list(group.questions),
            "rubric_hash": self.rubric.hash,
            "overlap": self.settings.overlap,
            "task": self.settings.task,
        }
        try:
            return self._view(await self.client.call("POST", "/api/groups", body))
        except Refused as refused:
            if refused.status not in CANNOT_BE_SHOWN:
                raise
            unscored = (Judgement.unscored(str(refused)),) * len(group.questions)
            return GroupView(group.id, REFUSED, 0, False, None, unscored)

    async def _news(
        self, groups: Sequence[QuestionGroup], views: dict[str, GroupView], seconds: float
    ) -> dict[str, GroupView]:
        """Wait until one of the groups changes. A group that the server lost is handed in again."""
        known = {group.id: views[group.id].version for group in groups}
        news = await self._views("/api/groups/wait", list(known), waits=seconds, timeout=seconds, known=known)
        return {group.id: news.get(group.id) or await self._submit(group) for group in groups}

    async def _views(self, path: str, ids: Sequence[str], waits: float = 0.0, **body: Any) -> dict[str, GroupView]:
        views: dict[str, GroupView] = {}
        for first in range(0, len(ids), MAX_GROUPS_A_CALL):
            some = list(ids[first : first + MAX_GROUPS_A_CALL])
            answer = await self.client.call("POST", path, {"ids": some, **body}, waits)
            views |= {view.id: view for view in map(self._view, answer.get("groups", ()))}
        return views

    def _view(self, record: Any) -> GroupView:
        try:
            return GroupView.read(record, self.rubric)
        except (LookupError, TypeError, ValueError):
            raise JudgeError(
                f"The feedback server at {self.client.url} speaks another version of the API; update both sides."
            ) from None


class PeopleAndJudges(Judge):
    """People for a share of the groups, other judges for the rest. See `recruiter.judges.Judge`.

    Whoever asks for scores, as validation does, gets those of the other judges; `recruiter.train.rated_groups` asks people.

    Attributes:
        people: who rate.
        filling: the other judge, or a panel of them.
    """

    def __init__(self, people: HumanJudge, filling: Judge, members: Mapping[str, Judge]) -> None:
        self.people, self.filling, self._members = people, filling, members
        self.rubric, self.usage = filling.rubric, filling.usage
        self.name = f"{people.name} + {filling.name}"
        self.version = hashlib.sha256(f"{people.version}\n{filling.version}".encode()).hexdigest()[:16]

    @property
    def members(self) -> Mapping[str, Judge]:
        """People and judges by name, in the order of the settings."""
        return self._members

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """See `Judge`: what the other judges say."""
        return await self.filling.score(role, questions)

    async def probe(self) -> Probe | None:
        """See `Judge`. The server of the people must be there, too."""
        await self.people.probe()
        return await self.filling.probe()

    def attach(self, policy: Policy) -> None:
        """See `Judge`."""
        self.filling.attach(policy)

    def read(self, groups: Sequence[tuple[Role, Sequence[str]]]) -> None:
        """See `Judge`."""
        self.filling.read(groups)

    def in_step(self, step: int) -> Judge:
        """See `Judge`."""
        return self.filling.in_step(step)

    async def close(self) -> None:
        """See `Judge`."""
        await self.filling.close()


def _judgement(result: dict[str, Any], rubric: Rubric, reason: str) -> Judgement:
    if result["status"] != "rated":
        return Judgement.unscored(reason)
    if result["scores"] is None:
        return Judgement.by_order(float(result["reward"]))
    return Judgement(rubric.scores({name: rating_to_score(value) for name, value in result["scores"].items()}))
