"""The pages: a frame of HTML for each. Everything that changes, their scripts ask the API for."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from feedback import guidelines, practice
from feedback.access import Shared, welcome
from feedback.accounts import Rater
from feedback.errors import Refusal
from recruiter.roles import LEVELS, Role
from recruiter.roles.advertisement import LONGEST
from recruiter.roles.languages import LANGUAGES
from recruiter.rubric import MAX_RATING, MAX_SCORE, MIN_RATING, RATING_WORDS
from recruiter.writers.kit import Difficulty
from recruiter.writers.kit.sheets import STYLE

PAGES = (("/", "Rate"), ("/write", "Write"), ("/bank", "Bank"), ("/stats", "Statistics"), ("/runs", "Runs"))
OWNER_PAGES = (("/owner", "Owner"),)

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
templates = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals.update(
    levels=LEVELS,
    min_rating=MIN_RATING,
    max_rating=MAX_RATING,
    max_score=MAX_SCORE,
    rating_words=RATING_WORDS,
)


class Visit:
    """Who looks at which page."""

    def __init__(
        self, request: Request, response: Response, rater: Annotated[Rater | None, Depends(welcome)], context: Shared
    ) -> None:
        self.request, self.response, self.rater, self.context = request, response, rater, context

    @property
    def guidelines(self) -> str:
        """The team's, for those who may see them."""
        if self.rater is None:
            return ""
        with self.context.database.read() as c:
            return guidelines.read(c)

    def page(self, template: str, *, owners_only: bool = False, **values: object) -> str:
        """The page, or instead of it the one that says what is missing."""
        if self.rater is None:
            text = "Open the link that you were given for this server; it lets this browser in."
            was_in = self.context.keys.read_session(self.request.cookies) is not None
            if was_in:
                text = "The link that let this browser in was revoked. Ask the owner of this server for a new one."
            return self._refuse(401, "You need a link to rate here", text, signed_in="somebody" if was_in else None)
        if owners_only and not self.rater.is_owner:
            return self._refuse(
                403,
                "This page is the owner's",
                "Your link lets you rate; it does not let you in here.",
                self.rater.label,
            )
        return render(
            template,
            here=self.request.url.path,
            signed_in=None if self.rater.browser or self.rater.account else self.rater.label,
            pages=PAGES + OWNER_PAGES if self.rater.is_owner else PAGES,
            csrf_token=self.context.keys.csrf_token(self.rater),
            identity=self.context.keys.identity(self.rater),
            **values,
        )

    def _refuse(self, status: int, heading: str, text: str, signed_in: str | None = None) -> str:
        self.response.status_code = status
        return render("needs_link.html", heading=heading, text=text, signed_in=signed_in)


Visiting = Annotated[Visit, Depends()]


def render(template: str, **values: object) -> str:
    """A template with what every page needs; without a rater there is nothing to go to and nothing to change."""
    nobody = {"pages": (), "here": "", "csrf_token": "", "identity": "", "signed_in": None}
    return templates.get_template(template).render({**nobody, **values})


def error_page(refusal: Refusal) -> HTMLResponse:
    """What a browser gets that asked for a page and cannot have it."""
    heading = "There is no such page" if refusal.status == 404 else "That did not work"
    return HTMLResponse(render("error.html", heading=heading, text=refusal.message), refusal.status, refusal.headers)


@router.get("/")
def rate(visit: Visiting) -> str:
    """Rate what is in the queue, or practise."""
    rubric = visit.context.rubric
    return visit.page("rate.html", criteria=rubric.criteria, examples=rubric.examples, guidelines=visit.guidelines)


@router.get("/write")
def write(visit: Visiting) -> str:
    """Write questions for a role."""
    return visit.page(
        "write.html",
        judge=visit.context.settings.judge,
        examples=roles_by_focus(),
        languages=LANGUAGES,
        difficulties=get_args(Difficulty),
        most_letters=LONGEST,
    )


@router.get("/write/sheet")
def write_sheet(visit: Visiting) -> str:
    """A kit of this browser as a page to print."""
    return visit.page("sheet.html")


@router.get("/write/sheet.css")
def sheet_style() -> FileResponse:
    """How such a page looks, here and as a file."""
    return FileResponse(STYLE, media_type="text/css")


@cache
def roles_by_focus() -> list[tuple[str, list[Role]]]:
    """The roles that come with the project, as examples."""
    roles = sorted(practice.all_roles(), key=lambda role: (role.focus, role.title))
    return [(focus, list(of_focus)) for focus, of_focus in groupby(roles, key=lambda role: role.focus)]


@router.get("/bank")
def bank(visit: Visiting) -> str:
    """The questions that the team keeps."""
    return visit.page("bank.html", is_owner=visit.rater is not None and visit.rater.is_owner)


@router.get("/stats")
def stats(visit: Visiting) -> str:
    """What was rated and how far raters agree."""
    return visit.page("stats.html")


@router.get("/runs")
def runs(visit: Visiting) -> str:
    """Training in progress."""
    return visit.page("runs.html", origin=str(visit.request.base_url).rstrip("/"))


@router.get("/owner")
def owner(visit: Visiting) -> str:
    """Links, export, deletion."""
    return visit.page("owner.html", owners_only=True, guidelines=visit.guidelines)


@router.get("/join")
def join() -> str:
    """Where links lead. The token stands behind the # of the address, which only the page's script sees."""
    return render("join.html")
