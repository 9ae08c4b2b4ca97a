"""The global batch: all samples that an optimizer step sees, whatever process they are on.

DDP averages the gradients of the processes. A loss that is a ratio over its batch, such as Dice or
a weighted mean, must be made of sums over all of them: the mean of the processes' own ratios is
another loss, the more so the smaller their batches are.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def all_reduce_sum(sums: Tensor) -> Tensor:
    """Sum over all processes; gradients flow back to each of them.

    The gradient of this sum arrives once from each process, and DDP takes their mean: a loss of
    such sums is that of one process with all of the batch, gradients included.

    Args:
        sums: of this process, of any shape.

    Returns:
        The same shape.
    """
    if world_size() == 1:
        return sums
    total: Tensor = _AllReduceSum.apply(sums)
    return total


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor) -> Tensor:
        total = sums.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient


def softmax_overlaps(logits: Tensor, mask: Tensor, *, background: bool = False) -> Tensor:
    """What overlap losses are made of, of each label over space, batch and processes.

    Args:
        logits: (B, K, *S); probabilities are their softmax.
        mask: (B, 1, *S) labels.
        background: count label 0, too.

    Returns:
        (3, K) or (3, K - 1): probability where the label is true; all probability; true voxels.
    """
    first = 0 if background else 1
    p = logits.float().softmax(dim=1)[:, first:]
    labels = torch.arange(first, logits.shape[1], device=mask.device)
    return soft_overlaps(p, mask == labels.view(1, -1, *(1,) * (mask.ndim - 2)))


def soft_overlaps(p: Tensor, truth: Tensor) -> Tensor:
    """Sum up what overlap losses are made of, from probabilities.

    Args:
        p: (B, K, *S) probabilities.
        truth: (B, K, *S) what is true of them.

    Returns:
        (3, K) as `softmax_overlaps`.
    """
    axes = (0, *range(2, p.ndim))
    sums = [(p * truth).sum(axes), p.sum(axes), truth.sum(axes).to(p.dtype)]
    return all_reduce_sum(torch.stack(sums))
