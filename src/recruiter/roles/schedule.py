"""The schedule: which roles a step trains on and with which random numbers. A function of configuration, roles and step alone,
so that a resumed run agrees.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from recruiter.config import Config
from recruiter.errors import ConfigError, DataError
from recruiter.roles import Role


def validation_slice(roles: Sequence[Role], size: int, seed: int) -> tuple[list[Role], list[Role]]:
    """Take `size` roles of the training split for validation, but no more than a third; return (the rest, the slice).

    Raises:
        DataError: nothing would be left to train on.
    """
    if size and len(roles) < 2:
        raise DataError(f"data.val_size={size} leaves nothing to train on: the training split has 1 role; write 0.")
    size = min(size, max(1, len(roles) // 3))
    chosen = set(random.Random(seed).sample(range(len(roles)), size))
    rest = [role for index, role in enumerate(roles) if index not in chosen]
    return rest, [roles[index] for index in sorted(chosen)]


def epoch_order(count: int, seed: int, epoch: int) -> list[int]:
    """The order of `count` roles in an epoch. A function of its arguments alone, so a resumed run agrees."""
    order = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order


def steps_per_epoch(config: Config, roles: int) -> int:
    """Steps in one pass over the roles; the last one may be smaller. SkyRL takes whole batches and leaves the rest out.

    Raises:
        ConfigError: SkyRL could make no batch.
    """
    batch = config.trainer.train_batch_size
    if config.engine != "skyrl":
        return math.ceil(roles / batch)
    if roles < batch:
        raise ConfigError(
            f"trainer.train_batch_size={batch} is more than the {roles} roles to train on; write {roles} or less."
        )
    return roles // batch


def total_steps(config: Config, roles: int) -> int:
    """Steps of the whole run."""
    steps = config.trainer.epochs * steps_per_epoch(config, roles)
    limit = config.trainer.max_training_steps
    return steps if limit is None else min(steps, limit)


def step_roles(config: Config, roles: Sequence[Role], step: int) -> list[Role]:
    """The roles of a step (counted from 1). Depends on the seed and the step only."""
    epoch, index = divmod(step - 1, steps_per_epoch(config, len(roles)))
    order = epoch_order(len(roles), config.trainer.seed, epoch)
    size = config.trainer.train_batch_size
    return [roles[i] for i in order[index * size : (index + 1) * size]]


def sampling_seed(seed: int, step: int) -> int:
    """Seed of a step's random numbers; step 0 is validation."""
    return seed * 1_000_003 + step
