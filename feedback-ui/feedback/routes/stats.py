"""Statistics, the list of ratings, and the export."""

from __future__ import annotations

import time
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from feedback import export, recent, stats
from feedback.access import Owner, Shared, SignedIn
from feedback.counted import Choice
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
    _: SignedIn,
    context: Shared,
    query: Annotated[str, Query(max_length=200, pattern=CLEAN)] = "",
    page: Annotated[int, Query(ge=1, le=10_000_000)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> RecentRatings:
    """Ratings, newest first."""
    with context.database.read() as c:
        return RecentRatings(**recent.recent(c, choice, query.strip(), page, size))


@router.get("/export", response_class=StreamingResponse, responses={200: {"content": {"*/*": {}}}, **errors(403)})
def export_all(_: Owner, context: Shared, format: export.Format = "jsonl") -> StreamingResponse:  # noqa: A002
    """Everything rated, with revisions, streamed as json, jsonl, csv or parquet."""
    disposition = {"Content-Disposition": f'attachment; filename="ratings.{format}"'}
    return StreamingResponse(
        export.export(context.database, context.rubric, format), media_type=export.MEDIA[format], headers=disposition
    )
