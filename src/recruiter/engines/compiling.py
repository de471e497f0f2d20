"""torch.compile where it pays and works: on a GPU, with Triton and a C compiler at hand.

Matrix products run at the same speed with and without it. What it fuses are the dozens of short kernels between them
(norms, rotary embeddings, activations, casts), which together take longer than the products. Shapes are dynamic, so that
every length of a packed row uses the same code; one decoder layer is compiled, and all layers share the result.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

import torch
from torch import nn

P = ParamSpec("P")
R = TypeVar("R")


@cache
def has_compiler() -> bool:
    """Whether GPU code can be generated on this machine."""
    return torch.cuda.is_available() and find_spec("triton") is not None and shutil.which("cc") is not None


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of tensors for GPUs when it is first called; run it as it is elsewhere."""
    fast: Callable[P, R] = torch.compile(function, dynamic=True)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return (fast if has_compiler() else function)(*args, **kwargs)

    return call


def compile_layers(decoder: nn.Module) -> None:
    """Compile every layer of a decoder when it is first called."""
    torch._dynamo.config.allow_unspec_int_on_nn_module = True  # a layer's number is no reason to compile it again
    for layer in decoder.get_submodule("layers").children():
        layer.compile(dynamic=True)
