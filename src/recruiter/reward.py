"""From judgement to reward: what the judges give, less a share for wording that is used for every role.

**One judge:** the reward is its composite / 10, in [0, 1]. Of `judge.mode=pairs` that is the share of its comparisons that a
question won, and of `simulated` the probability that a strong answer to it beats a weak one.

**One judge that rewards, and others that gate:** its composite / 10 times what each gating judge keeps, a share in [0, 1]
(`Judgement.kept`). A gate can take away and never add. Watching judges have no part in a reward.

**Several judges that reward:** their scores differ in level and spread, and added as they are, the one with the larger
spread would decide alone. GRPO compares within a group only, so each judge's composites c are standardised there, over
the group's scored samples:

    z_j = (c_j - mean) / standard deviation, within ±2.5          sample deviation, 0.05 points of composite at least
    z   = sum of weight_j z_j / square root of the sum of weight_j²        as spread as each of them, if they are independent
    reward = 0.5 + 0.15 z, within [0, 1], times what each gating judge keeps

±2.5 bounds the say of one odd score, 0.05 points are noise, and 0.15 lets z reach ±3.3 before a reward is cut at 0 or 1. In
such a run a reward says how a question did in its group; `reward_level`, the mean composite / 10 times what the gates keep,
is what can be compared from step to step. Fewer than two scored samples in a group give no reward at all.

**People who compare** say an order instead of scores (`human_feedback.task`). A question's reward is the share of the others
that it beats, ties counting half: 1 for the best of a group, 0 for the worst. Where not every pair was compared, the
standings s that fit best are taken, the least squares of s_i - s_j against 1, 0 and -1 (HodgeRank; Jiang, Lim, Yao and Ye,
2011); with all pairs compared that is the same share.

**Overlap:** a judge sees one role and cannot notice a template; `judges/overlap.py` measures it. Overlap above `overlap_free`
takes up to `overlap_penalty` of the reward away. Only earlier steps count, so shaping never waits for other groups;
evaluation reports the same overlap, outside the composite.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recruiter.config import ListedJudgeConfig, RewardConfig
from recruiter.judges.overlap import OverlapWindow
from recruiter.roles import Role
from recruiter.rubric import Judgement

LARGEST_Z, SMALLEST_DEVIATION = 2.5, 0.05
MIDDLE, UNIT = 0.5, 0.15  # the reward at z = 0, and what one standard deviation is worth
ALONE = "the only sample of its group with a score"


@dataclass(frozen=True)
class Reward:
    """What training makes of one judged question.

    Attributes:
        judgement: the judge's, untouched.
        overlap: share of its masked trigrams that stand in the most similar earlier question of another role.
        value: the shaped reward in [0, 1]; None if it has none.
        given: what the judges give, in [0, 1], before shaping; None: composite / 10.
    """

    judgement: Judgement
    overlap: float
    value: float | None
    given: float | None = None

    @property
    def penalty(self) -> float:
        """What shaping took away."""
        given = self.judgement.reward if self.given is None else self.given
        return 0.0 if self.value is None else (given or 0.0) - self.value

    @property
    def missing(self) -> str | None:
        """Why it has no value, if so."""
        return None if self.value is not None else self.judgement.unscored_reason or ALONE


def group_rewards(judgements_G: Sequence[Judgement], judges: Sequence[ListedJudgeConfig] = ()) -> list[float | None]:
    """What the judges give each sample of one group, in [0, 1]; None: no reward.

    Args:
        judges: several judges and their jobs; none: the judgements are of one judge.
    """
    said = {name for judgement in judgements_G for name in judgement.parts}  # nothing, of a group that people rated
    rewarding = [entry for entry in judges if entry.does == "reward" and entry.title in said]
    if len(rewarding) < 2:
        return [level(judgement, judges) for judgement in judgements_G]
    scored = [judgement for judgement in judgements_G if judgement.scores is not None]
    if len(scored) < 2:
        return [None] * len(judgements_G)
    sums = [0.0] * len(scored)
    for entry in rewarding:
        for index, z in enumerate(_standardised([judgement.parts[entry.title] for judgement in scored])):
            sums[index] += entry.weight * z
    scale = UNIT / math.sqrt(sum(entry.weight**2 for entry in rewarding))
    rewards = iter(min(1.0, max(0.0, MIDDLE + scale * z)) for z in sums)
    return [
        None if judgement.scores is None else next(rewards) * _kept(judgement, judges) for judgement in judgements_G
    ]


def order_rewards(count: int, comparisons: Iterable[tuple[int, int, float]]) -> list[float]:
    """Rewards in [0, 1] of `count` questions of one group that people compared.

    Args:
        comparisons: two questions and 1 if the first was preferred, -1 if the second, 0 if neither; of several people all
            together.
    """
    rows = list(comparisons)
    if count < 2 or not rows:
        return [MIDDLE] * count
    design, said = np.zeros((len(rows), count)), np.array([preferred for *_, preferred in rows], dtype=float)
    for row, (first, second, _) in enumerate(rows):
        design[row, first], design[row, second] = 1.0, -1.0
    standings = np.linalg.lstsq(design, said, rcond=None)[0] * count / (count - 1)
    return [round(float(np.clip((1 + standing) / 2, 0.0, 1.0)), 9) for standing in standings]


def level(judgement: Judgement, judges: Sequence[ListedJudgeConfig] = ()) -> float | None:
    """What a question earns by itself, whatever its group: composite / 10 times what gates keep; None if unscored."""
    return None if judgement.reward is None else judgement.reward * _kept(judgement, judges)


def shape(
    settings: RewardConfig,
    window: OverlapWindow,
    role: Role,
    questions_G: Sequence[str],
    judgements_G: Sequence[Judgement],
    judges: Sequence[ListedJudgeConfig] = (),
) -> list[Reward]:
    """Rewards of one group: what the judges give, less a share that grows with the overlap beyond what is free."""
    rewards = []
    for question, judgement, given in zip(questions_G, judgements_G, group_rewards(judgements_G, judges), strict=True):
        overlap = window.overlap(role, question)
        excess = max(0.0, overlap - settings.overlap_free) / max(1.0 - settings.overlap_free, 1e-9)
        value = None if given is None else given * (1.0 - settings.overlap_penalty * excess)
        rewards.append(Reward(judgement, overlap, value, given))
    return rewards


def _standardised(judgements: Sequence[Judgement]) -> list[float]:
    """How many standard deviations each composite is from the mean, at most `LARGEST_Z`."""
    composites = [judgement.scores.composite for judgement in judgements if judgement.scores is not None]
    mean, deviation = statistics.fmean(composites), max(SMALLEST_DEVIATION, statistics.stdev(composites))
    return [min(LARGEST_Z, max(-LARGEST_Z, (composite - mean) / deviation)) for composite in composites]


def _kept(judgement: Judgement, judges: Sequence[ListedJudgeConfig]) -> float:
    return judgement.kept if any(entry.does == "gate" for entry in judges) else 1.0
