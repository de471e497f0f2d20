from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from recruiter.engines.model import LocalModel
from recruiter.errors import ExportError, ModelError
from recruiter.export.adapter import LoraDelta, read_adapter
from tests.export.conftest import Train


def rewrite(trained: Any, change: Any) -> None:
    path = trained.adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_delta_by_hand() -> None:
    delta = LoraDelta(torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[3.0], [-1.0]]), 0.5, False, False)
    assert delta.dense((2, 3)).tolist() == [[1.5, 3.0, 0.0], [-0.5, -1.0, 0.0]]
    assert delta.fits((2, 3))
    assert not delta.fits((3, 2))
    embedding = LoraDelta(torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[3.0], [-1.0]]), 0.5, True, False)
    assert embedding.dense((3, 2)).tolist() == [[1.5, -0.5], [3.0, -1.0], [0.0, 0.0]]


def test_scaling(train: Train, edit_json: Callable[..., None]) -> None:
    trained = train(r=4, lora_alpha=8)
    name = "model.layers.0.mlp.up_proj.weight"
    assert read_adapter(trained.adapter).deltas[name].scaling == 2
    edit_json(trained.adapter / "adapter_config.json", use_rslora=True, alpha_pattern={"up_proj": 6})
    assert read_adapter(trained.adapter).deltas[name].scaling == 6 / math.sqrt(4)


def test_nothing_there(train: Train) -> None:
    trained = train()
    with pytest.raises(ExportError, match=r"There is no adapter at .*base: adapter_config\.json is missing"):
        read_adapter(trained.base)
    (trained.adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ExportError, match=r"There is no adapter at .*: adapter_model\.safetensors is missing"):
        read_adapter(trained.adapter)


def test_damaged_files(train: Train) -> None:
    trained = train()
    weights = trained.adapter / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(ExportError, match=r"is damaged \(SafetensorError"):
        read_adapter(trained.adapter)
    weights.write_bytes(whole)
    (trained.adapter / "adapter_config.json").write_text("{")
    with pytest.raises(ExportError, match=r"is damaged \(JSONDecodeError"):
        read_adapter(trained.adapter)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"use_dora": True}, "of the kind DoRA"), ({"peft_type": "IA3"}, "of the kind IA3; only LoRA"),
     ({"base_model_name_or_path": ""}, "does not say which model .* name it with --base"),
     ({"r": 5}, "has rank 4 and 4 in its weights, 5 in")],
)  # fmt: skip
def test_settings_that_cannot_be_merged(
    train: Train, edit_json: Callable[..., None], changes: dict[str, Any], sentence: str
) -> None:
    trained = train()
    edit_json(trained.adapter / "adapter_config.json", **changes)
    with pytest.raises(ExportError, match=sentence):
        read_adapter(trained.adapter)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa, which changes the base"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights=pissa_niter_4"),
        ({"init_lora_weights": "olora"}, "init_lora_weights=olora"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights=loftq"),
        ({"alora_invocation_tokens": [4, 5]}, "alora_invocation_tokens"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"lora_bias": True}, "lora_bias=True"),
        ({"use_qalora": True}, "use_qalora=True"),
        ({"target_parameters": ["mlp.gate_proj.weight"]}, "target_parameters"),
        ({"of_the_future": {"a": 1}}, "of_the_future"),
    ],
)
def test_settings_that_make_it_no_plain_lora_are_refused_everywhere(
    train: Train, edit_json: Callable[..., None], changes: dict[str, Any], named: str
) -> None:
    trained = train()
    edit_json(trained.adapter / "adapter_config.json", **changes)
    with pytest.raises(ExportError, match=named):
        read_adapter(trained.adapter)
    with pytest.raises(ModelError, match=named):
        LocalModel(str(trained.base), adapter=trained.adapter)


@pytest.mark.parametrize(
    "changes",
    [{"init_lora_weights": "gaussian"}, {"of_the_future": None}, {"of_the_future": False}, {"peft_version": "9.9"},
     {"alora_invocation_tokens": None}, {"loftq_config": {}}],
)  # fmt: skip
def test_settings_that_change_nothing_are_taken(
    train: Train, edit_json: Callable[..., None], changes: dict[str, Any]
) -> None:
    trained = train()
    edit_json(trained.adapter / "adapter_config.json", **changes)
    assert read_adapter(trained.adapter).deltas


def test_weights_that_cannot_be_merged(train: Train) -> None:
    name = "base_model.model.model.layers.0.mlp.up_proj.lora_{}.weight"
    trained = train()
    rewrite(trained, lambda tensors: tensors.update({name.format("C"): torch.ones(2)}))
    with pytest.raises(ExportError, match=r"lora_C\.weight, which cannot be merged"):
        read_adapter(trained.adapter)
    trained = train()
    rewrite(trained, lambda tensors: tensors.pop(name.format("A")))
    with pytest.raises(ExportError, match=r"lora_A and lora_B of \S+ are no pair"):
        read_adapter(trained.adapter)
    trained = train()
    rewrite(trained, lambda tensors: tensors[name.format("B")].fill_(math.nan))
    with pytest.raises(ExportError, match=r"NaN or infinite values in \S+lora_B\.weight: training diverged"):
        read_adapter(trained.adapter)
    trained = train()
    rewrite(trained, lambda tensors: [t.zero_() for key, t in tensors.items() if "lora_B" in key])
    with pytest.raises(ExportError, match="changes nothing: it was saved before its first update"):
        read_adapter(trained.adapter)
    save_file({}, trained.adapter / "adapter_model.safetensors")
    with pytest.raises(ExportError, match="holds no weights"):
        read_adapter(trained.adapter)


def test_folder_without_a_list_of_patterns(train: Train, edit_json: Callable[..., None]) -> None:
    trained = train()
    edit_json(trained.adapter / "adapter_config.json", rank_pattern=None, alpha_pattern=None, use_rslora=None)
    assert json.loads((trained.adapter / "adapter_config.json").read_text())["r"] == 4
    assert read_adapter(trained.adapter).base == str(trained.base)
