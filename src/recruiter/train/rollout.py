"""A rollout: one role's group on its way through a step, and what is recorded of it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from recruiter.config import ListedJudgeConfig, RewardConfig
from recruiter.engines import Sample, TokenSums, TrainGroup, UpdateResult
from recruiter.judges.overlap import OverlapWindow
from recruiter.prompts import Message
from recruiter.reward import Reward, level, shape
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.rows import MetricsRow, RolloutRow, finite

if TYPE_CHECKING:
    from torch import Tensor

ZERO_SPREAD = 1e-6


@dataclass(eq=False)
class Rollout:
    """One role's group on its way through a step.

    Attributes:
        sampled_in: the earlier step whose policy sampled it, if it is stale; None: the step it goes through.
        is_late: whether it belongs to that step, in whose figures it was counted.
        judgements: one for each sample, as soon as they are there; likewise `rewards`.
        group: what of it is trained on, if it teaches anything.
    """

    role: Role
    messages: list[Message]
    samples: list[Sample]
    sampled_in: int | None = None
    is_late: bool = False
    judgements: list[Judgement] = field(default_factory=list)
    rewards: list[Reward] = field(default_factory=list)
    group: TrainGroup | None = None

    @property
    def values(self) -> list[float]:
        """Shaped rewards of the scored samples."""
        return [reward.value for reward in self.rewards if reward.value is not None]

    def shape_rewards(
        self, settings: RewardConfig, window: OverlapWindow, judges: Sequence[ListedJudgeConfig] = ()
    ) -> None:
        """Turn the judgements into rewards; `judges` are several and their jobs."""
        texts = [sample.text for sample in self.samples]
        self.rewards = shape(settings, window, self.role, texts, self.judgements, judges)

    @property
    def has_spread(self) -> bool:
        """Whether the group teaches anything: two scored samples with different rewards."""
        return len(self.values) >= 2 and max(self.values) - min(self.values) > ZERO_SPREAD

    def train_group(self, advantages_G: Sequence[float | None]) -> TrainGroup | None:
        """The scored samples with their advantages; stale ones are compared with the policy that sampled them."""
        scored = [(s, a) for s, a in zip(self.samples, advantages_G, strict=True) if a is not None]
        if not scored:
            return None
        samples = [sample for sample, _ in scored]
        old_logprobs = None if self.sampled_in is None else [sample.logprobs for sample in samples]
        return TrainGroup(self.messages, samples, [advantage for _, advantage in scored], old_logprobs)


def step_metrics(
    step: int,
    rollouts: Sequence[Rollout],
    sums: TokenSums,
    updates: Sequence[UpdateResult],
    criteria: Sequence[str],
    others: Mapping[str, float | None] = MappingProxyType({}),
) -> MetricsRow:
    """The figures of one step. Means over nothing are None, never 0; likewise what is not finite.

    Args:
        criteria: names of the rubric's criteria, whose mean scores are among them.
        others: further figures, such as times.
    """
    samples = [sample for rollout in rollouts for sample in rollout.samples]
    rewards = [reward for rollout in rollouts for reward in rollout.rewards]
    scored = [reward for reward in rewards if reward.value is not None]
    scores = [reward.judgement.scores for reward in scored if reward.judgement.scores is not None]
    spreads = [statistics.stdev(values) for rollout in rollouts if len(values := rollout.values) >= 2]
    reasons = Counter(reward.missing for reward in rewards if reward.missing)
    applied = [update for update in updates if update.was_applied]
    figures = {
        "step": step,
        "reward_mean": mean([reward.value for reward in scored]),
        "reward_std": mean(spreads),
        "composite": mean([score.composite for score in scores]),
        **{name: mean([score.values.get(name) for score in scores]) for name in criteria},
        "overlap": mean([reward.overlap for reward in rewards]),
        "penalty": mean([reward.penalty for reward in scored]),
        "samples": len(samples),
        "unscored": len(rewards) - len(scored),
        "unscored_reasons": dict(reasons),
        "groups": len(rollouts),
        "groups_without_spread": sum(not rollout.has_spread for rollout in rollouts),
        "length_mean": mean([len(sample.token_ids) for sample in samples]),
        "length_max": max(len(sample.token_ids) for sample in samples),
        "cut_off": sum(not sample.finished for sample in samples),
        "trained_tokens": sums.tokens,
        "loss": per_token(sums.loss, sums),
        "kl": per_token(sums.kl, sums) if sums.has_kl else None,
        "entropy": per_token(sums.entropy, sums),
        "clipped": per_token(sums.clipped, sums),
        "rollout_ratio_mean": per_token(sums.ratio, sums),
        "rollout_ratio_max": max(map(float, sums.max_ratios), default=None),
        "updates": len(applied),
        "grad_norm": mean([update.grad_norm for update in applied]),
        "learning_rate": applied[-1].learning_rate if applied else None,
        **others,
    }
    if len(applied) < len(updates):
        figures["updates_skipped"] = len(updates) - len(applied)
    return finite(cast(MetricsRow, figures))  # the criteria's names are data


def judge_figures(rollouts: Sequence[Rollout], judges: Sequence[ListedJudgeConfig]) -> dict[str, float | None]:
    """What several judges say of a step: the level of the reward, what gates keep, and each watching judge's mean."""
    if not judges:
        return {}
    judgements = [judgement for rollout in rollouts for judgement in rollout.judgements]
    scored = [judgement for judgement in judgements if judgement.scores is not None]
    figures = {"reward_level": mean([level(judgement, judges) for judgement in scored])}
    if any(entry.does == "gate" for entry in judges):
        figures["kept"] = mean([judgement.kept for judgement in scored])
    for name, given in watched(judgements, judges).items():
        parts = [judgement.parts[name] for judgement in judgements if name in judgement.parts]
        figures |= {f"watch_{name}": given, f"watch_{name}_unscored": sum(part.scores is None for part in parts)}
    return figures


