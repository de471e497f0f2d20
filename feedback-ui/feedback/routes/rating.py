"""What the rating page calls."""

from __future__ import annotations

import json
import time
from typing import Annotated
from urllib.parse import parse_qsl

import sqlalchemy as sa
from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

import database as db
from feedback import accounts, guidelines, leases, ratings, runs, safety, tasks
from feedback.access import (
    SOMEBODY,
    Context,
    Rating,
    Shared,
    SignedIn,
    check_csrf,
    context_of,
    set_session,
    sign_in_needed,
    signed_in,
    visitor,
    welcome,
)
from feedback.accounts import Rater
from feedback.errors import Refusal, errors, not_found
from feedback.models.common import Name
from feedback.models.owner import Guidelines, Ok
from feedback.models.rating import (
    AnswerIn,
    Candidate,
    CriterionView,
    Done,
    Draft,
    JoinIn,
    LeaseView,
    Left,
    MyRating,
    MyRatings,
    NextIn,
    NextView,
    Progress,
    RatedGroup,
    Revised,
    RubricView,
    Session,
    SkipIn,
    Submitted,
)
from feedback.models.training import RunList, RunView

HEARTBEATS = 4  # signs of life that fit into a lease

router = APIRouter(prefix="/api", tags=["rating"], responses=errors(401, 403))
LeaseId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


@router.get("/session")
def session(request: Request, response: Response) -> Session:
    """Who I am, and my CSRF token. On this machine a browser that was not here before gets a cookie."""
    rater = welcome(request, response)
    if rater is None:
        raise sign_in_needed()
    return _session(context_of(request), rater)


@router.post("/session", responses=errors(409))
def join(body: JoinIn, request: Request, response: Response) -> Session:
    """Trade the token of a link for a session. A browser that is somebody else's session asks first: `replace`."""
    context = context_of(request)
    link = context.keys.read_link(body.token)
    with context.database.read() as c:
        rater = accounts.by_link(c, link) if link else None
    if rater is None:
        context.sign_in_limit.take(safety.client_address(request, context.settings.trusted_proxies))
        raise Refusal(401, "bad_link", "This link is not valid or was revoked; ask the owner for a new one.")
    current = visitor(request)
    if current not in (None, SOMEBODY, rater) and not body.replace:
        who = "the owner of this machine" if current.browser else current.label
        raise Refusal(409, "signed_in", f"This browser is signed in as {who}; the link is for {rater.label}.")
    set_session(request, response, rater, link)
    return _session(context, rater)


@router.delete("/session")
def leave(response: Response, context: Shared) -> Ok:
    """Sign out: this browser forgets who it was."""
    for name in (context.keys.cookie, accounts.COOKIE):
        response.delete_cookie(name)
    return Ok()


@router.get("/rubric")
def rubric(_: SignedIn, context: Shared) -> RubricView:
    """The criteria by which questions are rated here."""
    criteria = [
        CriterionView(
            name=criterion.name,
            label=criterion.title,
            question=criterion.question,
            weight=criterion.weight,
            red_flags=[flag.text for flag in criterion.red_flags],
            anchors=criterion.anchors,
        )
        for criterion in context.rubric.criteria
    ]
    return RubricView(hash=context.rubric.hash, criteria=criteria)


@router.get("/guidelines")
def read_guidelines(_: SignedIn, context: Shared) -> Guidelines:
    """What the team agrees on beside the rubric."""
    with context.database.read() as c:
        return Guidelines(text=guidelines.read(c))


@router.post("/rate/next")
def take_next(body: NextIn, rater: Rating, context: Shared) -> NextView:
    """My group on the screen, or the next one."""
    now = time.time()
    with context.database.write() as c:
        lease = leases.take_next(
            c, context.rubric, rater.id, body.prefer, now, context.settings.lease_seconds, context.settings.check_every
        )
        if isinstance(lease, str):
            return NextView(lease=None, reason=lease)  # type: ignore[arg-type]
        return _view(c, context, lease, now)


@router.post("/rate/leases/{lease_id}/heartbeat", responses=errors(404, 409))
def heartbeat(lease_id: LeaseId, rater: Rating, context: Shared) -> Left:
    """I am still here."""
    with context.database.write() as c:
        leases.heartbeat(c, lease_id, rater.id, time.time(), context.settings.lease_seconds)
    return Left(seconds_left=context.settings.lease_seconds)


@router.post("/rate/leases/{lease_id}/submit", responses=errors(404, 409))
def submit(lease_id: LeaseId, body: AnswerIn, rater: Rating, context: Shared) -> Submitted:
    """Store my ratings of the whole group. Sent again, nothing changes and the answer is the same."""
    with context.database.write() as c:
        rating_id, unused = ratings.submit(c, context.rubric, lease_id, rater.id, _answer(body), time.time())
    return Submitted(rating_id=rating_id, unused=unused, progress=_progress(context, rater))


@router.post("/rate/leases/{lease_id}/skip", responses=errors(404, 409))
def skip(lease_id: LeaseId, body: SkipIn, rater: Rating, context: Shared) -> Done:
    """Leave the group to others."""
    with context.database.write() as c:
        ratings.skip(c, lease_id, rater.id, body.reason, body.note, time.time())
    return Done(progress=_progress(context, rater))


