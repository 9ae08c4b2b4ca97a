"""Dice and cross-entropy: MONAI's numbers and gradients."""

import pytest
import torch
from monai.losses import DiceCELoss
from torch import Tensor

from medlight.losses.dice import DiceCE


def batch(shape: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(len(shape))
    logits = torch.randn(4, classes, *shape, generator=random)
    mask = torch.randint(0, classes, (4, 1, *shape), generator=random)
    return logits.requires_grad_(), mask


@pytest.mark.parametrize(("shape", "classes"), [((9, 7), 2), ((6, 5, 4), 4)])
def test_one_process_gives_what_monai_gives(shape: tuple[int, ...], classes: int) -> None:
    logits, mask = batch(shape, classes)
    theirs = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    expected = theirs(logits, mask)
    (wanted,) = torch.autograd.grad(expected, logits)
    found = DiceCE()(logits, mask)
    (gradient,) = torch.autograd.grad(found, logits)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, wanted)
