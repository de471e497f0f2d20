"""What a call must say to fit the rubric by which this server has questions rated."""

from __future__ import annotations

from collections.abc import Mapping

from feedback.errors import Refusal
from recruiter.rubric import Rubric


def check_criteria(rubric: Rubric, given: Mapping[str, float], whose: str) -> None:
    """Every criterion must be there, and no other.

    Raises:
        Refusal: 422.
    """
    if missing := [name for name in rubric.names if name not in given]:
        raise Refusal(422, "incomplete", f"{whose} lacks {missing[0]}; the criteria are {', '.join(rubric.names)}.")
    if unknown := [name for name in given if name not in rubric.names]:
        raise Refusal(
            422, "invalid", f"{whose} has {unknown[0][:40]!r}, but the criteria are {', '.join(rubric.names)}."
        )


def refuse_other(rubric: Rubric, wanted: str | None) -> None:
    """A group that is to be rated by another rubric cannot be rated here.

    Raises:
        Refusal: 409.
    """
    if wanted not in (None, rubric.hash):
        raise Refusal(
            409,
            "other_rubric",
            f"This server rates by {', '.join(rubric.names)} (rubric {rubric.hash}), the group is to be rated by rubric "
            f"{wanted}: start the server with FEEDBACK_RUBRIC set to the file that training takes as rubric=.",
        )
