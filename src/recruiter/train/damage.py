"""Whether a checkpoint can be continued from, found out before anything is loaded or spent."""

from __future__ import annotations

import zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from recruiter.engines import OPTIMIZER, WEIGHTS
from recruiter.errors import ModelError
from recruiter.files import short_path
from recruiter.train.layout import Checkpoint


def check_whole(checkpoint: Checkpoint, is_named: bool) -> None:
    """Refuse a damaged checkpoint, and offer the last whole one before it.

    Args:
        is_named: whether the user named this one (`trainer.resume_path`) rather than the latest.

    Raises:
        ModelError: its files are missing, cut off, not to be read, or hold numbers that are not finite.
    """
    reason = _damage(checkpoint)
    if reason is None:
        return
    run, step = checkpoint.run, checkpoint.step
    earlier = [run.checkpoint(other) for other in reversed(run.steps) if step is not None and other < step]
    whole = next((other for other in earlier if _damage(other) is None), None)
    if whole is None:
        offer = "no checkpoint before it is whole: choose another trainer.ckpt_path to start from the beginning"
    elif is_named:
        offer = f"continue from the whole one before it with trainer.resume_path={short_path(whole.path)}"
    else:
        damaged = [name for name in run.steps if whole.step is not None and name > whole.step]
        names = ", ".join(f"global_step_{name}" for name in damaged)
        offer = f"delete {names} there, and the same command continues from {whole.path.name}, which is whole"
    raise ModelError(f"{short_path(checkpoint.path)} is no whole checkpoint ({reason}); {offer}.")


def _damage(checkpoint: Checkpoint) -> str | None:
    """What is wrong with a checkpoint's files; None if nothing is."""
    weights, optimizer = checkpoint.adapter / WEIGHTS, checkpoint.policy / OPTIMIZER
    try:
        checkpoint.read_state()
        for file in (weights, optimizer):
            file.open("rb").close()
        if not zipfile.is_zipfile(optimizer):
            return f"{optimizer.name} is cut off"
        adapter = load_file(str(weights))
    except OSError as error:
        return f"{error.filename and error.filename.rsplit('/', 1)[-1]}: {error.strerror}"
    except ModelError:
        return f"{checkpoint.trainer_state.name} is missing or damaged"
    except SafetensorError:
        return f"{weights.name} is cut off"
    bad = next((name for name, tensor in adapter.items() if not torch.isfinite(tensor).all()), None)
    return bad and f"{bad} in {weights.name} holds NaN or infinite values"
