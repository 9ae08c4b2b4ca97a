"""The optimizer of a run, and learning rates over its steps.

Each schedule takes an optimizer and `total_steps`, and ends where the run does; a run that is
resumed with more steps follows the longer curve from there.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from medlight.compat.torch import allow_clipping
from medlight.core.errors import ConfigError


def warmup_cosine(optimizer: Optimizer, *, total_steps: int, warmup: float = 0.1) -> LambdaLR:
    """Linear warm-up over a share `warmup` of the steps, then half a cosine down to zero
    (Loshchilov and Hutter 2017, without restarts)."""
    return _after_warmup(
        optimizer, total_steps, warmup, lambda left: 0.5 * (1 - math.cos(math.pi * left))
    )


def warmup_poly(
    optimizer: Optimizer, *, total_steps: int, warmup: float = 0.0, power: float = 0.9
) -> LambdaLR:
    """Linear warm-up, then the share of steps that is left, to `power` (Isensee et al. 2021)."""
    return _after_warmup(optimizer, total_steps, warmup, lambda left: left**power)


def warmup_constant(optimizer: Optimizer, *, total_steps: int, warmup: float = 0.0) -> LambdaLR:
    """Linear warm-up, then the same rate to the end."""
    return _after_warmup(optimizer, total_steps, warmup, lambda left: 1.0)


def _after_warmup(
    optimizer: Optimizer, total_steps: int, warmup: float, curve: Callable[[float], float]
) -> LambdaLR:
    """`curve` gets the share of the steps that is left after the warm-up, from 1 to 0."""
    warmup_steps = max(1, round(warmup * total_steps)) if warmup else 0

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        return curve(1 - min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps)))

    return LambdaLR(optimizer, factor)


class OneCycle(OneCycleLR):
    """The 1cycle policy (Smith and Topin 2018), torch's: up to the optimizer's rate and down to
    nearly nothing, momentum the other way.

    Args:
        optimizer: with momentum or betas; its rate is the highest.
        total_steps: of the run.
        rise: share of the steps that goes up.
        div_factor: the first rate is the highest by this.
        final_div_factor: the last rate is the first by this.
        cycle_momentum: move momentum (or the first beta), too, from 0.95 to 0.85 and back.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        cycle_momentum: bool = True,
    ) -> None:
        super().__init__(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=total_steps + 1,  # it is asked once more after the last step
            pct_start=pct_start,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
            cycle_momentum=cycle_momentum,
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """All but the length, which is that of the run as it is now."""
        length = ("total_steps", "_schedule_phases")
        super().load_state_dict({k: v for k, v in state_dict.items() if k not in length})


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
    try:
        return _call_optimizer(optimizer, weights, uses_grad_scaler=uses_grad_scaler)
    except ValueError as error:  # of a number out of its range
        raise ConfigError(f"optimizer: {error}") from error


def _call_optimizer(
    optimizer: Callable[..., torch.optim.Optimizer],
    weights: Sequence[Parameter],
    *,
    uses_grad_scaler: bool,
) -> torch.optim.Optimizer:
    if getattr(optimizer, "keywords", {}).get("fused") != "auto":
        return optimizer(weights)
    fused = not uses_grad_scaler and all(weight.device.type in FUSED_DEVICES for weight in weights)
    built = optimizer(weights, fused=fused or None)
    if fused:  # there is nothing to unscale; Lightning would not clip with precision bf16-mixed
        allow_clipping(built)
    return built
