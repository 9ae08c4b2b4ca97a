"""Dice plus focal loss, both of the softmax.

MONAI's DiceFocalLoss takes the focal part of sigmoids even with `softmax=True` (its issue 8242),
leaves the background's voxels out of it with the background's Dice, and divides it by K.
"""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from medlight.losses.soft_dice import SoftDice


class DiceFocal(nn.Module):
    """Soft Dice of the batch, without background, plus the mean over voxels of
    -(1 - p)^gamma log p (Lin et al. 2017), where p is the probability of the true label.

    With gamma 0 it is Dice + cross-entropy.

    Args:
        gamma: the larger, the less a voxel counts that is right already.
        focal: weight of the focal part.
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
