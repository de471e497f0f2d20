"""A LoRA adapter as it lies on disk: what it adds to each weight of its base.

For a linear layer W (out, in) with A (r, in) and B (out, r), Hu et al. 2021 (arXiv 2106.09685):

    W' = W + scaling B A,   scaling = alpha / r,   or alpha / sqrt(r) with `use_rslora` (arXiv 2312.03732)

Rank and alpha may differ from layer to layer (`rank_pattern`, `alpha_pattern`). Whatever this file does not understand is
an error: a tensor that is left out would give a model that nobody trained.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file
from torch import Tensor

from recruiter.engines.loading import adapter_file, read_adapter_settings
from recruiter.errors import ExportError
from recruiter.export.base import refused
from recruiter.files import sha256_of

_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<factor>[AB])(?:\.weight)?")


@dataclass(frozen=True)
class LoraDelta:
    """What an adapter adds to one weight.

    Attributes:
        down: A, (r, in).
        up: B, (out, r).
        is_embedding: the weight is an embedding (vocabulary, size), and A and B act on one-hot rows.
    """

    down: Tensor
    up: Tensor
    scaling: float
    is_embedding: bool
    fan_in_fan_out: bool

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it can be added to a weight of this shape."""
        return shape in (self._shape, self._shape[::-1]) if self.may_transpose else shape == self._shape

    def dense(self, shape: tuple[int, ...]) -> Tensor:
        """The full matrix in float32, of the weight's shape."""
        product = self.scaling * (self.up.float() @ self.down.float())
        square = shape[0] == shape[-1]
        turned = self.is_embedding or (self.fan_in_fan_out if square else shape != tuple(product.shape))
        return product.t() if turned else product

    @property
    def may_transpose(self) -> bool:
        """Layers of the `Conv1D` kind store (in, out); PEFT says so in `fan_in_fan_out`."""
        return self.fan_in_fan_out and not self.is_embedding

    @property
    def _shape(self) -> tuple[int, ...]:
        shape = (self.up.shape[0], self.down.shape[1])
        return shape[::-1] if self.is_embedding else shape


@dataclass(frozen=True)
class Adapter:
    """An adapter: `deltas` by name of the weight, and `replaced`, weights and biases that were trained whole."""

    folder: Path
    base: str
    settings: Mapping[str, Any]
    sha256: str
    deltas: Mapping[str, LoraDelta] = field(repr=False)
    replaced: Mapping[str, Tensor] = field(repr=False)


def read_adapter(folder: Path) -> Adapter:
    """Read a PEFT adapter folder, weights included: they are small.

    Raises:
        ExportError: there is none, it is damaged or untrained, or of a kind that cannot be merged.
    """
    with refused():
        config = read_adapter_settings(folder)
        with adapter_file(folder, "adapter_model.safetensors") as weights:
            sha256, tensors = sha256_of(weights), load_file(str(weights))
    base = config["base_model_name_or_path"]
    if not base:
        raise ExportError(
            f"{folder / 'adapter_config.json'} does not say which model the adapter belongs to; name it with --base."
        )
    deltas, replaced = _sort_tensors(folder, config, tensors)
    if not replaced and not any(delta.up.any() and delta.down.any() for delta in deltas.values()):
        raise ExportError(f"The adapter at {folder} changes nothing: it was saved before its first update.")
    return Adapter(folder, str(base), config, sha256, deltas, replaced)


def _sort_tensors(
    folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[dict[str, LoraDelta], dict[str, Tensor]]:
    factors: dict[str, dict[str, Tensor]] = {}
    embeddings: set[str] = set()
    replaced: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = key.removeprefix(_PREFIX)
        if not torch.isfinite(tensor).all():
            raise ExportError(f"The adapter at {folder} holds NaN or infinite values in {key}: training diverged.")
        if match := _FACTOR.fullmatch(name):
            factors.setdefault(match["module"], {})[match["factor"]] = tensor
            embeddings |= {match["module"]} if match["embedding"] else set()
        elif "lora_" not in name and name.endswith((".weight", ".bias")):
            replaced[re.sub(r"\.(base_layer|modules_to_save)(?=\.)", "", name)] = tensor
        else:
            raise ExportError(f"The adapter at {folder} holds {key}, which cannot be merged.")
    if not factors and not replaced:
        raise ExportError(f"The adapter at {folder} holds no weights.")
    deltas = {}
    for module, pair in factors.items():
        if set(pair) != {"A", "B"} or pair["A"].ndim != 2 or pair["B"].ndim != 2:
            raise ExportError(
                f"The adapter at {folder} is damaged: lora_A and lora_B of {module} are no pair of matrices."
            )
        deltas[f"{module}.weight"] = _delta(folder, config, module, pair["A"], pair["B"], module in embeddings)
    return deltas, replaced


def _delta(folder: Path, config: dict[str, Any], module: str, a: Tensor, b: Tensor, is_embedding: bool) -> LoraDelta:
    rank: int = _setting(config.get("rank_pattern") or {}, module, config["r"])
    alpha: float = _setting(config.get("alpha_pattern") or {}, module, config["lora_alpha"])
    if a.shape[0] != rank or b.shape[1] != rank:
        raise ExportError(
            f"The adapter at {folder} is damaged: {module} has rank {a.shape[0]} and {b.shape[1]} in its weights, {rank} in "
            f"adapter_config.json."
        )
    scaling = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return LoraDelta(a, b, scaling, is_embedding, bool(config.get("fan_in_fan_out")))


def _setting(pattern: dict[str, Any], module: str, default: Any) -> Any:
    """What a pattern says of a module, else the default."""
    return pattern.get(get_pattern_key(list(pattern), module), default)
