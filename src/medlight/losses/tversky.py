"""Tversky loss of the global batch."""

from torch import Tensor, nn

from medlight.losses.reduction import softmax_overlaps
from medlight.losses.soft_dice import SMOOTH


class Tversky(nn.Module):
    """1 - TP / (TP + alpha FP + beta FN) of softmax probabilities (Salehi et al. 2017), mean over
    the foreground classes. With alpha = beta = 1/2 it is soft Dice.

    Args:
        alpha: weight of false alarms.
        beta: weight of misses.
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
