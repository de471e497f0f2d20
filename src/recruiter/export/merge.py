"""Merging, weight by weight: read one, add the adapter's part in float32, round once, write.

The model is never built. Memory is one shard of the result, and one weight in float32.

What rounding takes: a weight in bfloat16 has 8 significant bits, so an update far smaller than the weight may fall between
two numbers. `Merged.kept` is the share of the adapter that is still there after rounding, the projection of the stored
change on the wanted one: sum(stored * wanted) / sum(wanted²).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from recruiter.engines.folder import TensorInfo, whole_file
from recruiter.errors import ExportError
from recruiter.export.adapter import Adapter, LoraDelta
from recruiter.export.base import BaseModel, refused
from recruiter.files import share, write_json

SHARD_BYTES = 2_000_000_000
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class PlannedWeight:
    """One weight of the result: where it starts from, and what happens to it."""

    name: str
    source: str
    info: TensorInfo
    delta: LoraDelta | None
    replacement: Tensor | None


@dataclass(frozen=True)
class MergePlan:
    """Everything that will be written, known before anything is.

    Attributes:
        is_tied: in the result. An adapter on only one of two tied layers makes them differ.
    """

    base: BaseModel
    dtype: torch.dtype
    weights: list[PlannedWeight]
    is_tied: bool

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(self.size_of(weight) for weight in self.weights)

    def size_of(self, weight: PlannedWeight) -> int:
        """Bytes of one weight in the result; an unknown type counts as 8 a number."""
        return weight.info.elements * (self.dtype.itemsize if weight.info.is_float else 8)

    def shards(self) -> list[list[PlannedWeight]]:
        """The weights in order, in parts of at most `SHARD_BYTES` each (a larger weight has a part to itself)."""
        parts: list[list[PlannedWeight]] = []
        filled = math.inf
        for weight in self.weights:
            size = self.size_of(weight)
            if filled + size > SHARD_BYTES:
                parts.append([])
                filled = 0
            parts[-1].append(weight)
            filled += size
        return parts


@dataclass
class Merged:
    """What was written. Sums run over the weights that the adapter changes."""

    parameters: int = 0
    bytes: int = 0
    stored_dot_wanted: float = 0.0
    wanted_squared: float = 0.0
    base_squared: float = 0.0

    @property
    def kept(self) -> float:
        """Share of the adapter's change that rounding left, about 1 in float32."""
        return self.stored_dot_wanted / self.wanted_squared if self.wanted_squared else 1.0

    @property
    def relative_change(self) -> float:
        """Size of the adapter's change beside the weights it changes, both as Frobenius norms."""
        return math.sqrt(self.wanted_squared / self.base_squared) if self.base_squared else 0.0


def plan_merge(base: BaseModel, adapter: Adapter, dtype: torch.dtype) -> MergePlan:
    """Match adapter and base.

    Raises:
        ExportError: they do not belong together, or the base's tied weights differ.
    """
    deltas = {_find(base, adapter, name): delta for name, delta in adapter.deltas.items()}
    replaced = {_find(base, adapter, name): tensor for name, tensor in adapter.replaced.items()}
    if not adapter.settings.get("layers_to_transform"):
        _check_all_layers(base, adapter, set(deltas))
    touched = deltas.keys() | replaced.keys()
    is_tied = base.is_tied and not touched & {base.input_name, base.output_name}
    names = list(base.tensors)
    if base.is_tied and base.output_name in base.tensors:
        _check_tied(base)
        if is_tied:
            names.remove(base.output_name)
    elif base.is_tied and not is_tied:
        names.append(base.output_name)
    weights = []
    for name in names:
        source = name if name in base.tensors else base.input_name
        info, delta, replacement = base.tensors[source], deltas.get(name), replaced.get(name)
        if (delta and not (info.is_float and delta.fits(info.shape))) or (
            replacement is not None and tuple(replacement.shape) != info.shape
        ):
            raise ExportError(
                f"The adapter at {adapter.folder} does not fit {base.name}: {name} has another shape there, {info.shape}. "
                f"Name the model it was trained on with --base."
            )
        weights.append(PlannedWeight(name, source, info, delta, replacement))
    return MergePlan(base, dtype, weights, is_tied)


