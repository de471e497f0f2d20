"""What an API call can be refused for: a status, a code for programs, one sentence for people."""

from __future__ import annotations

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """Why."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorDetail


class Refusal(Exception):
    """Ends a request with `{"error": {"code": …, "message": …}}`."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


def not_found(what: str, code: str = "not_found") -> Refusal:
    """A 404; `gone` is the code of what a page is working on."""
    return Refusal(404, code, f"There is no {what}.")


def lease_lost() -> Refusal:
    """The 409 of a lease that is over."""
    return Refusal(409, "lease_lost", "This group is no longer yours: the time was over and another rater has it.")


def errors(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The `responses` of a route that may answer with these statuses."""
    return {status: {"model": ErrorBody} for status in (*statuses, 413, 422, 429, 503)}
