"""The policy on a GPU: SkyRL's FSDP worker, with checkpoints of what training changes.

SkyRL writes the whole model on every rank, and can continue only on as many GPUs as before. Here a checkpoint is the
adapter in PEFT's format and the optimizer's state, whole: small enough to write after every step, and independent of the
number of GPUs. Every rank takes part in gathering; the first one writes.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import ray
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from skyrl.backends.skyrl_train.workers.fsdp.fsdp_worker import FSDPPolicyWorkerBase
from torch import distributed
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from recruiter.engines import ADAPTER, OPTIMIZER, WEIGHTS
from recruiter.errors import ModelError
from recruiter.files import share


def save_policy(model: PeftModel, optimizer: Optimizer, scheduler: LRScheduler, folder: Path, tokenizer: Any) -> None:
    """Write the adapter and the optimizer's state into `folder`. Called on every rank."""
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    weights = get_model_state_dict(model, options=whole)
    state = get_optimizer_state_dict(model, optimizer, options=whole)
    if distributed.get_rank() == 0:
        target = folder / ADAPTER
        target.mkdir(parents=True, exist_ok=True)
        adapter = get_peft_model_state_dict(model, state_dict=weights)
        save_file({name: tensor.contiguous() for name, tensor in adapter.items()}, str(target / WEIGHTS))
        share(target / WEIGHTS)
        settings = copy.copy(model.peft_config["default"])
        settings.inference_mode = True
        settings.save_pretrained(str(target))
        if tokenizer is not None:
            tokenizer.save_pretrained(str(target))
        torch.save({"optimizer": state, "scheduler": scheduler.state_dict()}, folder / OPTIMIZER)
    distributed.barrier()


def load_policy(model: PeftModel, optimizer: Optimizer, scheduler: LRScheduler, folder: Path) -> None:
    """Continue from a folder that `save_policy` wrote, on any number of GPUs. Called on every rank.

    Raises:
        ModelError: the folder holds something else, or an adapter of another shape.
    """
    path, adapter_path = folder / OPTIMIZER, folder / ADAPTER / WEIGHTS
    if not path.is_file() or not adapter_path.is_file():
        raise ModelError(f"{folder} holds no adapter with its optimizer; name a checkpoint of a run.")
    state = torch.load(path, map_location="cpu", weights_only=True)
    if "scheduler" not in state:
        raise ModelError(f"{folder} was written by the local engine; engine=local continues it.")
    adapter = load_file(str(adapter_path))
    shapes = {name: parameter.shape for name, parameter in model.named_parameters() if parameter.requires_grad}
    saved_as = {name: name.replace(".default.", ".") for name in shapes}  # PEFT leaves its own name out
    if any(key not in adapter or adapter[key].shape != shapes[name] for name, key in saved_as.items()):
        raise ModelError(
            f"The adapter at {folder} does not fit this model and LoRA rank; use those it was trained with."
        )
    whole = StateDictOptions(full_state_dict=True, strict=False)
    set_model_state_dict(model, {name: adapter[key] for name, key in saved_as.items()}, options=whole)
    set_optimizer_state_dict(model, optimizer, state["optimizer"], options=whole)
    scheduler.load_state_dict(state["scheduler"])
    distributed.barrier()


class AdapterWorker(FSDPPolicyWorkerBase):  # type: ignore[misc]
    """SkyRL's policy worker with these checkpoints."""

    def save_checkpoint(self, ckpt_dir: str, tokenizer: Any = None) -> None:
        """Write the adapter and the optimizer's state."""
        save_policy(self.model.model, self.optimizer, self.scheduler, Path(ckpt_dir), tokenizer)

    def load_checkpoint(self, ckpt_dir: str, **_: Any) -> None:
        """Continue from what `save_checkpoint` wrote."""
        load_policy(self.model.model, self.optimizer, self.scheduler, Path(ckpt_dir))


PolicyWorker = ray.remote(num_gpus=1)(AdapterWorker)
