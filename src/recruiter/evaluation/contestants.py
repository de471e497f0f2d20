"""Contestants: the models of an evaluation, what is known of their training, and what a reader must be warned of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from recruiter.config import SamplingParams
from recruiter.config.loading import load_config
from recruiter.config.paths import WORKSPACE
from recruiter.errors import ConfigError, DataError, MissingKeyError
from recruiter.evaluation.records import ModelRecord, Plan, Training
from recruiter.evaluation.text_figures import Questions, read_rollouts
from recruiter.files import short_path
from recruiter.judges import Judge
from recruiter.judges.simulated import SimulatedJudge
from recruiter.llm.api_model import ApiModel
from recruiter.roles import Role
from recruiter.roles.dataset import read_raw
from recruiter.rubric import Rubric, load_rubric, stored_rubric
from recruiter.train.layout import Checkpoint, RunFolder
from recruiter.train.rows import RunDescription, deciding_judges
from recruiter.writers import Writer
from recruiter.writers.api import ApiWriter
from recruiter.writers.finding import find_writer
from recruiter.writers.local import LocalWriter

BASELINE = "baseline"
OWN_SERVER = "openai_compatible"


@dataclass(frozen=True)
class Contestant:
    """A model in an evaluation: its name in tables, and who writes for it."""

    name: str
    writer: Writer

    @cached_property
    def adapter(self) -> Path | None:
        """Folder of the adapter that it is, or that was merged into it by an export."""
        if not isinstance(self.writer, LocalWriter):
            return None
        exported = WORKSPACE / self.writer.path / "export.json"
        if self.writer.adapter is None and exported.is_file():
            return WORKSPACE / str(json.loads(exported.read_text(encoding="utf-8"))["checkpoint"])
        return self.writer.adapter

    @cached_property
    def run(self) -> RunFolder | None:
        """The training run that its adapter comes from, if it is there."""
        run = Checkpoint.of_adapter(self.adapter).run if self.adapter else None
        return run if run and run.description.is_file() else None

    @cached_property
    def training(self) -> RunDescription | None:
        """What `run.json` says of that run."""
        return self.run.read_description() if self.run else None

    @property
    def trained_with(self) -> SamplingParams | None:
        """The sampling settings of that run, or those that its export kept."""
        if self.training is None:
            return self.writer.trained_with
        return SamplingParams(**self.training["config"]["generator"]["sampling_params"])

    @property
    def api(self) -> ApiModel | None:
        """What is called for its questions, if they do not come from this machine."""
        return self.writer.api if isinstance(self.writer, ApiWriter) else None

    def record(self, sampling: SamplingParams) -> ModelRecord:
        """What the results say of it. `notes` are complete once it has written."""
        adapter, training = None, None
        if isinstance(self.writer, LocalWriter):
            source = short_path(WORKSPACE / self.writer.path)
            adapter = short_path(self.writer.adapter) if self.writer.adapter else None
        else:
            source = self.api.name if self.api else self.writer.name
        if self.run and self.training and self.adapter:
            training = Training(
                run=short_path(self.run.path),
                step=Checkpoint.of_adapter(self.adapter).step,
                judge=self.training["judge"],
                config=self.training["config"],
            )
        return ModelRecord(
            kind="local" if self.api is None else "api" if self.api.is_service else "endpoint",
            source=source,
            adapter=adapter,
            fingerprint=self.writer.fingerprint,
            sampling=asdict(sampling),
            notes=list(self.writer.notes),
            training=training,
        )


@dataclass(frozen=True)
class Setup:
    """What takes part in an evaluation; the first contestant is the baseline.

    Attributes:
        simulated: holds interviews with simulated candidates.
        rubric: what all judges score by.
        left_out: models that cannot take part, with the reason.
    """

    plan: Plan
    roles: Sequence[Role]
    contestants: Sequence[Contestant]
    judges: Sequence[Judge]
    simulated: SimulatedJudge | None = None
    rubric: Rubric = field(default_factory=load_rubric)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def sampling(self) -> SamplingParams:
        """The settings of every model."""
        return SamplingParams(**self.plan.sampling)  # type: ignore[arg-type]


def find_contestants(
    names: Sequence[str], checkpoint: str | None, base_url: str | None = None, skip_missing_keys: bool = False
) -> tuple[list[Contestant], dict[str, str]]:
    """The models that are named, the baseline first, and those that are left out with the reason.

    The baseline is the model named `baseline` if it takes part, else the first one.

    Raises:
        ConfigError: a name stands there twice, no model is left, or a key is missing that `skip_missing_keys` does not skip.
        ModelError: there is no such model.
    """
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"--model names {twice} twice.")
    contestants, left_out = [], {}
    for name in sorted(names, key=lambda name: name != BASELINE):
        try:
            own = base_url if name.partition("/")[0] == OWN_SERVER else None
            contestants.append(Contestant(name, find_writer(name, checkpoint, own)))
        except MissingKeyError as error:
            if not skip_missing_keys:
                raise
            left_out[name] = str(error)
    if not contestants:
        raise ConfigError(f"No model is left to evaluate: {' '.join(left_out.values())}")
    return contestants, left_out


def common_sampling(contestants: Sequence[Contestant]) -> SamplingParams:
    """The settings that all models are sampled with: those of the first one's training that was trained here."""
    trained = [found for contestant in contestants if (found := contestant.trained_with)]
    return trained[0] if trained else load_config("train_config").generator.sampling_params


def training_rollouts(contestant: Contestant) -> Questions | None:
    """The questions that its training sampled, if the run logged them and its roles can be read."""
    if contestant.run is None or contestant.training is None:
        return None
    raw = WORKSPACE / contestant.training["config"]["data"]["raw_dir"]
    try:
        roles = [role for split in ("train", "test") for role in read_raw(raw / f"{split}.parquet")]
    except DataError:
        return None
    return read_rollouts(contestant.run, {role.id: role for role in roles})


def judge_flags(judge: Judge, contestants: Sequence[Contestant]) -> list[str]:
    """Why a judge's word counts for less here."""
    flags = [
        f"it also judged the training of {contestant.name}, so its word is no evidence that {contestant.name} got better"
        for contestant in contestants
        if contestant.training and judge.name in deciding_judges(contestant.training["judge"])
    ]
    flags += [
        f"it is the contestant {contestant.name}, and may favour its own questions"
        for contestant in contestants
        if contestant.api and contestant.api.name == judge.name
    ]
    return flags + judge.usage.notes


def contestant_flags(
    contestants: Sequence[Contestant], roles: Sequence[Role], sampling: SamplingParams, rubric: Rubric
) -> list[str]:
    """What a reader should know of the models before believing any figure."""
    flags = []
    for contestant in contestants:
        seen = (contestant.run.trained_roles() if contestant.run else set()) & {role.id for role in roles}
        if seen:
            flags.append(f"{contestant.name} was trained on {len(seen)} of these {len(roles)} roles.")
        if (own := contestant.trained_with) and own != sampling:
            flags.append(f"{contestant.name} was trained with other sampling settings ({_spelled(own)}).")
        if contestant.training and (names := stored_rubric(contestant.training.get("rubric")).names) != rubric.names:
            flags.append(f"{contestant.name} was trained by other criteria ({', '.join(names)}).")
        if contestant.adapter and not contestant.training:
            flags.append(
                f"{contestant.name} was trained in a run that is not here, so it is not known which judge rewarded it."
            )
    return flags


def _spelled(sampling: SamplingParams) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(sampling).items())
