"""Which image sizes does a net take? Ask it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

CANDIDATES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class InputSize:
    """Image sizes a net takes.

    Attributes:
        divisor: what the size along each axis must be a multiple of.
        min_size: what an image that would be of size `divisor` needs: that, or twice as much
            where it leaves an instance norm with a single voxel.
    """

    divisor: tuple[int, ...]
    min_size: tuple[int, ...]

    @classmethod
    def probe(cls, net: nn.Module, *, channels: int, spatial_dims: int) -> "InputSize":
        """Try the net on small images. One that knows says so itself, by an attribute `divisor`.

        Args:
            net: left in the mode it was in.
            channels: of its input.
            spatial_dims: 2 or 3.
        """
        known = getattr(net, "divisor", None)
        if known is not None:
            return cls(tuple(known), tuple(known))
        training = net.training
        net.eval()
        found = find_divisor(net, channels=channels, spatial_dims=spatial_dims)
        alone = tuple(found) if _accepts(net, channels, found) else tuple(2 * n for n in found)
        net.train(training)
        return cls(found, alone)

    def round_up(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The next size the net takes.

        >>> size = InputSize((8, 8), (16, 16))
        >>> size.round_up((13, 17)), size.round_up((5, 8))
        ((16, 24), (16, 16))
        """
        whole = tuple(d * -(-n // d) for n, d in zip(shape, self.divisor, strict=True))
        return self.min_size if whole == self.divisor else whole


def find_divisor(net: nn.Module, *, channels: int, spatial_dims: int) -> tuple[int, ...]:
    """Find the smallest power of two for each axis that the net accepts, up to 64.

    First for all axes alike, then for each whether less will do: an image three times as long as
    that along one axis must come back in its shape.

    Args:
        net: in evaluation mode.
        channels: of its input.
        spatial_dims: 2 or 3.
    """
    axes = range(spatial_dims)

    def takes(divisors: Sequence[int], axis: int) -> bool:
        return _accepts(
            net, channels, [n * (3 if a == axis else 1) for a, n in enumerate(divisors)]
        )

    alike = next(
        (c for c in CANDIDATES if all(takes([c] * spatial_dims, axis) for axis in axes)),
        CANDIDATES[-1],
    )
    found = [alike] * spatial_dims
    for axis in axes:
        for less in CANDIDATES[: CANDIDATES.index(alike)]:
            tried = [*found[:axis], less, *found[axis + 1 :]]
            if takes(tried, axis):
                found = tried
                break
    return tuple(found)


def _accepts(net: nn.Module, channels: int, size: Sequence[int]) -> bool:
    try:
        with torch.inference_mode():
            return net(torch.zeros(1, channels, *size)).shape[2:] == torch.Size(size)
    except (RuntimeError, ValueError):
        return False


def pad_to(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Lengthen an image at the far ends, with its minimum.

    Args:
        image: (B, C, *S).
        shape: *S of the result.
    """
    sides = [(0, n - have) for have, n in zip(image.shape[2:], shape, strict=True)]
    if not any(short for _, short in sides):
        return image
    lowest = 0.0 if image.is_meta else float(image.min())  # a shape alone has none
    return pad(image, [n for side in reversed(sides) for n in side], value=lowest)


def crop_to(image: Tensor, shape: Sequence[int]) -> Tensor:
    """What was padded, without its padding."""
    places: Any = (..., *(slice(n) for n in shape))
    part: Tensor = image[places]
    return part
