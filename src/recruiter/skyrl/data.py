"""The roles of each step, as SkyRL's training loop reads a data loader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from recruiter.config import Config
from recruiter.env import GroupKey
from recruiter.roles import Role
from recruiter.roles.dataset import prompt_row
from recruiter.roles.schedule import step_roles, steps_per_epoch


def prompt(role: Role, group: GroupKey, split: str = "train") -> dict[str, Any]:
    """One role as SkyRL takes it: messages, environment, and the rest of its row for the environment."""
    row = prompt_row(role, 0, split)
    messages, environment = row.pop("prompt"), row.pop("env_class")
    extras = {**row, "group": group}
    return {"prompt": messages, "env_class": environment, "env_extras": extras, "uid": group.name}


class StepLoader:
    """Iterates over the steps of one epoch, in the local engine's order, from the step after `step` on."""

    def __init__(self, config: Config, roles: Sequence[Role]) -> None:
        self.config, self.roles = config, roles
        self.step = 0

    def __len__(self) -> int:
        return steps_per_epoch(self.config, len(self.roles))

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        while True:
            self.step += 1
            size = self.config.generator.n_samples_per_prompt
            roles = step_roles(self.config, self.roles, self.step)
            yield [prompt(role, GroupKey(f"step-{self.step}/{role.id}", size, self.step)) for role in roles]
            if self.step % len(self) == 0:
                return