def watched(judgements: Sequence[Judgement], judges: Sequence[ListedJudgeConfig]) -> dict[str, float | None]:
    """The mean composite that each watching judge gives what it saw, by its name."""
    names = [entry.title for entry in judges if entry.does == "watch"]
    parts = {name: [part for judgement in judgements if (part := judgement.parts.get(name))] for name in names}
    return {name: mean([part.scores.composite for part in seen if part.scores]) for name, seen in parts.items()}


def rollout_rows(step: int, rollouts: Sequence[Rollout]) -> list[RolloutRow]:
    """One line for each sampled question: what was asked for whom, and what came of it."""
    rows: list[RolloutRow] = []
    for rollout in rollouts:
        for index, (sample, reward) in enumerate(zip(rollout.samples, rollout.rewards, strict=True)):
            judgement = reward.judgement
            row = RolloutRow(
                step=step,
                role_id=rollout.role.id,
                sample=index,
                question=sample.text,
                tokens=len(sample.token_ids),
                finished=sample.finished,
                scores=dict(judgement.scores.values) if judgement.scores else None,
                reasoning=judgement.reasoning,
                unscored_reason=reward.missing,
                overlap=round(reward.overlap, 4),
                reward=reward.value,
            )
            if judgement.parts:
                row["judges"] = {name: _compact(part) for name, part in judgement.parts.items()}
            if rollout.sampled_in is not None:
                row["sampled_in"] = rollout.sampled_in
            rows.append(row)
    return rows


def _compact(part: Judgement) -> float | str:
    """One judge's composite, or why there is none."""
    return round(part.scores.composite, 2) if part.scores else part.unscored_reason or ""


def mean(values: Sequence[float | None]) -> float | None:
    """Of the numbers among them; None of none."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def per_token(total: float | Tensor, sums: TokenSums) -> float | None:
    """`total` over the tokens that were trained on; None where there were none."""
    return float(total) / sums.tokens if sums.tokens else None
