"""Practice: questions written on this machine, for people who want to rate without a training run."""

from __future__ import annotations

import queue
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path

from feedback import practice
from feedback.access import Rating, Shared, SignedIn
from feedback.accounts import Rater
from feedback.errors import Refusal, errors, not_found
from feedback.models.practice import Job, JobView, ModelView, PracticeIn
from generator import QuestionGenerator
from recruiter.roles import Role
from recruiter.writers.generate import Report

router = APIRouter(prefix="/api", tags=["practice"], responses=errors(401, 403))


@router.post("/practice", status_code=202, responses=errors(409, 503))
def start(body: PracticeIn, rater: Rating, context: Shared) -> Job:
    """Have questions written for a role that is typed, pasted or drawn from the held-out ones."""
    if sum((body.role is not None, body.text is not None, body.random)) != 1:
        raise Refusal(422, "invalid", "Give one of role, text and random.")
    if body.role is not None:
        role = practice.typed_role(body.role).role
    else:
        role = practice.pasted_role(body.text).role if body.text is not None else practice.random_role()
    return take_on(context.generator, partial(_work, context.database, role, body.count), rater)


@router.get("/practice/{job_id}", responses=errors(404))
def look(job_id: Annotated[str, Path(max_length=64)], _: SignedIn, context: Shared) -> JobView:
    """How far a job is, and the group when it is done."""
    job = context.generator.job(job_id)
    if job is None:
        raise not_found("job with this id; it may have been long ago")
    group_id = job.result if job.state == "done" and isinstance(job.result, str) else None
    return JobView(state=job.state, progress=job.progress, message=job.message, group_id=group_id)  # type: ignore[arg-type]


@router.get("/model")
def model(_: SignedIn, context: Shared) -> ModelView:
    """The model that writes. Asking begins to load it."""
    return ModelView(**context.generator.state())


@router.get("/roles/sample")
def sample_role(_: SignedIn) -> Role:
    """A random held-out role."""
    return practice.random_role()


def take_on(generator: QuestionGenerator, work: Any, rater: Rater) -> Job:
    """Leave a job with the generator.

    Raises:
        Refusal: 409, there is no model, or two of the rater's jobs are under way; 503, too many jobs wait.
    """
    state = generator.state()
    if state["state"] in ("none", "failed"):
        raise Refusal(409, "no_model", state["message"])
    try:
        return Job(job_id=generator.submit(work, rater.id))
    except PermissionError:
        raise Refusal(409, "busy", "Two of your requests are being written; wait for one of them.") from None
    except queue.Full:
        raise Refusal(503, "busy", "Many questions are being written; try again in a minute.") from None


def _work(database: Any, role: Role, count: int, generator: QuestionGenerator, report: Report) -> str:
    return practice.group_for(database, generator, role, count, report)
