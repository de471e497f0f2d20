"""Writers: whoever writes questions for roles. A model on this machine or behind an API, all share one protocol.

Every writer gets the messages of training (`generator_messages`) and its sampling settings. What a provider refuses to
take stands in `notes`. A question that could not be written is reported with the reason; it is never left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from recruiter.config import SamplingParams
from recruiter.llm.usage import Usage
from recruiter.prompts import Message
from recruiter.roles import Role

Slot = tuple[str, int]  # id of a role, index of the sample
_MARKS = " \t\n\"'*_#>`"  # around a label, or around the question after it
_LABEL = re.compile(r"(?:(?:technical |screening |interview )*question|q)\s*\d*\s*[*_]*\s*:", re.IGNORECASE)
Progress = Callable[[float], None]  # gets the share that is done, in [0, 1]; may raise, which ends the writing


@dataclass(frozen=True)
class Written:
    """One question, or why there is none.

    Attributes:
        role_id, sample: which one of those asked for; `role_id` is the role's, or the name of a chat (`Writer.answer`).
        text: the question as a reader sees it; "" if there is none.
        tokens: of the question, its end token included; what a model thought before it is not counted.
        finished: whether it ended by itself rather than at the length limit.
        seconds: from the request to the answer; for samples that were decoded together, their share of the time.
        cost_usd: what its provider takes for it; None if the price is unknown.
        error: why there is none.
    """

    role_id: str
    sample: int
    text: str
    tokens: int
    finished: bool
    seconds: float
    cost_usd: float | None = 0.0
    error: str | None = None


def without_label(text: str) -> str:
    """The question without "Question:" or the like before it; a text that is nothing else stays as it is."""
    bare = text.lstrip(_MARKS)
    while (label := _LABEL.match(bare)) and (rest := bare[label.end() :].strip(_MARKS)):
        text = bare = rest
    return text


class Writer(Protocol):
    """Writes questions.

    Attributes:
        name: what tables and logs call it.
        notes: in which way its settings differ from those asked for, a sentence each. Known once it has written.
        usage: what its calls have taken; `NO_USAGE` for a model on this machine.
    """

    name: str
    notes: list[str]
    usage: Usage

    @property
    def is_service(self) -> bool:
        """Whether it is a provider's model rather than one of one's own."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash that changes whenever the model could write differently for the same messages, settings and seed."""
        ...

    @property
    def trained_with(self) -> SamplingParams | None:
        """The sampling settings it was trained with, if it was trained here."""
        ...

    def prepare(self) -> None:
        """Do what takes long before the first question: load the model.

        Raises:
            ModelError: it cannot be loaded.
        """
        ...

    def release(self) -> None:
        """Give back what `prepare` took; it may write again later."""
        ...

    def write(
        self,
        roles: Sequence[Role],
        samples: int,
        sampling: SamplingParams,
        seed: int = 0,
        skip: Set[Slot] = frozenset(),
        progress: Progress = lambda _: None,
    ) -> Iterator[Written]:
        """Yield `samples` questions for each role, as they get ready.

        The same roles, settings and seed give the same questions (from an API: as long as its cache is there), whatever
        is skipped.

        Args:
            skip: what is there already and not written again.

        Raises:
            ModelError, ApiError: it cannot write any more.
        """
        ...

    def answer(
        self,
        prompts: Mapping[str, list[Message]],
        samples: int,
        sampling: SamplingParams,
        seed: int = 0,
        schema: dict[str, Any] | None = None,
        progress: Progress = lambda _: None,
    ) -> Iterator[Written]:
        """Yield `samples` answers to each of some chats, as they get ready; a chat's name stands as their `role_id`.

        Args:
            schema: JSON schema that a provider which can do so holds the answers to.

        Raises:
            ModelError, ApiError: it cannot write any more.
        """
        ...
