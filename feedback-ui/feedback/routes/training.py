"""What training calls: hand groups in, wait for ratings, say which were used."""

from __future__ import annotations

import time

from anyio import to_thread
from fastapi import APIRouter, BackgroundTasks, Depends, Response

from feedback import groups, judges, runs, sheets, views, webhook
from feedback.access import Context, Shared, training
from feedback.errors import Refusal, errors, not_found
from feedback.models.common import Identifier, Name, SheetHash
from feedback.models.owner import Ok
from feedback.models.training import (
    CancelIn,
    Cancelled,
    ConsumeIn,
    GroupIn,
    GroupList,
    GroupView,
    Ids,
    JudgeIn,
    Readings,
    ReadQuestion,
    RunIn,
    WaitIn,
)
from feedback.rubric import refuse_other

LOOK_AGAIN = 2.0  # seconds; a change made by another process of this server wakes nobody here

router = APIRouter(prefix="/api", tags=["training"], dependencies=[Depends(training)], responses=errors(401))


@router.post("/groups", status_code=201, responses={200: {"model": GroupView}, **errors(409)})
def submit(body: GroupIn, context: Shared, response: Response) -> GroupView:
    """Hand in a group. The same id with the same content again is the same group (200)."""
    if body.group_id.startswith((groups.QUEUE, groups.PRACTICE)):
        raise Refusal(
            422, "reserved_id", f"Ids beginning with {groups.QUEUE} or {groups.PRACTICE} are the server's own."
        )
    refuse_other(context.rubric, body.rubric_hash)
    new = groups.NewGroup(
        body.group_id, body.run, body.policy_step, body.role.model_dump(mode="json"), body.questions, body.rubric_hash,
        body.overlap, body.priority, body.task, body.sheet,
    )  # fmt: skip
    now = time.time()
    with context.database.write() as c:
        response.status_code = 201 if groups.submit(c, new, now) else 200
        (view,) = views.view_groups(c, context.rubric, [body.group_id], now)
    return GroupView(**view)


@router.get("/groups/{group_id}", responses=errors(404))
def get(group_id: Identifier, context: Shared) -> GroupView:
    """One group."""
    with context.database.read() as c:
        found = views.view_groups(c, context.rubric, [group_id], time.time())
    if not found:
        raise not_found(f"group {group_id}")
    return GroupView(**found[0])


@router.post("/groups/wait", responses=errors(409))
async def wait(body: WaitIn, context: Shared) -> GroupList:
    """Long poll: answer when a group has another version than the one in `known`, or when `timeout` is over."""
    refuse_other(context.rubric, body.rubric_hash)
    until = time.monotonic() + body.timeout
    while True:
        seen = await to_thread.run_sync(_versions, context, body.ids)
        left = until - time.monotonic()
        if left <= 0 or context.stopping.is_set() or any(v != body.known.get(group) for group, v in seen.items()):
            break
        await context.changes.wait(min(left, LOOK_AGAIN))
    return await to_thread.run_sync(_list, context, body.ids)


@router.post("/groups/cancel")
def cancel(body: CancelIn, context: Shared) -> Cancelled:
    """Take groups out of the queue."""
    with context.database.write() as c:
        return Cancelled(cancelled=groups.cancel(c, body.ids, body.reason, time.time()))


@router.post("/groups/expire")
def expire(body: Ids, context: Shared) -> GroupList:
    """Training waits no longer. A group that is on a rater's screen may still be rated; it is kept as late."""
    with context.database.write() as c:
        groups.expire(c, body.ids, time.time())
    return _list(context, body.ids)


@router.post("/groups/consume")
def consume(body: ConsumeIn, context: Shared) -> GroupList:
    """Training uses rated groups as they are now; later edits are kept as unused revisions."""
    with context.database.write() as c:
        views.consume(c, context.rubric, body.ids, body.step, time.time())
    return _list(context, body.ids)


@router.post("/groups/{group_id}/judge", responses=errors(404))
def attach_judge(group_id: Identifier, body: JudgeIn, context: Shared) -> Ok:
    """Attach a judge's scores, to compare people with it. The same judge again replaces its scores."""
    with context.database.write() as c:
        judges.attach(c, context.rubric, group_id, body.judge, body.scores)
    return Ok()


@router.put("/runs/{run}")
def report_run(run: Name, body: RunIn, context: Shared, afterwards: BackgroundTasks) -> Ok:
    """A run in progress says where it is. When it begins to wait, `FEEDBACK_WEBHOOK` is told."""
    with context.database.write() as c:
        began_to_wait = runs.report(c, run, body.model_dump(), time.time())
    if began_to_wait and context.settings.webhook:
        afterwards.add_task(webhook.tell, context.settings.webhook, run, body.step, len(body.waiting_groups))
    return Ok()


@router.get("/sheets/{sheet}/readings")
def read_sheet(sheet: SheetHash, context: Shared) -> Readings:
    """What raters have said so far of the questions of a blind sheet."""
    with context.database.read() as c:
        return Readings(readings=[ReadQuestion(**row) for row in sheets.readings(c, context.rubric, sheet)])


def _versions(context: Context, ids: list[str]) -> dict[str, int]:
    with context.database.read() as c:
        return groups.versions(c, ids)


def _list(context: Context, ids: list[str]) -> GroupList:
    with context.database.read() as c:
        return GroupList(groups=[GroupView(**view) for view in views.view_groups(c, context.rubric, ids, time.time())])
