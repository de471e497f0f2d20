"""A judge that is made of others: their scores, weighed and shifted so that they agree with a team's ratings.

`recruiter judge --calibrate` writes the file, `recruiter.evaluation.calibration` says how the weights are found. The file is
named as any judge is: `judge.provider=calibrated judge.model=team.json`, an entry of `judges`, `--judge calibrated/team.json`.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from recruiter.config import JudgeConfig
from recruiter.config.paths import WORKSPACE
from recruiter.engines import Policy, Reader
from recruiter.errors import ConfigError
from recruiter.judges import Judge, Probe
from recruiter.judges.panel import PanelUsage
from recruiter.roles import Role
from recruiter.rubric import MAX_SCORE, Judgement, Rubric


class Member(BaseModel):
    """One of the judges: as `--judge` names it, and by criterion what its score is multiplied by."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    judge: str
    base_url: str | None = None
    weights: dict[str, float]


class CalibratedFile(BaseModel):
    """What a calibrated judge's file holds.

    Attributes:
        rubric_hash: of the rubric that people rated by.
        offsets: by criterion what is added to the weighed scores.
        groups: rated groups that the weights were fitted to.
        agreement: with people before, after and gained, each mean, low and high: of the mean tau-b within groups.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: str
    rubric_hash: str
    members: list[Member]
    offsets: dict[str, float]
    groups: int
    agreement: dict[str, list[float | None]]
    made_at: str


KIND = "calibrated judge"
Make = Callable[[JudgeConfig, Rubric], Judge]


class CalibratedJudge(Judge):
    """Scores by what other judges say and how far people agree with each of them. See `recruiter.judges.Judge`."""

    def __init__(self, settings: JudgeConfig, rubric: Rubric, make: Make) -> None:
        """Read the file and make its judges.

        Its judges get the settings of this one, and its budget together.

        Args:
            make: a judge by settings and rubric.

        Raises:
            ConfigError: there is no such file, it is of another rubric, or one of its judges cannot be made.
        """
        named = settings.spelled("model", settings.model or "<file>")
        if not settings.model:
            raise ConfigError(f"The judge calibrated needs the file that `--calibrate` wrote: {named}.")
        path = next((place for place in (Path(settings.model), WORKSPACE / settings.model) if place.is_file()), None)
        if path is None:
            raise ConfigError(f"There is no calibrated judge at {named}: write one with `judge --calibrate`.")
        try:
            self._file = CalibratedFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError):
            raise ConfigError(f"{named} is no calibrated judge; write one with `judge --calibrate`.") from None
        if self._file.kind != KIND or not self._file.members:
            raise ConfigError(f"{named} is no calibrated judge; write one with `judge --calibrate`.")
        if self._file.rubric_hash != rubric.hash:
            raise ConfigError(
                f"{named} was calibrated by rubric {self._file.rubric_hash}, and {rubric.hash} is in use: calibrate again."
            )
        self.rubric = rubric
        self._members = [make(self._settings_of(member, settings), rubric) for member in self._file.members]
        self.name = f"calibrated/{path.name}"
        parts = [self._file.model_dump_json(exclude={"made_at", "agreement"}), *(m.version for m in self._members)]
        self.version = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        self.usage = PanelUsage({f"{number}_{m.name}": m.usage for number, m in enumerate(self._members)})
        for usage in self.usage.parts[1:]:
            usage.share(self.usage.parts[0].budget)

    def _settings_of(self, member: Member, settings: JudgeConfig) -> JudgeConfig:
        provider, _, model = member.judge.partition("/")
        return replace(settings, provider=provider, model=model or None, base_url=member.base_url)

    @property
    def parts(self) -> Sequence[Judge]:
        """See `Judge`: its judges."""
        return [part for member in self._members for part in member.parts]

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """One judgement per question, in order; unscored where one of the judges gave no score.

        Raises:
            ApiError: a judge cannot be used any more.
        """
        said = await asyncio.gather(*(member.score(role, questions) for member in self._members))
        return [self._merged(parts) for parts in zip(*said, strict=True)]

    def _merged(self, parts: Sequence[Judgement]) -> Judgement:
        reasoning = " ".join(
            f"[{member.name}] {part.reasoning}"
            for member, part in zip(self._members, parts, strict=True)
            if part.reasoning
        )
        for member, part in zip(self._members, parts, strict=True):
            if part.scores is None:
                return Judgement(None, reasoning, f"{member.name}: {part.unscored_reason}")
        values: Mapping[str, float] = {
            name: min(MAX_SCORE, max(0.0, self._file.offsets[name] + sum(
                member.weights[name] * part.scores[name]
                for member, part in zip(self._file.members, parts, strict=True)
                if part.scores is not None
            )))
            for name in self.rubric.names
        }  # fmt: skip
        return Judgement(self.rubric.scores(values), reasoning)

    async def probe(self) -> Probe | None:
        """See `Judge`: the slowest of its judges' answers, if any costs something."""
        found = await asyncio.gather(*(member.probe() for member in self._members))
        return max((probe for probe in found if probe), key=lambda probe: probe.seconds, default=None)

    def attach(self, policy: Policy) -> None:
        """See `Judge`."""
        for member in self._members:
            member.attach(policy)

    def read_with(self, base: Callable[[], AbstractContextManager[Reader]]) -> None:
        """See `Judge`."""
        for member in self._members:
            member.read_with(base)

    def read(self, groups: Sequence[tuple[Role, Sequence[str]]]) -> None:
        """See `Judge`."""
        for member in self._members:
            member.read(groups)

    def without_memory(self) -> Self:
        """See `Judge`."""
        other = copy.copy(self)
        other._members = [member.without_memory() for member in self._members]
        return other

    async def close(self) -> None:
        """See `Judge`."""
        await asyncio.gather(*(member.close() for member in self._members))


def calibrated_file(
    rubric: Rubric, names: Sequence[tuple[str, str | None]], weights: Any, offsets: Any, **about: Any
) -> CalibratedFile:
    """What is to be written: judges by name and address, their weights (J, C) and the offsets (C,), and what is known of it."""
    members = [
        Member(judge=name, base_url=address, weights=dict(zip(rubric.names, map(float, row), strict=True)))
        for (name, address), row in zip(names, weights, strict=True)
    ]
    found = dict(zip(rubric.names, map(float, offsets), strict=True))
    return CalibratedFile(kind=KIND, rubric_hash=rubric.hash, members=members, offsets=found, **about)
