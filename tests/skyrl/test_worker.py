"""Checkpoints of a sharded policy: FSDP on two ranks of this machine, continued on one, and the other way round."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForCausalLM

from recruiter.errors import ModelError
from recruiter.skyrl.worker import load_policy, save_policy
from tests.engines.conftest import tiny_tokenizer


class Policy:
    """A tiny model with an adapter, sharded over the ranks as SkyRL shards it."""

    def __init__(self, folder: Path, rank: int = 4, seed: int = 0) -> None:
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        settings = LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM")
        self.model = get_peft_model(base, settings)
        mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
        for layer in self.model.base_model.model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(self.model, mesh=mesh)
        self.optimizer = AdamW(self.model.parameters(), lr=0.01)
        self.scheduler = LambdaLR(self.optimizer, lambda step: 1.0 / (1 + step))

    def steps(self, count: int) -> None:
        for _ in range(count):
            tokens = torch.arange(12).reshape(2, 6) + self.scheduler.last_epoch
            self.model(input_ids=tokens, labels=tokens).loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            self.optimizer.zero_grad()

    def save(self, folder: Path) -> None:
        save_policy(self.model, self.optimizer, self.scheduler, folder, tiny_tokenizer())

    def load(self, folder: Path) -> None:
        load_policy(self.model, self.optimizer, self.scheduler, folder)

    def adapter(self) -> dict[str, torch.Tensor]:
        named = [(name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        return {n: (p.full_tensor() if isinstance(p, DTensor) else p).detach().clone() for n, p in named}


def on_ranks(rank: int, world: int, action: str, store: str, model: Path, run: Path) -> None:
    """What each process of a group does."""
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    policy = Policy(model, seed=rank)  # FSDP takes the weights of the first rank only where told to
    for parameter in policy.model.parameters():
        local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        assert local.numel() <= parameter.numel()
    if action == "train":
        policy.steps(2)
        policy.save(run / "two")
        policy.steps(2)
    else:
        policy.load(run / "two")
        policy.steps(2)
    policy.save(run / f"four-{action}-{world}")
    distributed.destroy_process_group()


def spawn(world: int, action: str, model: Path, run: Path) -> dict[str, torch.Tensor]:
    store = run / f"store-{action}-{world}"
    torch.multiprocessing.spawn(on_ranks, (world, action, str(store), model, run), nprocs=world)
    return load_file(run / f"four-{action}-{world}/lora_adapter/adapter_model.safetensors")


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_continues_on_another_number_of_gpus(before: int, after: int, tiny: Path, tmp_path: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    whole = spawn(before, "train", tiny, tmp_path)
    continued = spawn(after, "continue", tiny, tmp_path)
    assert whole.keys() == continued.keys()
    for name in whole:
        torch.testing.assert_close(continued[name], whole[name], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("process_group")
def test_the_adapter_is_one_that_peft_loads(tiny: Path, tmp_path: Path) -> None:
    policy = Policy(tiny)
    policy.steps(2)
    policy.save(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(base, tmp_path / "lora_adapter")
    mine = policy.adapter()
    theirs = {name: p for name, p in loaded.named_parameters() if "lora_" in name}
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 2_000_000


@pytest.mark.usefixtures("process_group")
def test_what_does_not_fit_is_one_sentence(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no adapter"):
        Policy(tiny).load(tmp_path)
    Policy(tiny, rank=8).save(tmp_path)
    with pytest.raises(ModelError, match="does not fit this model and LoRA rank"):
        Policy(tiny, rank=4).load(tmp_path)
    torch.save({"optimizer": {}, "updates": 3}, tmp_path / "optimizer.pt")
    with pytest.raises(ModelError, match="engine=local continues it"):
        Policy(tiny, rank=8).load(tmp_path)
