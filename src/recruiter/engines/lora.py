"""LoRA layers for training: the same mathematics as PEFT's, with fewer passes over memory.

PEFT computes x W^T, then casts x, multiplies by A, by B, scales, casts back and adds: six kernels beside the matrix
product, each as long as the activations. Here the adapter's product lands in the base layer's output as it is computed,
in the model's own type; the master weights A and B stay in float32, and so do their gradients.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear as PeftLinear
from torch import Tensor
from torch.nn.functional import linear


class _LoraLinear(torch.autograd.Function):
    """y = x W^T + b + x A^T (scaling B)^T, W and b frozen.

    Shapes: x (T, in), W (out, in), b (out,) or None, A (r, in), B (out, r); A and B in float32 or in x's type.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scaling: float) -> Tensor:
        low = x @ down.to(x.dtype).t()
        return linear(x, weight, bias).addmm_(low, (up * scaling).to(x.dtype).t())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, down, up, ctx.scaling = inputs
        ctx.save_for_backward(x, weight, down, up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, down, up = ctx.saved_tensors
        low = x @ down.to(x.dtype).t()
        grad_low = grad @ (up * ctx.scaling).to(grad.dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_low, down.to(grad.dtype))
        grad_down = (grad_low.t() @ x).to(down.dtype)
        grad_up = (grad.t() @ low).to(up.dtype) * ctx.scaling
        return grad_x, None, None, grad_down, grad_up, None


def _forward(self: PeftLinear, x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    base = self.get_base_layer()
    weight, bias = base.weight, base.bias
    if self.disable_adapters:
        return linear(x, weight, bias)  # type: ignore[arg-type]
    down, up = self.lora_A["default"].weight, self.lora_B["default"].weight
    flat = x.reshape(-1, x.shape[-1])
    output: Tensor = _LoraLinear.apply(flat, weight, bias, down, up, self.scaling["default"])  # type: ignore[no-untyped-call]
    return output.view(*x.shape[:-1], -1)


def use_fast_lora(model: torch.nn.Module) -> None:
    """Let every LoRA layer of `model` compute as above, unless it uses something this cannot do (dropout, DoRA, bias)."""
    for module in model.modules():
        if isinstance(module, PeftLinear) and _is_plain(module):
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]


def _is_plain(module: PeftLinear) -> bool:
    return (
        isinstance(module.get_base_layer(), torch.nn.Linear)
        and list(module.lora_A) == ["default"]
        and isinstance(module.lora_dropout["default"], torch.nn.Identity)
        and not module.use_dora["default"]
        and module.lora_B["default"].bias is None
    )
