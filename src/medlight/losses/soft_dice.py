"""Soft Dice of the global batch: of all samples that an optimizer step sees, whatever process
they are on."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

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


class SoftDice(nn.Module):
    """1 - Dice of softmax probabilities (Milletari et al. 2016), mean over the foreground classes.

    Sums go over space, batch and processes before they are divided. A mean of the processes' own
    Dice losses would be another loss, the more so the smaller their batches are.
    """

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        p = logits.float().softmax(dim=1)[:, 1:]
        labels = torch.arange(1, logits.shape[1], device=mask.device)
        truth = mask == labels.view(1, -1, *(1,) * (mask.ndim - 2))
        axes = (0, *range(2, p.ndim))
        overlap = (p * truth).sum(axes)
        sums = over_ranks(torch.stack([overlap, p.sum(axes), truth.sum(axes).to(p.dtype)]))
        dice = (2 * sums[0] + SMOOTH) / (sums[1] + sums[2] + SMOOTH)
        loss: Tensor = 1 - dice.mean()
        return loss


class DiceCE(nn.Module):
    """Soft Dice of the global batch plus cross-entropy (Isensee et al. 2021).

    Args:
        ce: weight of the cross-entropy.
    """

    def __init__(self, *, ce: float = 1.0) -> None:
        super().__init__()
        self.ce, self.dice = ce, SoftDice()

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        total: Tensor = self.dice(logits, mask) + self.ce * cross_entropy(logits, mask[:, 0])
        return total