@router.post("/rate/leases/{lease_id}/release", responses=errors(404))
async def release(
    lease_id: LeaseId, request: Request, rater: Annotated[Rater, Depends(signed_in)], context: Shared
) -> Ok:
    """Give the group back; the tab closes. A beacon has no headers: `csrf_token` may stand in its body (form or JSON)."""
    token = request.headers.get("x-csrf-token") or _beacon_token(await request.body())
    check_csrf(request, rater, token)
    await to_thread.run_sync(_release, context, lease_id, rater.id)
    return Ok()


@router.post("/rate/undo", responses=errors(404, 409))
def undo(rater: Rating, context: Shared) -> NextView:
    """Open my latest rating or skip again. Until I submit, the old answer stands."""
    now = time.time()
    with context.database.write() as c:
        lease = ratings.undo(c, rater.id, now, context.settings.lease_seconds)
        return _view(c, context, lease, now)


@router.get("/rate/mine")
def mine(rater: SignedIn, context: Shared, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> MyRatings:
    """My latest ratings."""
    query = (
        sa.select(db.ratings, db.groups.c.consumed_step)
        .join(db.groups, db.groups.c.id == db.ratings.c.group_id)
        .where(db.ratings.c.rater_id == rater.id)
        .order_by(db.ratings.c.created_at.desc())
        .limit(limit)
    )
    with context.database.read() as c:
        found = []
        for row in c.execute(query).mappings().all():
            shown = leases.shown_order(c, row["group_id"], rater.id)
            found.append(
                MyRating(
                    rating_id=row["id"],
                    group=_group(c, row["group_id"], shown),
                    answer=Draft(**ratings.answer_of(c, row["id"])),
                    created_at=row["created_at"],
                    updated_at=row["updated_at"],
                    editable=row["consumed_step"] is None,
                )
            )
    return MyRatings(ratings=found)


@router.put("/ratings/{rating_id}", responses=errors(404))
def edit(
    rating_id: Annotated[int, Path(ge=1, le=2**31 - 1)], body: AnswerIn, rater: Rating, context: Shared
) -> Revised:
    """Change one of my ratings. After training has consumed it the change is kept, as unused."""
    with context.database.write() as c:
        revision, unused = ratings.edit(c, context.rubric, rating_id, rater.id, _answer(body), time.time())
    return Revised(revision=revision, unused=unused)


@router.get("/rate/progress")
def progress(rater: SignedIn, context: Shared) -> Progress:
    """How far I am, the team is, and what training waits for."""
    return _progress(context, rater)


@router.get("/runs")
def list_runs(_: SignedIn, context: Shared) -> RunList:
    """Runs in progress and past, the latest first."""
    with context.database.read() as c:
        return RunList(runs=[RunView(**view) for view in runs.listing(c, time.time())])


@router.get("/runs/{run}", responses=errors(404))
def one_run(run: Name, _: SignedIn, context: Shared) -> RunView:
    """One run."""
    with context.database.read() as c:
        row = c.execute(sa.select(db.runs).where(db.runs.c.name == run)).mappings().first()
        if row is None:
            raise not_found(f"run {run}")
        return RunView(**runs.view(c, row, time.time()))


def _session(context: Context, rater: Rater) -> Session:
    return Session(
        rater=accounts.pseudonym(rater.id) if rater.id else None,
        role=rater.role,  # type: ignore[arg-type]
        name=rater.label,
        csrf_token=context.keys.csrf_token(rater),
    )


def _view(c: sa.Connection, context: Context, lease: sa.RowMapping, now: float) -> NextView:
    consumed = c.execute(sa.select(db.groups.c.consumed_step).where(db.groups.c.id == lease["group_id"])).scalar()
    draft = ratings.draft(c, lease)
    view = LeaseView(
        id=lease["id"],
        expires_at=lease["expires_at"],
        seconds_left=max(0.0, lease["expires_at"] - now),
        heartbeat_seconds=context.settings.lease_seconds / HEARTBEATS,
    )
    return NextView(
        lease=view,
        group=_group(c, lease["group_id"], lease["shown"]),
        draft=Draft(**draft) if draft else None,
        unused=consumed is not None,
    )


def _group(c: sa.Connection, key: int, shown: list[int]) -> RatedGroup:
    row = c.execute(sa.select(db.groups).where(db.groups.c.id == key)).mappings().one()
    pairs = tasks.pairs_of(len(shown)) if row["task"] == "pairs" else []
    return RatedGroup(
        group_id=row["group_id"], run="" if row["copy_of"] else row["run"], policy_step=row["policy_step"], role=row["role"],
        task=row["task"],
        candidates=[Candidate(**candidate) for candidate in leases.candidates(c, key, shown)],
        pairs=[(str(first), str(second)) for first, second in pairs], blind=row["sheet"] is not None,
    )  # fmt: skip


def _answer(body: AnswerIn) -> tasks.Answer:
    remarks = {
        name: (said.comment.strip(), said.improved.strip(), said.no_sense) for name, said in body.remarks.items()
    }
    return tasks.Answer(body.ratings, body.all_equal, body.note, {k: v for k, v in remarks.items() if any(v)})


def _progress(context: Context, rater: Rater) -> Progress:
    return Progress(**context.progress(rater.id))


def _release(context: Context, lease_id: str, rater: int) -> None:
    with context.database.write() as c:
        leases.release(c, lease_id, rater, time.time())


def _beacon_token(body: bytes) -> str:
    """The token in a body, a form's or JSON."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = dict(parse_qsl(text))
    return str(found.get("csrf_token", "")) if isinstance(found, dict) else ""
