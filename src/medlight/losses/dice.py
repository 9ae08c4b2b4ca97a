"""Dice losses of the global batch: soft, Tversky, generalised, and combined with others."""

import math
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from medlight.core.errors import ConfigError
from medlight.losses.reduction import soft_overlaps, softmax_overlaps

SMOOTH = 1e-5
"""In numerator and denominator: a class that is neither there nor predicted is right."""


def soft_dice(sums: Tensor) -> Tensor:
    """Compute 1 - Dice (Milletari et al. 2016), mean over labels.

    Args:
        sums: (3, K) over space, batch and processes; see `softmax_overlaps`.

    Returns:
        A scalar.
    """
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
        lambda_bce: weight of the cross-entropy.
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


class Tversky(nn.Module):
    """1 - TP / (TP + alpha FP + beta FN) of softmax probabilities (Salehi et al. 2017), mean over
    the foreground classes. With alpha = beta = 1/2 it is soft Dice.

    Args:
        alpha: weight of false positives.
        beta: weight of false negatives.
    """

    region_based = False

    def __init__(self, *, alpha: float = 0.3, beta: float = 0.7) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        both, predicted, true = softmax_overlaps(logits, mask)
        wrong = self.alpha * (predicted - both) + self.beta * (true - both)
        loss: Tensor = 1 - ((both + SMOOTH) / (both + wrong + SMOOTH)).mean()
        return loss


VolumeWeighting = Literal["square", "simple", "uniform"]


class GeneralisedDice(nn.Module):
    """1 - 2 sum(w TP) / sum(w (predicted + true)) of softmax probabilities, over all labels with
    the background (Sudre et al. 2017).

    Weights are told in those of the rarest label that is there, which is also what a label that is
    not there gets. As plain 1 / volume^2 they are so small in a volume that MONAI's smoothing
    terms, added to both sums, outweigh what they should smooth.

    Args:
        w_type: "square", 1 / volume^2; "simple", 1 / volume; "uniform", all alike.
    """

    region_based = False

    def __init__(self, *, w_type: VolumeWeighting = "square") -> None:
        super().__init__()
        if w_type not in get_args(VolumeWeighting):
            known = ", ".join(get_args(VolumeWeighting))
            raise ConfigError(f"loss.w_type must be one of {known}, got {w_type}")
        self.power = {"square": 2, "simple": 1, "uniform": 0}[w_type]

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        both, predicted, true = softmax_overlaps(logits, mask, background=True)
        rarest = true.masked_fill(true == 0, math.inf).min()
        w = (rarest / true.clamp(min=rarest)) ** self.power
        dice = (2 * (w * both).sum() + SMOOTH) / ((w * (predicted + true)).sum() + SMOOTH)
        loss: Tensor = 1 - dice
        return loss


class DiceFocal(nn.Module):
    """Soft Dice of the batch, without background, plus the mean over voxels of
    -(1 - p)^gamma log p (Lin et al. 2017), where p is the probability of the true label.

    With gamma 0 it is Dice + cross-entropy. MONAI's DiceFocalLoss takes the focal part of sigmoids
    even with `softmax=True` (its issue 8242), leaves the background's voxels out of it with the
    background's Dice, and divides it by K.

    Args:
        gamma: the larger, the less a voxel counts that is right already.
        lambda_focal: weight of the focal part.
    """

    region_based = False

    def __init__(self, *, gamma: float = 2.0, lambda_focal: float = 1.0) -> None:
        super().__init__()
        self.gamma, self.lambda_focal = gamma, lambda_focal
        self.dice = SoftDice()

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, K, *S) and (B, 1, *S) to a scalar."""
        nll = cross_entropy(logits, mask[:, 0], reduction="none")
        focal = ((1 - (-nll).exp()) ** self.gamma * nll).mean()
        total: Tensor = self.dice(logits, mask) + self.lambda_focal * focal
        return total
