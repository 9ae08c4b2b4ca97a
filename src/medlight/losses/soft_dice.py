"""Soft Dice of the global batch."""

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from medlight.losses.reduction import soft_overlaps, softmax_overlaps

SMOOTH = 1e-5
"""In numerator and denominator: a class that is neither there nor predicted is right."""


def soft_dice(sums: Tensor) -> Tensor:
    """1 - Dice (Milletari et al. 2016), mean over the K of (3, K) sums over space, batch and
    processes; see `softmax_overlaps`."""
    both, predicted, true = sums
    loss: Tensor = 1 - ((2 * both + SMOOTH) / (predicted + true + SMOOTH)).mean()
    return loss


class SoftDice(nn.Module):
    """Of softmax probabilities, without background; see `soft_dice`."""

    region_based = False

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        return soft_dice(softmax_overlaps(logits, mask))


class DiceCE(nn.Module):
    """Soft Dice of the global batch plus cross-entropy (Isensee et al. 2021).

    Args:
        lambda_ce: weight of the cross-entropy.
    """

    region_based = False

    def __init__(self, *, lambda_ce: float = 1.0) -> None:
        super().__init__()
        self.lambda_ce, self.dice = lambda_ce, SoftDice()

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        total: Tensor = self.dice(logits, mask) + self.lambda_ce * cross_entropy(logits, mask[:, 0])
        return total


class DiceBCE(nn.Module):
    """Of regions that may overlap, a sigmoid each: soft Dice of the global batch plus binary
    cross-entropy (Isensee et al. 2021, region-based training).

    Args:
        bce: weight of the cross-entropy.
    """

    region_based = True

    def __init__(self, *, lambda_bce: float = 1.0) -> None:
        super().__init__()
        self.lambda_bce = lambda_bce

    def forward(self, logits: Tensor, regions: Tensor) -> Tensor:
        """(B, R, *S) and (B, R, *S) of zeros and ones to a scalar."""
        dice = soft_dice(soft_overlaps(logits.float().sigmoid(), regions))
        bce = binary_cross_entropy_with_logits(logits, regions.to(logits.dtype))
        total: Tensor = dice + self.lambda_bce * bce
        return total
