"""When a run ends because its judge fails: too many samples without a score, in one step or for three in a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from recruiter.config import Config
from recruiter.errors import UnscoredError
from recruiter.train.rollout import Rollout


class UnscoredLimit:
    """The share of a step's samples that may have no score, `judge.max_unscored`. People may skip what they cannot judge.

    Of several judges the strictest share of those counts whose word the reward needs.

    Attributes:
        strained: finished steps in a row, up to the last one, with more than half of that share unscored.
    """

    def __init__(self, config: Config) -> None:
        needed = [judge for judge in config.all_judges if judge.does != "watch"]
        judge = min(needed, key=lambda judge: judge.max_unscored)
        self.share, self.strained, self._setting = judge.max_unscored, 0, f"{judge.place}.max_unscored"
        self._is_off = config.asks_people

    def check(self, step: int, rollouts: Sequence[Rollout]) -> None:
        """End the run, before anything is updated, if too many samples of the step have no score by now.

        Too many are more than the share in one step, or more than half of it in three steps in a row.

        Raises:
            UnscoredError: there are too many.
        """
        samples = sum(len(rollout.samples) for rollout in rollouts)
        rewards = [reward for rollout in rollouts for reward in rollout.rewards]
        reasons = Counter(r.judgement.unscored_reason for r in rewards if r.judgement.scores is None)
        failed, part = reasons.total(), 0.5 if self.strained >= 2 else 1.0
        if failed > part * self.share * samples and not self._is_off:
            allowed = f"{self._setting}={self.share:g} allows"
            if part < 1.0:
                allowed = f"half of {self._setting}={self.share:g}, as in the two steps before"
            raise UnscoredError(
                f"{failed} of {samples} samples of step {step} have no score, more than {allowed}; most often: "
                f"{reasons.most_common(1)[0][0]}. Everything up to step {step - 1} is saved: mend the cause and run "
                f"the same command again."
            )

    def finished(self, unscored: int, samples: int) -> None:
        """Note what came of a step."""
        self.strained = self.strained + 1 if unscored > 0.5 * self.share * samples else 0
