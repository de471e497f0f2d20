"""A model's folder, looked at without reading its weights: what it holds, and whether that is all and whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from recruiter.errors import ModelError, RecruiterError

_INDEX, _WHOLE = "model.safetensors.index.json", "model.safetensors"
_POINTER = b"version https://git-lfs"


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


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn whatever libraries raise at what stands in a model's files into one sentence about the model."""
    try:
        yield
    except RecruiterError:
        raise
    except Exception as error:
        reason = repr(error) if isinstance(error, LookupError) else str(error).strip() or type(error).__name__
        reason = " ".join(" ".join(reason.splitlines()[:2]).split()).rstrip(".")
        raise ModelError(f"{name} cannot be read as a causal language model: {reason}.") from None


@contextmanager
def whole_file(file: Path) -> Iterator[None]:
    """Turn what a damaged weight file raises into a sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        with file.open("rb") as content:
            is_pointer = content.read(len(_POINTER)) == _POINTER
        if is_pointer:
            raise ModelError(f"{file} is a pointer of Git LFS, not the weights: run git lfs pull there.") from None
        raise ModelError(f"{file} is damaged ({error}): get the model again.") from None


def make_skeleton(config: PretrainedConfig) -> PreTrainedModel:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)  # type: ignore[no-any-return]


def read_whole(folder: Path, skeleton: PreTrainedModel) -> dict[str, TensorInfo]:
    """Everything in a folder's weight files, in the order of the files.

    Raises:
        ModelError: a file is missing or damaged, or weights are missing or have another shape.
    """
    tensors = _tensors(folder)
    may_lack = {weight_name(skeleton, skeleton.get_output_embeddings())} if is_tied(skeleton) else set()
    _check_complete(folder, skeleton, tensors, may_lack)
    return tensors


def weight_name(model: PreTrainedModel, layer: object) -> str:
    """The name of a layer's weights."""
    name = next(name for name, module in model.named_modules(remove_duplicate=False) if module is layer)
    return f"{name}.weight"


def is_tied(skeleton: PreTrainedModel) -> bool:
    """Whether the output layer is the embedding."""
    return bool(skeleton.config.get_text_config().tie_word_embeddings)


def _tensors(folder: Path) -> dict[str, TensorInfo]:
    """Everything in a folder's weight files, in the order of the files."""
    index, names = folder / _INDEX, [_WHOLE]
    if index.is_file():
        with readable(str(index)):
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    found: dict[str, TensorInfo] = {}
    for name in names:
        file = folder / name
        if not file.is_file():
            raise ModelError(f"{folder} is incomplete: {name} is missing (weights must be safetensors).")
        with whole_file(file), safe_open(str(file), "pt") as weights:
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
        raise ModelError(f"{folder} is incomplete: {len(missing)} weights are missing, {missing[0]} for one.")
    wrong = next((name for name, info in tensors.items() if info.shape != expected[name]), None)
    if wrong:
        raise ModelError(
            f"{folder} contradicts itself: {wrong} has shape {tensors[wrong].shape}, config.json says {expected[wrong]}."
        )
