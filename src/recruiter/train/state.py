"""How far a run is, and what decides when it ends. Every checkpoint holds it, whichever engine trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from recruiter.config import Config
from recruiter.errors import DivergedError
from recruiter.files import write_json
from recruiter.judges.overlap import OverlapWindow
from recruiter.reward import level
from recruiter.rubric import MAX_SCORE, Judgement
from recruiter.train.layout import Checkpoint
from recruiter.train.rollout import Rollout, mean, watched
from recruiter.train.rows import MetricsRow, StoredState, finite
from recruiter.train.unscored_limit import UnscoredLimit

DIVERGED_STEPS = 3  # steps without a finite gradient that end a run


@dataclass(frozen=True)
class Validation:
    """What came of one validation.

    Attributes:
        reward: the judge's mean reward on the roles with a score; None if none has one.
        is_best: whether it is the best of the run so far.
        sentence: for the log.
        watched: the mean composite of each watching judge, by name.
    """

    reward: float | None
    is_best: bool
    sentence: str
    watched: Mapping[str, float | None]

    @property
    def figures(self) -> dict[str, float | None]:
        """For the metrics."""
        return {"validation_reward": self.reward} | {f"validation_watch_{k}": v for k, v in self.watched.items()}


class RunState:
    """How far a run is.

    Attributes:
        step: the last step that was trained.
        unlogged: its metrics, until it is validated and logged.
        best: the best validation so far: the watching judges' mean composite / 10 if there are any, else the reward.
        since_best: validations since then.
        window: the latest questions, for the overlap with other roles' questions.
        limit: how many samples may have no score.
        diverged: steps in a row, up to the last one, whose updates all had a gradient that is not finite.
    """

    def __init__(self, config: Config) -> None:
        self.step = 0
        self.unlogged: MetricsRow | None = None
        self.best: float | None = None
        self.since_best = 0
        self.window = OverlapWindow(config.reward.overlap_window)
        self.limit = UnscoredLimit(config)
        self._judges = config.judges
        self.diverged = 0
        self._patience = config.trainer.early_stop_patience

    def trained(self, step: int, rollouts: Sequence[Rollout], metrics: MetricsRow) -> None:
        """Note that a step is trained; `rollouts` are the groups that it sampled."""
        for rollout in rollouts:
            self.window.remember(rollout.role, [sample.text for sample in rollout.samples])
        self.limit.finished(metrics["unscored"], metrics["samples"])
        self.diverged = self.diverged + 1 if "updates_skipped" in metrics and not metrics["updates"] else 0
        self.step, self.unlogged = step, metrics

    def judged(self, judgements: Sequence[Judgement]) -> Validation:
        """Note what was said of the validation slice, one question a role."""
        return self.validated(
            [level(judgement, self._judges) for judgement in judgements], watched(judgements, self._judges)
        )

    def validated(
        self, rewards: Sequence[float | None], watching: Mapping[str, float | None] = MappingProxyType({})
    ) -> Validation:
        """Note a validation: the rewards, one a role, None where there is no score, and what watching judges gave on average.

        Watching judges decide which validation is the best, for the others are trained on. One that one of them could not
        score at all decides nothing.
        """
        reward, deciding, fails = mean(rewards), mean(rewards), None in watching.values()
        if watching:
            seen = mean(list(watching.values()))
            deciding = None if fails or seen is None else seen / MAX_SCORE
        is_best = deciding is not None and (self.best is None or deciding > self.best)
        self.best, self.since_best = (deciding, 0) if is_best else (self.best, self.since_best + (not fails))
        scored = sum(reward is not None for reward in rewards)
        found = "none scored" if reward is None else f"{reward:.3f}"
        sentence = f"validation after step {self.step}: reward {found} on {scored} of {len(rewards)} roles"
        for name, value in watching.items():
            sentence += f"; {name}, watching, gives " + ("no score" if value is None else f"{value:.2f}")
        return Validation(reward, is_best, sentence, watching)

    def check_finite(self) -> None:
        """End the run where nothing is learned any more.

        Raises:
            DivergedError: no update of the latest steps was finite.
        """
        if self.diverged >= DIVERGED_STEPS:
            raise DivergedError(
                f"Training has diverged: no gradient of the last {self.diverged} steps was finite, so nothing was "
                f"learned after step {self.step - self.diverged}. Choose a smaller "
                f"trainer.policy.optimizer_config.lr, and another trainer.ckpt_path to start from the beginning."
            )

    @property
    def best_of(self) -> str:
        """What `best` is the best of, as `best.json` calls it."""
        is_watched = any(entry.does == "watch" for entry in self._judges)
        return "validation_watch" if is_watched else "validation_reward"

    @property
    def should_stop(self) -> bool:
        """Whether validation has not become better for as long as configured."""
        return self._patience is not None and self.since_best >= self._patience

    @property
    def stop_reason(self) -> str:
        """Why it should stop, for the log."""
        return f"Stopped early: no better validation in {self.since_best} tries."

    def snapshot(self) -> Callable[[Checkpoint], None]:
        """Copy the state; the function returned stores it in a checkpoint."""
        stored = StoredState(
            step=self.step,
            unlogged=self.unlogged,
            best=self.best,
            since_best=self.since_best,
            strained=self.limit.strained,
            window=self.window.state(),
        )
        return lambda checkpoint: write_json(checkpoint.trainer_state, stored)

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from what a checkpoint holds.

        Raises:
            ModelError: the folder is no whole checkpoint.
        """
        stored = checkpoint.read_state()
        self.step, self.unlogged = stored["step"], stored["unlogged"] and finite(stored["unlogged"])
        self.best, self.since_best = stored["best"], stored["since_best"]
        self.limit.strained = stored.get("strained", 0)
        self.window.load_state(stored["window"])
