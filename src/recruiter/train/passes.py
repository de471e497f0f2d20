"""How the groups of a step are divided into optimizer updates and into passes through the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from recruiter.config import Config
from recruiter.engines import Policy
from recruiter.prompts import Message

T = TypeVar("T")


@dataclass(frozen=True)
class Passes:
    """The division of a step.

    Attributes:
        groups_per_update: as many as configured, at most the whole step.
        groups_per_pass: as many as the policy takes, but no small remainder: passes of one update are of equal size.
        is_one_update: whether the step ends in one optimizer update, so that nothing has to wait for all groups.
    """

    groups_per_update: int
    groups_per_pass: int
    is_one_update: bool


def divide(config: Config, policy: Policy, prompts: Sequence[list[Message]]) -> Passes:
    """The division of a step over the groups that answer these prompts."""
    trainer = config.trainer
    per_update = min(trainer.policy_mini_batch_size or len(prompts), len(prompts))
    most = policy.groups_per_pass(prompts, config.generator.n_samples_per_prompt)
    per_pass = math.ceil(per_update / math.ceil(per_update / most))
    return Passes(per_update, per_pass, per_update == len(prompts) and trainer.update_epochs_per_batch == 1)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one perhaps shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
