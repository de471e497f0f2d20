"""Statistics, the list of ratings, and the export."""

from __future__ import annotations

import time
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from feedback import export, recent, stats
from feedback.access import Owner, Shared, SignedIn
from feedback.choice import Choice
from feedback.errors import Refusal, errors
from feedback.models.common import CLEAN
from feedback.models.stats import RecentRatings, Statistics

DAY = 86400.0

router = APIRouter(prefix="/api", tags=["statistics"], responses=errors(401))


def chosen(
    since: Annotated[date | None, Query(alias="from", description="first day, such as 2026-11-26")] = None,
    until: Annotated[date | None, Query(alias="to", description="last day")] = None,
    run: Annotated[str | None, Query(max_length=120, pattern=CLEAN)] = None,
    rater: Annotated[str | None, Query(description="a pseudonym", pattern=r"^(rater-[0-9]{1,9})?$")] = None,
) -> Choice:
    """Which ratings are meant."""
    try:
        first = time.mktime(since.timetuple()) if since else None
        last = time.mktime(until.timetuple()) + DAY if until else None
    except OverflowError:
        raise Refusal(422, "invalid", "from and to must be days of this age.") from None
    return Choice(first, last, run or None, int(rater.removeprefix("rater-")) if rater else None)


Chosen = Annotated[Choice, Depends(chosen)]


@router.get("/stats")
def statistics(choice: Chosen, _: SignedIn, context: Shared) -> Statistics:
    """Counts, means, distributions, agreement and bias; at most a few seconds old."""

    def compute() -> Statistics:
        with context.database.read() as c:
            return Statistics(**stats.statistics(c, context.rubric, choice))

    return context.statistics.get(choice, compute)


@router.get("/ratings")
def list_ratings(
    choice: Chosen,
    rater: SignedIn,
    context: Shared,
    query: Annotated[str, Query(max_length=200, pattern=CLEAN)] = "",
    page: Annotated[int, Query(ge=1, le=10_000_000)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> RecentRatings:
    """Ratings, newest first; without those of groups that I may still rate, unless I am an owner."""
    whose = None if rater.is_owner else rater.id
    with context.database.read() as c:
        return RecentRatings(**recent.recent(c, choice, query.strip(), page, size, whose))


@router.get("/export", response_class=StreamingResponse, responses={200: {"content": {"*/*": {}}}, **errors(403)})
def export_all(
    request: Request,
    _: Owner,
    choice: Chosen,
    context: Shared,
    format: export.Format = "jsonl",  # noqa: A002
    what: export.What = "ratings",
) -> StreamingResponse:
    """Ratings with all revisions, or skips, of a choice; streamed as json, jsonl, csv or parquet."""
    if unknown := sorted(set(request.query_params) - {"format", "what", "from", "to", "run", "rater"}):
        raise Refusal(422, "invalid", f"There is no filter {unknown[0][:40]!r}: take from, to, run and rater.")
    pieces = export.export(context.database, context.rubric, format, what, choice)
    disposition = {"Content-Disposition": f'attachment; filename="{what}.{format}"'}
    return StreamingResponse(pieces, media_type=export.MEDIA[format], headers=disposition)
