"""GRPO on one page: what `recruiter.train` does, without what makes it fast and safe to interrupt.

    python scripts/prepare_dataset.py
    python scripts/download_model.py --starter
    python examples/loop.py [key=value …]          settings as in configs/quickstart_config.yaml

Each step samples a group of questions for each of a few roles and has them judged. What counts is how a question did
compared with its group: the policy moves towards the better ones and away from the others.

`recruiter.train.grpo` is the same with these things added: groups are trained on while others are still at the judge or
being written, a step may take several updates, people may be the judge, and a run is validated, logged, checkpointed and
continued. With the same settings both give the same parameters, to the last bit; `tests/test_examples.py` compares them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from recruiter.cli.command import command
from recruiter.config import Config
from recruiter.config.loading import load_config
from recruiter.config.paths import WORKSPACE
from recruiter.engines import ADAPTER, Policy, TrainGroup
from recruiter.engines.local import LocalPolicy
from recruiter.files import short_path
from recruiter.judges import Judge
from recruiter.judges.making import training_judge
from recruiter.judges.overlap import OverlapWindow
from recruiter.objective import group_advantages
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.roles.dataset import format_prompts, load_split
from recruiter.roles.schedule import sampling_seed, step_roles, total_steps, validation_slice
from recruiter.train.passes import batched, divide
from recruiter.train.rollout import Rollout


def train(config: Config, policy: Policy, judge: Judge, roles: Sequence[Role]) -> None:
    """Train the policy in place, one optimizer update a step."""
    algorithm, generator = config.trainer.algorithm, config.generator
    judge.attach(policy)  # a judge may compute with the model that is trained
    window = OverlapWindow(config.reward.overlap_window)  # the latest questions: a template for all roles earns less
    for step in range(1, total_steps(config, len(roles)) + 1):
        # Sample a group of G questions for each role.
        batch = step_roles(config, roles, step)
        prompts = [generator_messages(role) for role in batch]
        seed = sampling_seed(config.trainer.seed, step)
        sampled = policy.sample(prompts, generator.n_samples_per_prompt, generator.sampling_params, seed)
        rollouts = [Rollout(*group) for group in zip(batch, prompts, sampled, strict=True)]

        # Judge them: each question gets scores, or a reason why it has none.
        asyncio.run(judge_all(judge.in_step(step), rollouts))

        groups: list[TrainGroup] = []
        for rollout in rollouts:
            # Reward: the composite score, less what the question shares with earlier questions for other roles.
            rollout.shape_rewards(config.reward, window, config.judges)
            rewards_G = [reward.value for reward in rollout.rewards]

            # Advantage: how far each reward is from the group's mean. Without a score there is none.
            advantages_G = group_advantages(rewards_G, algorithm.grpo_norm_by_std)
            group = rollout.train_group(advantages_G)
            if group is not None and (rollout.has_spread or not algorithm.zero_variance_filter):
                groups.append(group)

        # Update: gradients add up over all answer tokens of the step, and the optimizer moves once.
        tokens = 0
        for some in batched(groups, divide(config, policy, prompts).groups_per_pass):
            tokens += policy.forward_backward(some).tokens
        if tokens:
            policy.optim_step(tokens)

        for rollout in rollouts:
            window.remember(rollout.role, [sample.text for sample in rollout.samples])
        report(step, rollouts)


async def judge_all(judge: Judge, rollouts: Sequence[Rollout]) -> None:
    """Have all groups judged at the same time."""
    groups = [(rollout.role, [sample.text for sample in rollout.samples]) for rollout in rollouts]
    judged = asyncio.gather(*(judge.score(*group) for group in groups))
    await asyncio.to_thread(judge.read, groups)  # judges that compute with the policy do it now
    for rollout, judgements in zip(rollouts, await judged, strict=True):
        rollout.judgements = judgements
    await judge.close()


def report(step: int, rollouts: Sequence[Rollout]) -> None:
    """Print the mean reward of a step and its best question."""
    scored = [
        (reward.value, sample.text)
        for rollout in rollouts
        for reward, sample in zip(rollout.rewards, rollout.samples, strict=True)
        if reward.value is not None
    ]
    if not scored:
        print(f"step {step}: no question has a score")
        return
    value, question = max(scored)
    mean = sum(value for value, _ in scored) / len(scored)
    print(f"step {step}: mean reward {mean:.3f}, the best with {value:.3f}: {question}")


@command
def main() -> None:
    """Train with the settings of the quickstart and store the adapter."""
    config = load_config("quickstart_config", sys.argv[1:])
    raw, processed = WORKSPACE / config.data.raw_dir, WORKSPACE / config.data.processed_dir
    format_prompts(raw, processed)
    roles, _ = validation_slice(load_split(processed, "train"), config.data.val_size, config.trainer.seed)
    policy = LocalPolicy(config)
    train(config, policy, training_judge(config), roles)
    folder = WORKSPACE / "checkpoints/loop"
    policy.snapshot()(folder)
    print(f"Try it: python scripts/generate.py --model {short_path(folder / ADAPTER)}")


if __name__ == "__main__":
    main()
