"""What SkyRL's generator and workers return, in this project's words."""

from __future__ import annotations

from skyrl.train.generators.base import GeneratorInput, GeneratorOutput

from recruiter.engines import Sample, TokenSums
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.rollout import Rollout


def collect_rollouts(batch: GeneratorInput, output: GeneratorOutput, group_size: int) -> list[Rollout]:
    """The groups of a generated batch, judged, each with its answers in order."""
    logprobs = output["rollout_logprobs"] or [[] for _ in output["response_ids"]]
    rollouts: list[Rollout] = []
    for start in range(0, len(output["response_ids"]), group_size):
        rows = range(start, start + group_size)
        episodes = [output["env_metrics"][row] for row in rows]
        samples = [
            Sample(
                text=episode["question"],
                token_ids=output["response_ids"][row],
                logprobs=logprobs[row],
                finished=output["stop_reasons"][row] == "stop",
            )
            for row, episode in zip(rows, episodes, strict=True)
        ]
        judgements: list[Judgement] = [episode["judgement"] for episode in episodes]
        role = Role.model_validate_json(batch["env_extras"][start]["extra_info"]["role"])
        rollouts.append(Rollout(role, batch["prompts"][start], samples, judgements=judgements))
    return rollouts


def token_sums(metrics: dict[str, float], tokens: int, kl_weight: float) -> TokenSums:
    """Sums over an update's tokens from what SkyRL's workers report: a mean loss, and means over passes."""
    return TokenSums(
        tokens=tokens,
        loss=metrics["policy_loss"] * tokens,
        kl=metrics.get("policy_kl", 0.0) * kl_weight * tokens,
        entropy=metrics["policy_entropy"] * tokens,
        clipped=metrics["loss_metrics/clip_ratio"] * tokens,
        ratio=metrics.get("loss_metrics/rollout_ratio_sum_loss", 0.0),
        max_ratios=[metrics.get("loss_metrics/rollout_ratio_max", 0.0)],
        has_kl="policy_kl" in metrics,
    )
