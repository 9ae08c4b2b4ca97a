"""Blurred and coarse acquisitions. R rows: chosen channels of chosen samples; n spatial axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medlight.augment.channel_batch import ChannelBatch, column
from medlight.augment.intensity import IntensityStep, Params
from medlight.augment.random import RandomStreams
from medlight.augment.spatial import check_range, thin_axis
from medlight.augment.warp import apply_along_axes

TRUNCATE = 4.0
"""Standard deviations at which a Gaussian ends, as in SciPy."""
MAX_AXES = 3


@dataclass(frozen=True, kw_only=True)
class Blur(IntensityStep):
    """Gaussian filter, its width in voxels drawn for each axis from `sigma`; the border repeats."""

    sigma: Sequence[float] = (0.5, 1.0)

    def __post_init__(self) -> None:
        check_range("Blur.sigma", self.sigma)

    def randomize(self, rng: RandomStreams, channels: int) -> Params:
        low, high = self.sigma
        return (rng.between(low, high, channels, MAX_AXES),)

    def apply(self, rows: ChannelBatch, *params: Tensor) -> None:
        values = rows.values()
        radius = math.ceil(TRUNCATE * self.sigma[1])
        steps = torch.arange(radius + 1, device=values.device)
        for axis in range(1, values.ndim):
            sigma = params[0][:, axis - 1, None]
            weights = torch.exp(-0.5 * (steps / sigma) ** 2)
            weights /= 2 * weights.sum(1, keepdim=True) - weights[:, :1]
            values = _convolve(values, weights, axis)
        rows.replace(values)


def _convolve(rows: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Along one axis with symmetric kernels: weights (R, radius + 1) from the middle outwards.

    A sum of shifted copies: convolutions with a kernel for each row are slow on every device.
    """
    radius, size = weights.shape[1] - 1, rows.shape[axis]
    places = torch.arange(-radius, size + radius, device=rows.device).clamp_(0, size - 1)
    padded = rows.index_select(axis, places)
    total = rows * column(weights[:, 0], rows)
    for step in range(1, radius + 1):
        pair = padded.narrow(axis, radius - step, size) + padded.narrow(axis, radius + step, size)
        total.addcmul_(pair, column(weights[:, step], rows))
    return total


@dataclass(frozen=True, kw_only=True)
class LowResolution(IntensityStep):
    """Simulate a coarser acquisition: keep a share of the voxels along every axis, drawn from
    `zoom`, by nearest neighbour, and interpolate between them.

    Attributes:
        in_plane: leave the short axis of a stack of slices alone.
    """

    zoom: Sequence[float] = (0.5, 1.0)
    in_plane: bool = False

    def __post_init__(self) -> None:
        check_range("LowResolution.zoom", self.zoom)

    def randomize(self, rng: RandomStreams, channels: int) -> Params:
        low, high = self.zoom
        return (rng.between(low, high, channels),)

    def apply(self, rows: ChannelBatch, *params: Tensor) -> None:
        shape = rows.shape
        thin = thin_axis(shape) if self.in_plane else None
        whole = torch.ones_like(params[0])
        shares = [whole if axis == thin else params[0] for axis in range(len(shape))]
        matrices = [_coarsen(size, zoom) for size, zoom in zip(shape, shares, strict=True)]
        rows.replace(apply_along_axes(rows.values(), matrices))


def _coarsen(size: int, zoom: Tensor) -> Tensor:
    """(R, size, size): to round(share * size) voxels by nearest neighbour, and back, linearly.

    Voxel centres keep their place (`align_corners=False`, "nearest-exact" in torch's words).
    """
    kept = (zoom * size).round().clamp_(min=1)[:, None]
    places = torch.arange(size, device=zoom.device) + 0.5
    coarse = (places * kept / size - 0.5).clamp_(min=0).minimum(kept - 1)
    low = coarse.floor()
    matrix = torch.zeros(len(zoom), size, size, device=zoom.device)
    for corner, weight in ((low, 1 - (coarse - low)), ((low + 1).minimum(kept - 1), coarse - low)):
        source = ((corner + 0.5) * size / kept).floor().long().clamp_(max=size - 1)
        matrix.scatter_add_(2, source[:, :, None], weight[:, :, None])
    return matrix
