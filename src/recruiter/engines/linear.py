"""Linear layers for rollouts: frozen weights as they are, or packed once for few rows, and the adapter beside them.

Decoding multiplies a few dozen rows with every weight matrix. On a CPU, oneDNN does that about twice as fast when the
matrix has been laid out for it beforehand. The adapter is copied before each call, in the type of the weights, into memory
that stays where it is: it is small, never merged (a merge into bfloat16 would swallow early updates), and a recorded CUDA
graph sees the new values.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import linear

PACKED_ROWS = 32  # a hint for the layout; other row counts work too


class RolloutLinear(nn.Module):
    """x W^T + b + x A^T (scaling B)^T with W packed where oneDNN is there."""

    def __init__(self, base: nn.Linear, adapter: LoraLayer | None) -> None:
        super().__init__()
        weight = base.weight.detach()
        self._packs = weight.device.type == "cpu" and _can_pack(weight.dtype)
        # A plain attribute: packed tensors have no storage that a state dict or deepcopy could handle.
        self._weight = (torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS) if self._packs else weight,)
        self._bias = None if base.bias is None else base.bias.detach()
        self._adapter = (adapter,)
        if adapter is not None:
            down, up = self._masters()
            self._down, self._up_t = down.to(weight.dtype), up.t().to(weight.dtype)

    def _masters(self) -> tuple[Tensor, Tensor]:
        (adapter,) = self._adapter
        assert adapter is not None
        down, up = adapter.lora_A["default"].get_parameter("weight"), adapter.lora_B["default"].get_parameter("weight")
        return down.detach(), up.detach() * adapter.scaling["default"]

    def refresh(self) -> None:
        """Read the adapter's weights again, into the same memory."""
        if self._adapter[0] is not None:
            down, up = self._masters()
            self._down.copy_(down)
            self._up_t.copy_(up.t())

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        if self._packs:
            output = torch.ops.mkldnn._linear_pointwise(inputs, self._weight[0], self._bias, "none", [], "")
        else:
            output = linear(inputs, self._weight[0], self._bias)
        if self._adapter[0] is not None:
            low = linear(inputs, self._down).view(-1, self._down.shape[0])
            output.view(-1, output.shape[-1]).addmm_(low, self._up_t)
        return output  # type: ignore[no-any-return]


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


def refresh_adapters(model: nn.Module) -> None:
    """Let every linear layer of a packed model read its adapter again."""
    for module in model.modules():
        if isinstance(module, RolloutLinear):
            module.refresh()
