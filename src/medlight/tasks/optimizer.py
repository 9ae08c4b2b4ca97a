"""From a partial of an optimizer to the optimizer, for the device it will step on."""

from collections.abc import Callable, Iterable

import torch
from torch.nn import Parameter

from medlight.compat.torch import allow_clipping

FUSED_DEVICES = ("cpu", "cuda", "mps", "xpu")
"""Where torch has fused AdamW and SGD."""


def build_optimizer(
    optimizer: Callable[..., torch.optim.Optimizer],
    parameters: Iterable[Parameter],
    *,
    uses_grad_scaler: bool = False,
) -> torch.optim.Optimizer:
    """Call a partial; its `fused: auto` is settled by where the parameters are.

    Args:
        uses_grad_scaler: gradients are scaled against underflow, as with precision 16-mixed. A
            fused optimizer unscales them itself, which makes clipping them impossible.
    """
    weights = list(parameters)
    if getattr(optimizer, "keywords", {}).get("fused") != "auto":
        return optimizer(weights)
    fused = not uses_grad_scaler and all(weight.device.type in FUSED_DEVICES for weight in weights)
    built = optimizer(weights, fused=fused or None)
    if fused:  # there is nothing to unscale; Lightning would not clip with precision bf16-mixed
        allow_clipping(built)
    return built
