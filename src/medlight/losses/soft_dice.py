"""Soft Dice of the global batch: of all samples that an optimizer step sees, whatever process
they are on."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

SMOOTH = 1e-5
"""In numerator and denominator: a class that is neither there nor predicted is right."""


def over_ranks(sums: Tensor) -> Tensor:
    """The sum over all processes, through which gradients flow back to each of them.

    DDP averages gradients, and the gradient of this sum arrives once from each process: a loss of
    such sums is that of one process with all of the batch, gradients included.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return sums
    total: Tensor = _Total.apply(sums)
    return total


class _Total(torch.autograd.Function):
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


def soft_dice(p: Tensor, truth: Tensor) -> Tensor:
    """1 - Dice (Milletari et al. 2016) of (B, K, *S) probabilities and truths, mean over K.

    Sums go over space, batch and processes before they are divided. A mean of the processes' own
    Dice losses would be another loss, the more so the smaller their batches are.
    """
    axes = (0, *range(2, p.ndim))
    overlap = (p * truth).sum(axes)
    sums = over_ranks(torch.stack([overlap, p.sum(axes), truth.sum(axes).to(p.dtype)]))
    dice = (2 * sums[0] + SMOOTH) / (sums[1] + sums[2] + SMOOTH)
    loss: Tensor = 1 - dice.mean()
    return loss


class SoftDice(nn.Module):
    """Of softmax probabilities, without background; see `soft_dice`."""

    overlapping = False

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        p = logits.float().softmax(dim=1)[:, 1:]
        labels = torch.arange(1, logits.shape[1], device=mask.device)
        return soft_dice(p, mask == labels.view(1, -1, *(1,) * (mask.ndim - 2)))


class DiceCE(nn.Module):
    """Soft Dice of the global batch plus cross-entropy (Isensee et al. 2021).

    Args:
        ce: weight of the cross-entropy.
    """

    overlapping = False

    def __init__(self, *, ce: float = 1.0) -> None:
        super().__init__()
        self.ce, self.dice = ce, SoftDice()

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        total: Tensor = self.dice(logits, mask) + self.ce * cross_entropy(logits, mask[:, 0])
        return total


class DiceBCE(nn.Module):
    """Of regions that may overlap, a sigmoid each: soft Dice of the global batch plus binary
    cross-entropy (Isensee et al. 2021, region-based training).

    Args:
        bce: weight of the cross-entropy.
    """

    overlapping = True

    def __init__(self, *, bce: float = 1.0) -> None:
        super().__init__()
        self.bce = bce

    def forward(self, logits: Tensor, regions: Tensor) -> Tensor:
        """(B, R, *S) and (B, R, *S) of zeros and ones to a scalar."""
        regions = regions.to(logits.dtype)
        dice = soft_dice(logits.float().sigmoid(), regions)
        total: Tensor = dice + self.bce * binary_cross_entropy_with_logits(logits, regions)
        return total
