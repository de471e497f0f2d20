"""LoRA layers: PEFT's mathematics, with fewer passes over memory and nothing lost to rounding.

PEFT computes x W^T, rounds it to the model's type, and adds the adapter's product. In bfloat16 that addition loses what a
young adapter says: an update of a hundredth of the rounding step vanishes in nearly every element. Here the adapter joins
before rounding: with `joined` = [W | scaling B] and low = x A^T,

    y = [x | low] joined^T

is one matrix product, accumulated in float32. Its backward pass yields the gradients of x and of low in one product too.
The master weights A and B stay in float32; `joined` and `down` are their copies in the model's type, and the base weight
is a view of `joined`, so the model is not stored twice.

Shapes: T tokens, r rank, R rank padded to `RANK_MULTIPLE`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model
from peft.tuners.lora import Linear as PeftLinear
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from recruiter.config import LoraConfig
from recruiter.config.setting import format_value
from recruiter.engines.quantised import Int8Linear, backward_product
from recruiter.errors import ModelError

RANK_MULTIPLE = 8  # keeps the rows of `joined` aligned for tensor cores


class _JoinedLinear(torch.autograd.Function):
    """y (T, out) of x (T, in), the masters A (r, in) and B (out, r), and their copies joined (out, in + R), down (R, in).

    With frozen weights in 8 bits, `joined` is scaling B alone (out, R), and `quantised` and `scale` are the rest.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        a: Tensor,
        b: Tensor,
        joined: Tensor,
        down: Tensor,
        bias: Tensor | None,
        scaling: float,
        quantised: Tensor | None,
        scale: Tensor | None,
    ) -> Tensor:
        low = linear(x, down)
        ctx.save_for_backward(x, low, joined, down, quantised, scale)
        ctx.rank, ctx.scaling, ctx.types = a.shape[0], scaling, (a.dtype, b.dtype)
        return linear(torch.cat([x, low], dim=1), whole_matrix(joined, quantised, scale), bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, low, joined, down, quantised, scale = ctx.saved_tensors
        if quantised is None:
            grad_base, grad_low = (grad @ joined).tensor_split([x.shape[1]], dim=1)
        else:
            grad_base, grad_low = backward_product(grad, quantised, scale), grad @ joined
        grad_x = torch.addmm(grad_base, grad_low, down) if ctx.needs_input_grad[0] else None
        grad_a = (grad_low[:, : ctx.rank].t() @ x).to(ctx.types[0])
        grad_b = (low[:, : ctx.rank].t() @ grad).t().to(ctx.types[1]) * ctx.scaling  # this order is three times faster
        return grad_x, grad_a, grad_b, *[None] * 6


def whole_matrix(joined: Tensor, quantised: Tensor | None, scale: Tensor | None) -> Tensor:
    """[W | scaling B] (out, in + R): stored as that, or made from the weights in 8 bits."""
    return joined if quantised is None or scale is None else torch.cat([quantised * scale, joined], dim=1)


class JoinedLora(PeftLinear):
    """A PEFT LoRA layer that computes as above. Made from one by changing its class, so names and saving stay PEFT's."""

    joined: Tensor
    down: Tensor

    def join(self) -> None:
        """Store the base weight and the adapter's copies in one matrix."""
        weight = self.base.weight
        rank = -(-self.masters[0].shape[0] // RANK_MULTIPLE) * RANK_MULTIPLE
        if isinstance(self.base, Int8Linear):
            joined = self.base.scale.new_zeros(weight.shape[0], rank)
        else:
            joined = weight.new_zeros(weight.shape[0], weight.shape[1] + rank)
            joined[:, : weight.shape[1]] = weight
            weight.data = joined[:, : weight.shape[1]]
        self.register_buffer("joined", joined, persistent=False)
        self.register_buffer("down", joined.new_zeros(rank, weight.shape[1]), persistent=False)
        self.refresh()

    @property
    def quantised(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """The frozen weights and their scale, where they are in 8 bits."""
        return (self.base.weight, self.base.scale) if isinstance(self.base, Int8Linear) else (None, None)

    @property
    def base(self) -> nn.Linear:
        """The frozen layer."""
        return cast(nn.Linear, self.get_base_layer())

    @property
    def masters(self) -> tuple[Tensor, Tensor]:
        """A and B as they are trained."""
        return self.lora_A["default"].get_parameter("weight"), self.lora_B["default"].get_parameter("weight")

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the masters' values, into the same memory."""
        (a, b), (down, up) = self.masters, self.copies
        down.copy_(a)
        up.copy_(b * self.scaling["default"])

    @property
    def copies(self) -> tuple[Tensor, Tensor]:
        """Where A and scaling B stand in the model's type."""
        a, b = self.masters
        start = self.joined.shape[1] - self.down.shape[0]
        return self.down[: a.shape[0]], self.joined[:, start : start + b.shape[1]]

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(…, in) -> (…, out)."""
        if self.disable_adapters:
            return self.base(x)  # type: ignore[no-any-return]
        if self.training and not isinstance(self.lora_dropout["default"], nn.Identity):
            return super().forward(x, *args, **kwargs)
        flat = x.reshape(-1, x.shape[-1])
        output: Tensor = _JoinedLinear.apply(  # type: ignore[no-untyped-call]
            flat, *self.masters, self.joined, self.down, self.base.bias, self.scaling["default"], *self.quantised
        )
        return output.view(*x.shape[:-1], -1)


def add_adapter(model: PreTrainedModel, lora: LoraConfig, path: str) -> PeftModel:
    """Add a fresh adapter, in place. Every layer that is asked for must be one that answers are computed and trained with.

    Raises:
        ModelError: one is not, or none is there.
    """
    wanted = lora.target_modules
    settings = PeftLoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=wanted, task_type="CAUSAL_LM"
    )
    trained = {*model.get_decoder().modules()}
    names = sorted(
        {name.rpartition(".")[2] for name, m in model.named_modules() if m in trained and isinstance(m, nn.Linear)}
    )
    try:
        with quiet_peft():
            adapted = get_peft_model(model, settings)
        fault = _not_trained(model, trained, wanted)
    except (ValueError, re.error) as error:
        fault = str(error).split("\n")[0].rstrip(".(")
    if fault:
        raise ModelError(
            f"trainer.policy.lora.target_modules={format_value(wanted)} cannot work with {path} ({fault}); write "
            f"all-linear, or a list of some of {', '.join(names)}."
        )
    return adapted


def _not_trained(model: nn.Module, trained: set[nn.Module], wanted: str | list[str]) -> str | None:
    """What was asked for and gets no adapter, or one that no gradient reaches: the output layer is not called as one."""
    layers = {name: m.get_base_layer() in trained for name, m in model.named_modules() if isinstance(m, LoraLayer)}
    asked = wanted if isinstance(wanted, list) else [] if wanted == "all-linear" else list(layers)
    within = [name for name, is_trained in layers.items() if is_trained]
    missing = next((each for each in asked if not any(f".{name}".endswith(f".{each}") for name in within)), None)
    return missing and f"no layer {missing} is trained"


@contextmanager
def quiet_peft() -> Iterator[None]:
    """PEFT reads a name that transformers is renaming, and warns of it each time layers are added."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def join_adapters(model: nn.Module) -> None:
    """Let every LoRA layer over an `nn.Linear` compute so."""
    for module in model.modules():
        if type(module) is PeftLinear and isinstance(module.get_base_layer(), nn.Linear):
            module.__class__ = JoinedLora
            cast(JoinedLora, module).join()


@torch.no_grad()
def refresh_adapters(model: nn.Module) -> None:
    """Copy the masters' values after an update, of all layers at once."""
    layers = [module for module in model.modules() if isinstance(module, JoinedLora)]
    if not layers:
        return
    downs, ups = zip(*(layer.copies for layer in layers), strict=True)
    masters_a, masters_b = zip(*(layer.masters for layer in layers), strict=True)
    scaled_b = torch._foreach_mul(masters_b, [layer.scaling["default"] for layer in layers])
    torch._foreach_copy_(downs, masters_a)
    torch._foreach_copy_(ups, scaled_b)
