"""Soft Dice of the global batch."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from medlight.losses.global_batch import overlaps

SMOOTH = 1e-5
"""In numerator and denominator: a class that is neither there nor predicted is right."""


class SoftDice(nn.Module):
    """1 - Dice of softmax probabilities (Milletari et al. 2016), mean over the foreground classes.

    Sums go over space, batch and processes before they are divided.
    """

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        both, predicted, true = overlaps(logits, mask)
        dice = (2 * both + SMOOTH) / (predicted + true + SMOOTH)
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
