"""The writing page: the role of an advertisement, questions with the judge's scores and reasons, kits and their sheets."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path

from feedback import practice
from feedback.access import Context, Rating, Shared, SignedIn
from feedback.errors import Refusal, errors, not_found
from feedback.models.owner import Ok
from feedback.models.practice import Job
from feedback.models.writing import (
    AdvertisementIn,
    AdvertisementView,
    JudgedQuestion,
    KitIn,
    KitView,
    SheetIn,
    SheetView,
    WriteIn,
    WriteView,
)
from feedback.routes.practice import take_on
from feedback.writing import Cancellable, KitWriting, Reading, Writing, Written
from generator import Job as GeneratorJob
from recruiter.roles import Role
from recruiter.roles.completing import CompletedRole
from recruiter.rubric import Judgement
from recruiter.writers.generate import Question
from recruiter.writers.kit import Kit
from recruiter.writers.kit.sheets import render_kits

router = APIRouter(prefix="/api", tags=["writing"], responses=errors(401, 403))
Work = TypeVar("Work")
JobId = Annotated[str, Path(max_length=64)]


@router.post("/write", status_code=202, responses=errors(409, 503))
def start(body: WriteIn, rater: Rating, context: Shared) -> Job:
    """Have questions written for a role, judged, and the best kept."""
    draft = practice.typed_role(body.role)
    work = Writing(draft, body.count, body.best_of, context.settings.judge, context.settings.rubric)
    return take_on(context.generator, work, rater)


@router.get("/write/{job_id}", responses=errors(404))
def look(job_id: JobId, _rater: SignedIn, context: Shared) -> WriteView:
    """How far the writing is, and the questions when it is done."""
    job, _ = _find(context, job_id, Writing)
    questions = [_view(question) for question in job.result.questions] if isinstance(job.result, Written) else []
    message = job.result.message if isinstance(job.result, Written) else job.message
    return WriteView(state=job.state, progress=job.progress, message=message, questions=questions)  # type: ignore[arg-type]


@router.post("/write/{job_id}/cancel", responses=errors(404))
def cancel(job_id: JobId, _: Rating, context: Shared) -> Ok:
    """Stop the writing; nobody waits for it any more."""
    _find(context, job_id, Cancellable)[1].cancel()
    return Ok()


@router.post("/advertisement", status_code=202, responses=errors(409, 503))
def read(body: AdvertisementIn, rater: Rating, context: Shared) -> Job:
    """Have an advertisement read for the role that it describes."""
    return take_on(context.generator, Reading(body.text), rater)


@router.get("/advertisement/{job_id}", responses=errors(404))
def look_at_reading(job_id: JobId, _: SignedIn, context: Shared) -> AdvertisementView:
    """How far the reading is, and what was found when it is done."""
    job, _work = _find(context, job_id, Reading)
    found = job.result if isinstance(job.result, CompletedRole) else None
    role, assumed = (found.role, list(found.assumed)) if found else (None, [])
    return AdvertisementView(**_progress(job), role=role, assumed=assumed)


@router.post("/kit", status_code=202, responses=errors(409, 503))
def start_kit(body: KitIn, rater: Rating, context: Shared) -> Job:
    """Have a kit written for a role: questions with guides."""
    if len(body.cover) > body.count:
        raise Refusal(
            422, "invalid", f"{len(body.cover)} skills to cover need as many questions; ask for more questions."
        )
    wishes = {"cover": body.cover, "difficulty": body.difficulty, "language": body.language}
    draft, settings = practice.typed_role(body.role), context.settings
    work = KitWriting(draft, body.count, body.best_of, settings.judge, settings.rubric, **wishes)
    return take_on(context.generator, work, rater)


@router.get("/kit/{job_id}", responses=errors(404))
def look_at_kit(job_id: JobId, _: SignedIn, context: Shared) -> KitView:
    """How far the kit is, and the kit when it is done."""
    job, work = _find(context, job_id, KitWriting)
    kit = job.result if isinstance(job.result, Kit) else None
    assumed = f"Assumed: {'; '.join(work.draft.assumed)}." if kit and work.draft.assumed else job.message
    return KitView(**{**_progress(job), "message": assumed}, kit=kit)


@router.post("/sheet")
def sheet(body: SheetIn, _: Rating) -> SheetView:
    """A kit as a page to print or as a file."""
    return SheetView(text=render_kits([body.kit], body.form, body.for_candidate))


@router.get("/roles/{role_id}", responses=errors(404))
def one_role(role_id: Annotated[str, Path(max_length=120)], _: SignedIn) -> Role:
    """One of the roles that come with the project."""
    for role in practice.all_roles():
        if role.id == role_id:
            return role
    raise not_found(f"role {role_id}")


def _find(context: Context, job_id: str, kind: type[Work]) -> tuple[GeneratorJob, Work]:
    job = context.generator.job(job_id)
    if job is None or not isinstance(job.work, kind):
        raise not_found("job with this id; it may have been long ago")
    return job, job.work


def _progress(job: GeneratorJob) -> dict[str, Any]:
    return {"state": job.state, "progress": job.progress, "message": job.message}


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
