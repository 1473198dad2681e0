"""Linear layers of a model by oneDNN, for as long as the decode loop runs the model.

On processors, torch multiplies float32 by MKL, which is slow on those of another maker than its
own. oneDNN, which torch holds as well, takes half the time on an AMD EPYC
(docs/performance.md).
"""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch

#: Products of fewer multiplications are done before oneDNN has begun.
LEAST = 2**20


def linear_layers(model: Any) -> list[torch.nn.Linear]:
    """Return the layers that `faster` can speed up: plain, float32, on an x86 processor."""
    if not _has_onednn():
        return []
    return [
        layer
        for layer in model.modules()
        if type(layer) is torch.nn.Linear
        and _is_its_own(layer)
        and type(layer.weight) is torch.nn.Parameter
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype == torch.float32
    ]


def _is_its_own(layer: torch.nn.Linear) -> bool:
    """Say whether nobody else has put a forward in place of a layer's own."""
    forward = layer.__dict__.get("forward")
    return forward is None or hasattr(forward, "by_onednn")


def _has_onednn() -> bool:
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


@contextmanager
def faster(layers: list[torch.nn.Linear], lines: int) -> Iterator[None]:
    """Let `layers` multiply inputs of so many lines by oneDNN in this block, where it pays.

    Only where no gradient is wanted. Two threads may run one model: the first to leave ends it for
    both. Products then differ by last bits, as those of batches of two sizes do.
    """
    large = [layer for layer in layers if lines * layer.in_features * layer.out_features >= LEAST]
    for layer in large:
        layer.__dict__["forward"] = _product(layer)
    try:
        yield
    finally:
        for layer in large:
            layer.__dict__.pop("forward", None)


def _product(layer: torch.nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        weight, bias = layer.weight, layer.bias
        if x.dtype != torch.float32 or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
            return torch.nn.functional.linear(x, weight, bias)
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    cast(Any, forward).by_onednn = True
    return forward
