"""What the bodies of the API share: the kinds of text and number, and their limits."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from recruiter.rubric import MAX_RATING, MAX_SCORE, MIN_RATING

MAX_QUESTIONS = 64
CLEAN = r"^[^\x00]*$"  # a database text cannot hold the character 0
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]*$"  # no control characters of any kind
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._~:-]+$")]
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/?#]+$")]
RubricHash = Annotated[str, StringConstraints(max_length=64, pattern=r"^[0-9a-f]+$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=PRINTABLE)]
Question = Annotated[str, StringConstraints(max_length=8000, pattern=CLEAN)]
Note = Annotated[str, StringConstraints(max_length=2000, pattern=CLEAN)]
Step = Annotated[int, Field(ge=0, le=2**31 - 1)]
Stars = Annotated[int, Field(ge=MIN_RATING, le=MAX_RATING)]
JudgeScore = Annotated[float, Field(ge=0, le=MAX_SCORE)]
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and signs that show nothing
SheetHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Mark = Annotated[int, Field(ge=1, le=MAX_QUESTIONS)]  # a number on a scale; which ones there are, the group's task says
GroupStatus = Literal["pending", "leased", "rated", "skipped", "expired", "cancelled"]
SkipReason = Literal["unclear_role", "not_my_field", "broken_text", "other"]


def is_visible(text: str) -> bool:
    """Whether a text has anything to see: more than spaces, controls and invisible characters."""
    return any(unicodedata.category(character)[0] not in "CZ" and character not in BLANKS for character in text)


class Body(BaseModel):
    """A request's body: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
