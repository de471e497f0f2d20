"""Tiny base models with adapters as both engines leave them, and bases of odd shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.engines.conftest import tiny_model, tiny_tokenizer


@dataclass(frozen=True)
class Trained:
    """A base folder, an adapter folder below a run, and the run."""

    base: Path
    adapter: Path

    @property
    def run(self) -> Path:
        return self.adapter.parents[2]


Train = Callable[..., Trained]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Save a tiny base and a random adapter on it: `train("llama", {tie_word_embeddings: True}, r=4, …)`."""

    def make(kind: str = "qwen3", changes: dict[str, Any] | None = None, **lora: Any) -> Trained:
        base = tmp_path / "base"
        model = tiny_model(kind, **(changes or {}))
        model.save_pretrained(base)
        tiny_tokenizer().save_pretrained(base)
        settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **lora}
        peft = get_peft_model(model, LoraConfig(**settings))
        generator = torch.Generator().manual_seed(1)
        for name, parameter in peft.named_parameters():
            if "lora_" in name:
                parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
            elif parameter.requires_grad:
                parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        peft.peft_config["default"].base_model_name_or_path = str(base)
        adapter = tmp_path / "run/global_step_3/policy/lora_adapter"
        peft.save_pretrained(str(adapter))
        return Trained(base, adapter)

    return make


@pytest.fixture
def edit_json() -> Callable[..., None]:
    """Change keys of a JSON file; None removes one."""

    def edit(path: Path, **changes: Any) -> None:
        data = json.loads(path.read_text())
        for key, value in changes.items():
            data.pop(key, None) if value is None else data.update({key: value})
        path.write_text(json.dumps(data))

    return edit
