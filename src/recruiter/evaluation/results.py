"""The results file: everything an evaluation found out, and everything needed to compute its figures again.

`samples` hold each model's questions with every judge's judgements, `roles` and `prompts` what the models saw, `sheet` what
blind readers said; all figures (`estimates.py`) are computed from these alone. Scores are 0–10. An estimate is a mean with
its 95% interval over roles. What does not exist is null, never 0. A judge's word on a model that it trained is never a test
of that model (`claims.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from recruiter.config.paths import command_line
from recruiter.errors import DataError
from recruiter.evaluation import claims
from recruiter.evaluation.estimates import (
    Agreement,
    Consistency,
    ModelFigures,
    Pairwise,
    Reads,
    Simulated,
    TextFigures,
)
from recruiter.evaluation.records import JudgeRecord, ModelRecord, Plan, Record, SampleRecord, Sheet, Spent
from recruiter.files import write_json
from recruiter.roles import Role
from recruiter.rubric import Rubric, load_rubric

SCHEMA_VERSION: Literal[4] = 4


def metrics(rubric: Rubric) -> tuple[str, ...]:
    """Keys of all `scores` by a rubric."""
    return (*rubric.names, "composite")


class Results(Record):
    """An evaluation. `made_at`, `seconds` and `spent` are all that differs when it is run again from what is stored.

    Attributes:
        evidence: what is known of whether a model is better, and by whose word; the first lines of every page.
        spent: by the names of models and judges that are called over a network: calls, tokens, USD and failed attempts
            of this run; what had been stored by an earlier one cost nothing again.
        versions: of this package, its revision, Python and the libraries that matter.
        flags: what a reader should know before believing any figure, beside `left_out` and the models' `notes`.
        left_out: models that could not take part, with the reason.
        prompts: the chat messages of each role, by its id, the same for every model.
        judge_system: what a judge that is a language model is told; a question's own message follows from role and
            question (`prompts.judge_messages`).
        rubric: what the judges scored by. Files of version 2, which lack it, are by the built-in criteria.
        figures: by judge, then by model.
        consistency, pairwise: by judge.
        simulated: what simulated candidates show, where they were asked for.
        sheet: of the questions for blind reads, with the readings; `reads` is computed from it.
    """

    schema_version: Literal[2, 3, 4] = SCHEMA_VERSION
    evidence: list[str] = Field(default_factory=list)
    made_at: str
    seconds: float
    spent: dict[str, Spent]
    versions: dict[str, str | None]
    plan: Plan
    flags: list[str]
    left_out: dict[str, str]
    roles: list[Role]
    prompts: dict[str, list[dict[str, str]]]
    rubric: Rubric = Field(default_factory=load_rubric)
    judge_system: str
    models: dict[str, ModelRecord]
    judges: dict[str, JudgeRecord]
    samples: list[SampleRecord]
    figures: dict[str, dict[str, ModelFigures]]
    texts: dict[str, TextFigures]
    consistency: dict[str, Consistency]
    agreement: list[Agreement]
    pairwise: dict[str, Pairwise]
    simulated: Simulated | None = None
    sheet: Sheet | None = None
    reads: Reads | None = None

    @model_validator(mode="after")
    def _claim_no_more_than_is_known(self) -> Self:
        claims.limit(self)
        self.evidence = claims.evidence(self)
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """Keys of all `scores`: the criteria, and their composite."""
        return metrics(self.rubric)

    def save(self, path: Path) -> None:
        """Write the file beside its place and rename it."""
        write_json(path, self.model_dump(mode="json"))


def load_results(path: Path) -> Results:
    """Read and check a results file.

    Raises:
        DataError: it is missing, something else, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"There are no results at {path}; make some with `{command_line('eval')}`.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None
    try:
        return Results.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        if place == "schema_version":
            raise DataError(
                f"{path} has schema version {first['input']}, this code reads 2 to {SCHEMA_VERSION}: make it again with "
                f"`{command_line('eval')}`."
            ) from None
        raise DataError(f"{path} is not a results file ({place or 'text'}: {first['msg']}).") from None
