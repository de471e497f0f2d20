"""The writing page: questions for a role, with the judge's scores and reasons."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from feedback import practice
from feedback.access import Context, Rating, Shared, SignedIn
from feedback.errors import errors, not_found
from feedback.models.owner import Ok
from feedback.models.practice import Job
from feedback.models.writing import JudgedQuestion, WriteIn, WriteView
from feedback.routes.practice import take_on
from feedback.writing import Writing, Written
from generator import Job as GeneratorJob
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.writers.generate import Question

router = APIRouter(prefix="/api", tags=["writing"], responses=errors(401, 403))
JobId = Annotated[str, Path(max_length=64)]


@router.post("/write", status_code=202, responses=errors(409, 503))
def start(body: WriteIn, rater: Rating, context: Shared) -> Job:
    """Have questions written for a role, judged, and the best kept."""
    draft = practice.typed_role(body.role)
    work = Writing(draft, body.count, body.best_of, context.settings.judge, context.settings.rubric)
    return take_on(context.generator, work, rater)


@router.get("/write/{job_id}", responses=errors(404))
def look(job_id: JobId, _: SignedIn, context: Shared) -> WriteView:
    """How far the writing is, and the questions when it is done."""
    job, _writing = _find(context, job_id)
    questions = [_view(question) for question in job.result.questions] if isinstance(job.result, Written) else []
    message = job.result.message if isinstance(job.result, Written) else job.message
    return WriteView(state=job.state, progress=job.progress, message=message, questions=questions)  # type: ignore[arg-type]


@router.post("/write/{job_id}/cancel", responses=errors(404))
def cancel(job_id: JobId, _: Rating, context: Shared) -> Ok:
    """Stop the writing; nobody waits for it any more."""
    _find(context, job_id)[1].cancel()
    return Ok()


@router.get("/roles/{role_id}", responses=errors(404))
def one_role(role_id: Annotated[str, Path(max_length=120)], _: SignedIn) -> Role:
    """One of the roles that come with the project."""
    for role in practice.all_roles():
        if role.id == role_id:
            return role
    raise not_found(f"role {role_id}")


def _find(context: Context, job_id: str) -> tuple[GeneratorJob, Writing]:
    job = context.generator.job(job_id)
    if job is None or not isinstance(job.work, Writing):
        raise not_found("job with this id; it may have been long ago")
    return job, job.work


def _view(question: Question) -> JudgedQuestion:
    judgement = question.judgement or Judgement.unscored("no judge was asked")
    scores = judgement.scores
    return JudgedQuestion(
        text=question.text,
        scores=dict(scores.values) if scores else None,
        composite=scores.composite if scores else None,
        reasoning=judgement.reasoning,
        unscored_reason=judgement.unscored_reason,
    )
