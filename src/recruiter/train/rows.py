"""What a run writes, as types: lines of `metrics.jsonl` and `rollouts.jsonl`, `run.json`, and `trainer_state.json`."""

from __future__ import annotations

import math
from typing import Any, NotRequired, TypedDict, cast


def deciding_judges(judge: str | None) -> list[str]:
    """The names of the judges that had a say in a run's reward, from the one that `run.json` keeps."""
    return judge.split(" + ") if judge else []


class MetricsRow(TypedDict):
    """The figures of one step; means over nothing are None, never 0. Criteria stand beside them under their own names.

    Attributes:
        reward_std: mean over the groups of the standard deviation within a group.
        composite: mean of the judge's scores, 0 to 10; `reward_mean` is after shaping, 0 to 1.
        unscored_reasons: how many samples have no score, by reason.
        length_mean, length_max: answer tokens.
        cut_off: samples that did not end by themselves.
        loss, kl, entropy, clipped, rollout_ratio_mean: means over the tokens that were trained on.
        updates: of the policy; `updates_skipped` had a gradient that is not finite, and changed nothing.
        seconds_waiting: for people. All times are in seconds.
        reward_level: with several judges, the mean composite / 10 times what gates keep, which steps can be compared by.
        kept: mean share of the reward that gating judges leave. `watch_<name>` stands beside it: a watching judge's mean
            composite; `watch_<name>_unscored` counts its failures, `validation_watch_<name>` is its mean at validation.
        sense: mean log-probability a token of the step's questions under the untrained model, in nats: of all that were
            trained on with KL, else of some.
        alarm: what `recruiter.train.alarm` says, while it says it.
        judge_calls: and the other `judge_…` figures: what a judge that calls a model took since the step before.
    """

    step: int
    reward_mean: float | None
    reward_std: float | None
    composite: float | None
    overlap: float | None
    penalty: float | None
    samples: int
    unscored: int
    unscored_reasons: dict[str, int]
    groups: int
    groups_without_spread: int
    length_mean: float | None
    length_max: int
    cut_off: int
    trained_tokens: int
    loss: float | None
    kl: float | None
    entropy: float | None
    clipped: float | None
    rollout_ratio_mean: float | None
    rollout_ratio_max: float | None
    updates: int
    updates_skipped: NotRequired[int]
    grad_norm: float | None
    learning_rate: float | None
    seconds: NotRequired[float]
    seconds_sampling: NotRequired[float]
    seconds_logprobs: NotRequired[float]
    seconds_training: NotRequired[float]
    seconds_saving: NotRequired[float]
    seconds_sync: NotRequired[float]
    seconds_waiting: NotRequired[float]
    stale_groups: NotRequired[int]
    validation_reward: NotRequired[float | None]
    reward_level: NotRequired[float | None]
    kept: NotRequired[float | None]
    sense: NotRequired[float | None]
    alarm: NotRequired[str]
    judge_calls: NotRequired[int]
    judge_hit_rate: NotRequired[float | None]
    judge_latency_p95: NotRequired[float | None]
    judge_errors: NotRequired[dict[str, int]]
    judge_cost_usd_total: NotRequired[float | None]


def finite(metrics: MetricsRow) -> MetricsRow:
    """The same figures, None in place of those that JSON has no number for."""
    figures = metrics.items()
    return cast(MetricsRow, {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures})


class RolloutRow(TypedDict):
    """One sampled question and what was made of it.

    Attributes:
        sample: its number in its group.
        tokens: length of the answer.
        scores: by criterion, or the one figure that the judge measures (`win_share`, `discrimination`); None if unscored.
        overlap: share of its wording found in an earlier question for another role.
        reward: after shaping; None if unscored.
        judges: of several judges each one's composite, or why it gave none.
        sampled_in: the earlier step that sampled it, if it is stale.
    """

    step: int
    role_id: str
    sample: int
    question: str
    tokens: int
    finished: bool
    scores: dict[str, float] | None
    reasoning: str
    unscored_reason: str | None
    overlap: float
    reward: float | None
    judges: NotRequired[dict[str, float | str]]
    sampled_in: NotRequired[int]


class RunDescription(TypedDict):
    """What made a run.

    Attributes:
        id: what feedback servers know it by; it stays when the run is continued.
        config: every setting, resolved.
        judge_notes: in which way the judge's calls differ from what was asked for, such as a retired model's successor.
        rubric: what the judge scores by, as `rubric.Rubric`; runs of earlier versions lack it.
        data_hash: of the training split, as `roles.dataset.roles_hash`; earlier versions do not say it.
        dtype: what the model computes in, decided at the start; None where the engine decides.
        revision: of the code, from git; None outside a clone.
    """

    id: str
    config: dict[str, Any]
    judge: str
    judge_version: str
    judge_notes: NotRequired[list[str]]
    prompt_hash: str
    rubric_hash: str
    rubric: NotRequired[dict[str, Any]]
    data_hash: NotRequired[str | None]
    dtype: NotRequired[str | None]
    version: str
    revision: str | None


class StoredState(TypedDict):
    """How far a run was when a checkpoint was taken: see `recruiter.train.state.RunState`."""

    step: int
    unlogged: MetricsRow | None
    best: float | None
    since_best: int
    strained: int
    window: list[tuple[str, list[tuple[str, str, str]]]]
