"""Linear layers for CPU rollouts: frozen weights packed once for few rows, the live adapter beside them.

Decoding multiplies a few dozen rows with every weight matrix. oneDNN does that about twice as fast when the matrix has
been laid out for it beforehand. Adapters are referenced, not copied: an optimizer step is seen at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import linear

PACKED_ROWS = 32  # a hint for the layout; other row counts work too


class RolloutLinear(nn.Module):
    """x W^T + b + scaling * (x A^T) B^T with W packed where oneDNN is there."""

    def __init__(self, base: nn.Linear, adapter: LoraLayer | None) -> None:
        super().__init__()
        weight = base.weight.detach()
        self._packs = _can_pack(weight.dtype)
        # A plain attribute: packed tensors have no storage that a state dict or deepcopy could handle.
        self._weight = (torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS) if self._packs else weight,)
        self._bias = None if base.bias is None else base.bias.detach()
        self._down: Tensor | None = None
        self._up: Tensor | None = None
        if adapter is not None:
            self._down, self._up = (
                adapter.lora_A["default"].get_parameter("weight"),
                adapter.lora_B["default"].get_parameter("weight"),
            )
            self._scaling = adapter.scaling["default"]

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        if self._packs:
            output = torch.ops.mkldnn._linear_pointwise(inputs, self._weight[0], self._bias, "none", [], "")
        else:
            output = linear(inputs, self._weight[0], self._bias)
        if self._down is None or self._up is None:
            return output  # type: ignore[no-any-return]
        low = linear(inputs.to(self._down.dtype), self._down) * self._scaling
        return output + linear(low, self._up).to(output.dtype)  # type: ignore[no-any-return, arg-type]


def _can_pack(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there and this processor has what it needs for the type."""
    if not torch.backends.mkldnn.is_available():
        return False
    has_bfloat16: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32 or (dtype == torch.bfloat16 and has_bfloat16)


def pack_for_rollouts(model: nn.Module, adapters: Mapping[str, LoraLayer]) -> None:
    """Replace every `nn.Linear` of `model` in place; `adapters` maps module names to the layers training updates."""
    for parent_name, parent in list(model.named_modules()):
        for child_name, child in list(parent.named_children()):
            name = f"{parent_name}.{child_name}" if parent_name else child_name
            if isinstance(child, nn.Linear):
                setattr(parent, child_name, RolloutLinear(child, adapters.get(name)))
