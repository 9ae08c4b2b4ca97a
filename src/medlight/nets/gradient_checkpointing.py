"""Gradient checkpointing for any net whose blocks are known (Chen et al. 2016)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from medlight.compat.torch import BatchNorm
from medlight.core.errors import ConfigError

CHECKPOINTED_BLOCKS = frozenset(
    {
        *("ResidualUnit", "Residual", "ResBlock", "ResNetBlock", "ResNetBottleneck"),
        *("UnetResBlock", "UnetBasicBlock", "ConvBlock"),
        *("MBConvBlock", "_DenseLayer", "TransformerBlock", "SwinTransformerBlock"),
    }
)
"""Classes of MONAI's, and of `medlight.nets`, that are computed again as a whole."""


class Checkpointed(nn.Module):
    """Mixed into a block: while training, keeps its input only, and computes it again on the way
    back. The second time, batch norms leave their running statistics as they are."""

    def forward(self, *inputs: Any) -> Any:
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*inputs)
        return checkpoint(super().forward, *inputs, use_reentrant=False, context_fn=self._contexts)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._recomputing()

    @contextmanager
    def _recomputing(self) -> Iterator[None]:
        norms = [m for m in self.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
        before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        try:
            yield
        finally:
            for norm, (momentum, batches) in zip(norms, before, strict=True):
                norm.momentum, norm.num_batches_tracked = momentum, batches


def enable_gradient_checkpointing(net: nn.Module) -> int:
    """Make every known block of a net compute itself again, in place; the outermost ones where
    they are nested. Names and shapes of weights stay.

    Returns:
        How many blocks there are. ConfigError where there is none.
    """
    count = _checkpoint_blocks(net)
    if not count:
        raise ConfigError(
            f"gradient_checkpointing=true does not know the blocks of {type(net).__name__}: "
            f"known are {', '.join(sorted(CHECKPOINTED_BLOCKS))}; leave it out, or name a block "
            f"of your own so"
        )
    return count


def _checkpoint_blocks(module: nn.Module) -> int:
    kind = type(module)
    if issubclass(kind, Checkpointed):  # a block that is known by two names
        return 0
    if kind.__name__ in CHECKPOINTED_BLOCKS:
        module.__class__ = type(kind.__name__, (Checkpointed, kind), {})
        return 1
    return sum(_checkpoint_blocks(child) for child in module.children())
