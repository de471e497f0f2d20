"""Linear layers for rollouts: the live weights on a GPU; on a CPU, a copy laid out for few rows.

Decoding multiplies a few dozen rows with every weight matrix. oneDNN does that about twice as fast when the matrix has
been laid out for it beforehand, which takes a fraction of a second for the whole model. Adapters are never merged (a merge
into bfloat16 would swallow early updates): they are part of the joined matrix that training uses, see `lora`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from recruiter.engines.lora import JoinedLora, whole_matrix
from recruiter.engines.quantised import Int8Linear

PACKED_ROWS = 32  # a hint for the layout; other row counts work too


class RolloutLinear(nn.Module):
    """A linear layer, with or without adapter, over the tensors of the layer that is trained."""

    def __init__(self, source: nn.Linear | JoinedLora) -> None:
        super().__init__()
        base = source.base if isinstance(source, JoinedLora) else source
        # Plain attributes: the tensors belong to the other layer, and packed ones cannot be saved or copied.
        self._weight = (source.joined if isinstance(source, JoinedLora) else source.weight).detach()
        self._quantised = source.quantised if isinstance(source, JoinedLora) else (None, None)
        self._down = source.down if isinstance(source, JoinedLora) else None
        self._bias = None if base.bias is None else base.bias.detach()
        is_float = self._quantised[0] is None  # a copy laid out would take what 8 bits have saved
        self._packs = is_float and self._weight.device.type == "cpu" and _can_pack(self._weight.dtype)
        self._packed: Tensor | None = None

    def refresh(self) -> None:
        """Lay the weights out again if the adapter may have changed."""
        if self._packs and (self._packed is None or self._down is not None):
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self._weight, PACKED_ROWS)

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        if self._down is not None:
            inputs = torch.cat([inputs, linear(inputs, self._down)], dim=-1)
        if self._packed is not None:
            return torch.ops.mkldnn._linear_pointwise(inputs, self._packed, self._bias, "none", [], "")  # type: ignore[no-any-return]
        return linear(inputs, whole_matrix(self._weight, *self._quantised), self._bias)


def _can_pack(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there and this processor has what it needs for the type."""
    if not torch.backends.mkldnn.is_available():
        return False
    has_bfloat16: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32 or (dtype == torch.bfloat16 and has_bfloat16)


def use_rollout_layers(copy: nn.Module, trained: nn.Module) -> None:
    """Replace every `nn.Linear` of `copy` by one over the layer of the same name in `trained`."""
    for name, module in list(copy.named_modules()):
        source = trained.get_submodule(name) if isinstance(module, nn.Linear) else None
        if source is not None and not isinstance(source, Int8Linear):
            parent, _, child = name.rpartition(".")
            setattr(copy.get_submodule(parent), child, RolloutLinear(source))  # type: ignore[arg-type]


def refresh_rollout_layers(model: nn.Module) -> None:
    """Bring every layer up to date before decoding."""
    for module in model.modules():
        if isinstance(module, RolloutLinear):
            module.refresh()
