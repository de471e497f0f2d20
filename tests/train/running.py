"""How tests of training run a trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recruiter.train.grpo import Trainer
from recruiter.train.layout import Checkpoint

Train = Callable[..., tuple[Any, list[dict[str, Any]], Path]]


def finish(trainer: Trainer, policy: Any, start: Checkpoint | None, raises: Any) -> None:
    """Train from `start`, or from the beginning, to the end; an error that is expected is kept as `policy.error`."""
    if start:
        trainer.resume(start)
    if raises is None:
        trainer.train()
    else:
        with pytest.raises(raises) as caught:
            trainer.train()
        policy.error = str(caught.value)
