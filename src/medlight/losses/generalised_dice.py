"""Generalised Dice of the global batch."""

import math
from typing import Literal, get_args

from torch import Tensor, nn

from medlight.core.errors import ConfigError
from medlight.losses.reduction import softmax_overlaps
from medlight.losses.soft_dice import SMOOTH

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
