"""Private names of torch: storages, norms of any dimension, compiled nets, optimizers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BatchNorm = _BatchNorm
"""The base of `BatchNorm1d` to `3d` and of `SyncBatchNorm`; torch has no public one."""


def storage_id(tensor: Tensor) -> int:
    """Return what two tensors that share memory have in common.

    `UntypedStorage._cdata`: `data_ptr` is 0 for every tensor on the meta device.
    """
    return int(tensor.untyped_storage()._cdata)


def copy_into(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy many tensors in place, as few kernels. `torch._foreach_copy_`."""
    torch._foreach_copy_(list(targets), list(sources))


def uncompiled(net: Any) -> nn.Module:
    """Return the net that `torch.compile` wraps, or the net itself. `OptimizedModule._orig_mod`."""
    inner: nn.Module = getattr(net, "_orig_mod", net)
    return inner


def allow_clipping(optimizer: torch.optim.Optimizer) -> None:
    """Say of a fused optimizer that gradients come to it unscaled.

    `Optimizer._step_supports_amp_scaling`: Lightning refuses to clip while it is true.
    """
    fused: Any = optimizer
    fused._step_supports_amp_scaling = False
