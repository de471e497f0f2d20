"""The model that an adapter belongs to, as files: found, described without reading its weights, and refused if it is
incomplete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from recruiter.config.paths import is_hub_id, model_folder
from recruiter.deploy.hub import fetch_snapshot
from recruiter.errors import ExportError

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md", "LICENSE*", "NOTICE*")


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies and what it is like. `dtype` is safetensors' name of it, such as BF16."""

    file: Path
    shape: tuple[int, ...]
    dtype: str

    @property
    def is_float(self) -> bool:
        """Whether it is stored in the type that is asked for."""
        return self.dtype in ("F64", "F32", "F16", "BF16")

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return int(torch.Size(self.shape).numel())


@dataclass(frozen=True)
class BaseModel:
    """A model folder.

    Attributes:
        name: as the adapter calls it, a Hub id or a folder.
        config: `config.json` as it stands.
        tensors: everything in its weight files, in the order of the files.
        input_name, output_name: the weights of the embedding and of the output layer.
        is_tied: the output layer is the embedding.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    tensors: dict[str, TensorInfo]
    input_name: str
    output_name: str
    is_tied: bool


def open_base(name: str) -> BaseModel:
    """Find a base model by folder (relative ones count from the repository's root) or Hub id, and look at its files.

    Raises:
        ExportError: it is missing, incomplete, quantised, or no causal language model.
    """
    folder = model_folder(name)
    if folder is None:
        if not is_hub_id(name):
            raise ExportError(
                f"The adapter belongs to {name}, which is not there: put it back, or say where it is with --base FOLDER."
            )
        folder = fetch_snapshot(name, patterns=_FILES)
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ExportError(f"{folder} is no model folder: its config.json is missing or damaged.") from None
    if config.get("quantization_config"):
        raise ExportError(
            f"{name} is quantised, and an adapter cannot be merged into it: name the full model with --base."
        )
    skeleton = _skeleton(folder, name)
    tensors = _tensors(folder)
    input_name, output_name = (
        _weight_name(skeleton, layer) for layer in (skeleton.get_input_embeddings(), skeleton.get_output_embeddings())
    )
    is_tied = bool(skeleton.config.get_text_config().tie_word_embeddings)
    _check_complete(folder, skeleton, tensors, {output_name} if is_tied else set())
    return BaseModel(name, folder, config, tensors, input_name, output_name, is_tied)


@contextmanager
def damaged_file(file: Path) -> Iterator[None]:
    """Turn what a damaged weight file raises into a sentence."""
    try:
        yield
    except SafetensorError as error:
        raise ExportError(f"{file} is damaged ({error}): get the model again.") from None


def _skeleton(folder: Path, name: str) -> PreTrainedModel:
    """The model without memory for its weights."""
    try:
        config = AutoConfig.from_pretrained(str(folder))
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ExportError(f"{name} cannot be read as a causal language model: {reason}") from None


def _weight_name(model: PreTrainedModel, layer: Any) -> str:
    name = next(name for name, module in model.named_modules(remove_duplicate=False) if module is layer)
    return f"{name}.weight"


def _tensors(folder: Path) -> dict[str, TensorInfo]:
    index = folder / "model.safetensors.index.json"
    names: list[str] = ["model.safetensors"]
    if index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    found: dict[str, TensorInfo] = {}
    for name in names:
        file = folder / name
        if not file.is_file():
            raise ExportError(f"{folder} is incomplete: {name} is missing (weights must be safetensors).")
        with damaged_file(file), safe_open(str(file), "pt") as weights:
            for key in weights.keys():  # noqa: SIM118 (no mapping)
                part = weights.get_slice(key)
                found[key] = TensorInfo(file, tuple(part.get_shape()), part.get_dtype())
    return found


def _check_complete(
    folder: Path, skeleton: PreTrainedModel, tensors: dict[str, TensorInfo], may_lack: set[str]
) -> None:
    """Compare with the weights that the architecture has, where files and architecture use the same names."""
    expected = {name: tuple(tensor.shape) for name, tensor in skeleton.state_dict().items()}
    if not tensors.keys() <= expected.keys():
        return
    missing = sorted(expected.keys() - tensors.keys() - may_lack)
    if missing:
        raise ExportError(f"{folder} is incomplete: {len(missing)} weights are missing, {missing[0]} for one.")
    wrong = next((name for name, info in tensors.items() if info.shape != expected[name]), None)
    if wrong:
        raise ExportError(
            f"{folder} contradicts itself: {wrong} has shape {tensors[wrong].shape}, config.json says {expected[wrong]}."
        )
