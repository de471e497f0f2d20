"""Frozen weights in 8 bits, for cards with little memory: integers, and one scale for each output channel.

A layer's weights are W = q s, with q in -127 … 127 and s in the model's type. They are made in that type when a layer needs
them, and forgotten: sampling, training and reading multiply with the same numbers. A compiler would keep what the forward
pass has made for the backward pass, and so hold all layers at once; the backward product is an operation that it does not
look into.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

LARGEST = 127


class Int8Linear(nn.Linear):
    """A frozen linear layer with q (out, in) as `weight` and s (out, 1). Made from one by changing its class."""

    scale: Tensor

    @torch.no_grad()
    def quantise(self) -> None:
        """Round the weights; the scale is rounded first, so that its own rounding costs nothing."""
        exact = self.weight.float()
        scale = (exact.abs().amax(dim=1, keepdim=True) / LARGEST).clamp(min=1e-20).to(self.weight.dtype)
        rounded = (exact / scale.float()).round().clamp(-LARGEST, LARGEST).to(torch.int8)
        self.weight = nn.Parameter(rounded, requires_grad=False)
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        output: Tensor = _FrozenLinear.apply(  # type: ignore[no-untyped-call]
            x.reshape(-1, x.shape[-1]), self.weight, self.scale, self.bias
        )
        return output.view(*x.shape[:-1], -1)


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, quantised: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(quantised, scale)
        return linear(x, quantised * scale, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return backward_product(grads[0], *ctx.saved_tensors), None, None, None


@torch.library.custom_op("recruiter::backward_product", mutates_args=())
def backward_product(grad: Tensor, quantised: Tensor, scale: Tensor) -> Tensor:
    """Gradient (T, in) of a layer's input from that of its output (T, out)."""
    return grad @ (quantised * scale)


@backward_product.register_fake
def _(grad: Tensor, quantised: Tensor, scale: Tensor) -> Tensor:  # noqa: ARG001
    return grad.new_empty(grad.shape[0], quantised.shape[1])


def quantise_layers(model: PreTrainedModel) -> None:
    """Round every linear layer of the decoder; embeddings, norms and the output layer stay as they are."""
    for module in model.get_decoder().modules():
        if type(module) is nn.Linear:
            module.__class__ = Int8Linear
            module.quantise()  # type: ignore[operator]
