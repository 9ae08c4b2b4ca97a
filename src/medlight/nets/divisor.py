"""By what must an image's size be divisible? Ask the net."""

from collections.abc import Sequence

import torch
from torch import nn

CANDIDATES = (1, 2, 4, 8, 16, 32, 64)
BASE = 64


def divisor(net: nn.Module, *, channels: int, spatial_dims: int) -> tuple[int, ...]:
    """The smallest power of two for each axis that the net accepts, up to 64.

    The net is tried, axis by axis, on odd multiples of each candidate: one that fails, or that
    comes back in another shape, does not divide.
    """
    training = net.training
    net.eval()
    found = []
    for axis in range(spatial_dims):
        for candidate in CANDIDATES:
            size = [BASE] * spatial_dims
            size[axis] = 3 * candidate
            if candidate == CANDIDATES[-1] or _accepts(net, torch.zeros(1, channels, *size)):
                break
        found.append(candidate)
    net.train(training)
    return tuple(found)


def _accepts(net: nn.Module, image: torch.Tensor) -> bool:
    try:
        with torch.inference_mode():
            return net(image).shape[2:] == image.shape[2:]
    except (RuntimeError, ValueError):
        return False


def rounded_up(shape: Sequence[int], divisor: Sequence[int]) -> tuple[int, ...]:
    """The smallest shape that holds `shape` and is divisible.

    >>> rounded_up((9, 8), (4, 4))
    (12, 8)
    """
    return tuple(-(-n // d) * d for n, d in zip(shape, divisor, strict=True))
