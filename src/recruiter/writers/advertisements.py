"""Reading advertisements with a model, where rules do not know what they say. Only words that stand in the text are taken."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from recruiter.config import SamplingParams
from recruiter.prompts import advertisement_messages
from recruiter.roles.completing import TITLE_LETTERS
from recruiter.roles.languages import content_words
from recruiter.writers import Progress, Writer
from recruiter.writers.forms import fill_forms

SAMPLING = SamplingParams(max_generate_length=320, temperature=0.3)


class Advertised(BaseModel):
    """What a model finds in an advertisement."""

    title: str
    level: str
    is_technical: bool
    stack: list[str] = Field(max_length=20)
    skills: list[str] = Field(max_length=20)


def read_advertisement(writer: Writer, text: str, progress: Progress = lambda _: None) -> dict[str, Any]:
    """What `complete_role` may take from an advertisement; a key `why` if the writer could not read it.

    Raises:
        ModelError: the writer cannot be loaded.
    """
    prompts = {"advertisement": advertisement_messages(text)}
    found = fill_forms(writer, prompts, Advertised, progress=progress, sampling=SAMPLING)["advertisement"]
    if isinstance(found, str):
        return {"why": f"{writer.name} could not read the advertisement: {found}"}
    read: dict[str, Any] = {"level": found.level.strip().lower(), "is_technical": found.is_technical}
    if _stands_in(found.title, text) and len(found.title) <= TITLE_LETTERS:
        read["title"] = found.title.strip()
    for name in ("stack", "skills"):
        terms = dict.fromkeys(term.strip() for term in getattr(found, name))
        read[name] = [term for term in terms if 0 < len(term) <= TITLE_LETTERS and _stands_in(term, text)]
    return read


def _stands_in(term: str, text: str) -> bool:
    """Whether a text has a term, or all of its words somewhere."""
    words = content_words(term)
    return term.strip().lower() in text.lower() or (bool(words) and words <= content_words(text))
