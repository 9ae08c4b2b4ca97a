"""The estimate of memory, against arithmetic that a person can do."""

import torch
from torch import nn

from medlight.planning.memory import COPIES, PASSING, device_at_hand, training_bytes


def net() -> nn.Module:
    return nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 2, 1))


def test_what_is_kept_is_counted_once() -> None:
    """The backward pass needs the input, and the output of the ReLU, which is also the next
    input."""
    kept = 4 * 2 * (1 + 8) * 16**3
    weights = 4 * (8 * 27 + 8 + 2 * 8 + 2)
    estimate = training_bytes(net, (2, 1, 16, 16, 16))
    assert estimate == int(PASSING * kept + COPIES * weights)


def test_nothing_is_computed() -> None:
    assert training_bytes(net, (64, 1, 512, 512, 512)) > 64 * 2**30


def test_memory_can_be_stated() -> None:
    stated = device_at_hand(4.0)
    assert stated.memory == 4 * 2**30
    assert stated.gpu == torch.cuda.is_available()
    assert device_at_hand().memory > 0
