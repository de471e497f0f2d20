"""Judges: whoever scores the questions of one role. All share one protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from recruiter.llm.usage import NO_USAGE, Usage
from recruiter.roles import Role
from recruiter.rubric import Judgement, Rubric

if TYPE_CHECKING:
    from recruiter.engines import Policy, Reader
    from recruiter.judges.comparing import Preference
    from recruiter.llm.reply import Tokens


@dataclass(frozen=True)
class Probe:
    """What one call took: seconds, tokens, and the letters that were sent."""

    seconds: float
    tokens: Tokens
    letters: int


@dataclass(frozen=True)
class Bill:
    """What judging takes, as far as can be told before: calls, tokens of all of them, and USD; None: no price is known."""

    calls: float
    tokens: Tokens
    usd: float | None


class Judge(ABC):
    """Scores questions that were written for one role. A judge has a `name`, a `version` and `score`; what is here otherwise
    is right for one that costs nothing.

    Attributes:
        name: what tables and logs call it.
        version: changes whenever it could score differently.
        rubric: what it scores by.
        usage: what its calls have taken; `NO_USAGE` for a judge that calls nobody.
        names_defects: whether it fills `Judgement.kept` with what the defects leave that it has found.
    """

    name: str
    version: str
    rubric: Rubric
    usage: Usage = NO_USAGE
    names_defects = False

    @property
    def members(self) -> Mapping[str, Judge]:
        """The single judges that this one is made of, by name."""
        return {self.name: self}

    @property
    def parts(self) -> Sequence[Judge]:
        """Those whose calls are counted and billed, each by itself: this one, or the judges that its scores are made from."""
        return [self]

    @abstractmethod
    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """Return one judgement per question, in order. A question that could not be judged is unscored.

        Raises:
            ApiError: the judge cannot be used any more.
        """

    async def compare(self, role: Role, first: str, second: str) -> Preference:
        """The preference between two questions for a role, shown in this order: here, the higher composite.

        Raises:
            ApiError: the judge cannot be used any more.
        """
        from recruiter.judges.comparing import compare_scores

        return compare_scores(*await self.score(role, [first, second]))

    async def probe(self) -> Probe | None:
        """See that a judgement can be had, by asking for one; None where that costs nothing.

        Raises:
            ApiError: it cannot be had.
        """
        return None

    def bill(self, probe: Probe, role: Role, questions: int) -> Bill | None:  # noqa: ARG002
        """What it will take at most to judge a group of so many questions for a role, given what a probe took."""
        return None

    def attach(self, policy: Policy) -> None:  # noqa: B027
        """Training tells here which policy it trains, once it is loaded, before anything is judged."""

    def read_with(self, base: Callable[[], AbstractContextManager[Reader]]) -> None:  # noqa: B027
        """Whoever writes lends its untrained model here, to a judge that reads with one and whose settings name no other."""

    def read(self, groups: Sequence[tuple[Role, Sequence[str]]]) -> None:  # noqa: B027
        """Training hands in all groups of a step or a validation here, once all are sampled, in its own thread.

        A judge that computes with the policy's model does it now, when no update runs. `score` for these groups waits for
        what is computed here; it may start before this call, or after it.
        """

    def in_step(self, step: int) -> Judge:  # noqa: ARG002
        """The same judge for the questions that a training step samples; other questions need no such word."""
        return self

    def without_memory(self) -> Self:
        """The same judge for a second opinion: it asks anew about what it has judged, where it would remember that."""
        return self

    async def close(self) -> None:  # noqa: B027
        """Close the connections of the present event loop; the judge may be used in another one."""