def write_weights(plan: MergePlan, folder: Path, progress: Callable[[int], None]) -> Merged:
    """Write safetensors shards and their index; `progress` gets the bytes written so far.

    Raises:
        ExportError: a weight of the base is damaged, or the result is not finite.
    """
    shards, merged = plan.shards(), Merged()
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else "model.safetensors"
        tensors = {}
        for weight, tensor in _merged_tensors(plan, shard, merged):
            tensors[weight.name] = tensor
            places[weight.name] = name
            merged.parameters += tensor.numel()
            merged.bytes += tensor.nbytes
            progress(merged.bytes)
        save_file(tensors, str(folder / name), metadata={"format": "pt"})
        share(folder / name)
        _flush(folder / name)
    if len(shards) > 1:
        metadata = {"total_size": merged.bytes, "total_parameters": merged.parameters}
        write_json(folder / "model.safetensors.index.json", {"metadata": metadata, "weight_map": places})
    return merged


def _merged_tensors(
    plan: MergePlan, shard: list[PlannedWeight], merged: Merged
) -> Iterator[tuple[PlannedWeight, Tensor]]:
    for weight in shard:
        with refused(), whole_file(weight.info.file), safe_open(str(weight.info.file), "pt") as file:
            tensor: Tensor = file.get_tensor(weight.source)
        stored = _merge(weight, tensor, plan.dtype, merged)
        if stored.is_floating_point() and not torch.isfinite(stored).all():
            culprit = (
                f"{plan.base.name} itself is not finite"
                if not torch.isfinite(tensor).all()
                else (
                    f"the values are too large for {str(plan.dtype).removeprefix('torch.')}, use --torch_dtype bfloat16"
                )
            )
            raise ExportError(f"{weight.name} would hold NaN or infinite values: {culprit}.")
        yield weight, stored


def _merge(weight: PlannedWeight, base: Tensor, dtype: torch.dtype, merged: Merged) -> Tensor:
    if not weight.info.is_float:
        return base
    if weight.replacement is not None:
        base = weight.replacement
    if weight.delta is None:
        return base.to(dtype).contiguous()
    exact, delta = base.float(), weight.delta.dense(weight.info.shape)
    stored = (exact + delta).to(dtype)
    merged.base_squared += exact.square().sum().item()
    merged.wanted_squared += delta.square().sum().item()
    merged.stored_dot_wanted += ((stored.float() - exact) * delta).sum().item()
    return stored.contiguous()


def _find(base: BaseModel, adapter: Adapter, name: str) -> str:
    """The base's name of a weight: the adapter's own, or without its first part (files saved from an inner model)."""
    for candidate in (name, name.partition(".")[2]):
        if candidate in base.tensors or (base.is_tied and candidate == base.output_name):
            return candidate
    raise ExportError(
        f"The adapter at {adapter.folder} does not fit {base.name}: it changes {name}, which is not there. Name the model it "
        f"was trained on with --base."
    )


def _check_all_layers(base: BaseModel, adapter: Adapter, adapted: set[str]) -> None:
    """An adapter on some layers of a kind only belongs to a smaller model, unless its settings choose layers."""
    target = adapter.settings.get("target_modules") or []
    if isinstance(target, str) or any(re.search(r"\d", module) for module in target):
        return

    def kind(name: str) -> str:
        return re.sub(r"\.\d+\.", ".N.", name)

    kinds = {kind(name) for name in adapted if kind(name) != name}
    left_out = [name for name in base.tensors if kind(name) in kinds and name not in adapted]
    if left_out:
        raise ExportError(
            f"The adapter at {adapter.folder} does not fit {base.name}: {len(left_out)} layers have no part in it, "
            f"{left_out[0]} for one. Name the model it was trained on with --base."
        )


def _check_tied(base: BaseModel) -> None:
    pair = []
    for name in (base.input_name, base.output_name):
        file = base.tensors[name].file
        with refused(), whole_file(file), safe_open(str(file), "pt") as weights:
            pair.append(weights.get_tensor(name))
    if not torch.equal(*pair):
        raise ExportError(
            f"{base.name} contradicts itself: config.json ties {base.output_name} to {base.input_name}, and the files hold "
            f"different values for them."
        )


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
