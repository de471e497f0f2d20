"""From judgement to reward: what the judge gives, less a share for wording that is used for every role.

A judge sees one role and cannot notice a template; `train/overlap.py` measures it. Overlap above `overlap_free` takes up
to `overlap_penalty` of the reward away. Only earlier steps count, so shaping never waits for other groups; evaluation
reports the same overlap, outside the composite.
"""

from __future__ import annotations

from dataclasses import dataclass

from recruiter.config import RewardConfig
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.overlap import OverlapWindow


@dataclass(frozen=True)
class Reward:
    """What training makes of one judged question.

    Attributes:
        judgement: the judge's, untouched.
        overlap: share of its masked trigrams that stand in the most similar earlier question of another role.
        value: the shaped reward in [0, 1]; None if unscored.
    """

    judgement: Judgement
    overlap: float
    value: float | None

    @property
    def penalty(self) -> float:
        """What shaping took away."""
        return 0.0 if self.value is None else (self.judgement.reward or 0.0) - self.value


def shape(settings: RewardConfig, window: OverlapWindow, role: Role, question: str, judgement: Judgement) -> Reward:
    """Reward of one question: the judge's, less a share that grows with the overlap beyond what is free."""
    overlap = window.overlap(role, question)
    if judgement.reward is None:
        return Reward(judgement, overlap, None)
    excess = max(0.0, overlap - settings.overlap_free) / max(1.0 - settings.overlap_free, 1e-9)
    return Reward(judgement, overlap, judgement.reward * (1.0 - settings.overlap_penalty * excess))
