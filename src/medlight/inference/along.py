"""Linear interpolation along the axes of a grid, plane by plane.

Shapes: K classes; (P, Q) a plane of the net's grid, (T, U) the same plane of the source's.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MANY = 0.1
"""Of the voxels of a plane: where more need it, all of it is interpolated."""


@dataclass(frozen=True, slots=True, eq=False)
class Along:
    """Where the voxels of a source axis lie on an axis of the net's grid.

    Attributes:
        below, above: (T,) int64, the neighbours; equal where a voxel lies on one, and beyond the
            outermost centres.
        weight: (T,) float32, how much of `above`.
        inside: (T,) bool, whether the voxel's centre lies within the grid.
    """

    below: NDArray[np.int64]
    above: NDArray[np.int64]
    weight: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, count: int, n: int, scale: float, offset: float, tolerance: float) -> "Along":
        """`count` source voxels, voxel i at `scale` * i + `offset` of `n`. What lies within the
        tolerance of a voxel lies on it."""
        place = scale * np.arange(count) + offset
        whole = np.rint(place)
        place = np.where(np.abs(place - whole) < tolerance, whole, place)
        held = place.clip(0, n - 1)
        below = np.floor(held).astype(np.int64)
        weight = (held - below).astype(np.float32)
        above = np.where(weight > 0, np.minimum(below + 1, n - 1), below)
        return cls(below, above, weight, (place > -0.5) & (place < n - 0.5))

    def __len__(self) -> int:
        return len(self.below)

    def on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        below, above, weight = map(torch.from_numpy, (self.below, self.above, self.weight))
        return below.to(device), above.to(device), weight.to(device)


def lerp(values: Tensor, step: Along, dim: int) -> Tensor:
    """Interpolate along one dimension."""
    below, above, weight = step.on(values.device)
    low = values.index_select(dim, below)
    if not step.weight.any():
        return low
    shape = [-1 if d == dim else 1 for d in range(values.ndim)]
    return low.lerp_(values.index_select(dim, above), weight.reshape(shape))


def labels_between(
    low: tuple[Tensor, Tensor],
    high: tuple[Tensor, Tensor],
    weight: float,
    first: Along,
    second: Along,
    classes: int,
) -> Tensor:
    """(T, U) uint8 labels of linearly interpolated logits, on a source plane between two planes.

    Where the voxel's neighbours agree on a label, so does every mean of them; only where they do
    not, logits are interpolated: a few voxels in a hundred.

    Args:
        low, high: logits (K, P, Q) and labels (P, Q) uint8 of the planes below and above.
        weight: how much of `high`.
        first, second: the axes of the planes.
    """
    device = low[1].device
    (b1, a1, w1), (b2, a2, w2) = first.on(device), second.on(device)
    least, most = low[1], low[1]
    if weight:
        least, most = torch.minimum(least, high[1]), torch.maximum(most, high[1])
    for dim, below, above, step in ((0, b1, a1, first), (1, b2, a2, second)):
        if not step.weight.any():
            least, most = (each.index_select(dim, below) for each in (least, most))
            continue
        least = torch.minimum(least.index_select(dim, below), least.index_select(dim, above))
        most = torch.maximum(most.index_select(dim, below), most.index_select(dim, above))
    mixed = least != most
    share = mixed.count_nonzero().item() / mixed.numel()
    if not share:
        return least
    if share > MANY:
        values = torch.lerp(low[0], high[0], weight) if weight else low[0]
        return lerp(lerp(values[:classes], first, 1), second, 2).max(0).indices.to(torch.uint8)
    rows, columns = mixed.nonzero(as_tuple=True)
    corners = [(at[rows] * low[1].shape[1], by[columns]) for at in (b1, a1) for by in (b2, a2)]
    planes = [(low[0], 1 - weight), (high[0], weight)] if weight else [(low[0], 1.0)]
    blends = []
    for logits, part in planes:
        flat = logits[:classes].reshape(classes, -1)
        at = [flat.index_select(1, row + column) for row, column in corners]
        near, far = at[0].lerp_(at[1], w2[columns]), at[2].lerp_(at[3], w2[columns])
        blends.append(near.lerp_(far, w1[rows]).mul_(part))
    values = blends[0] if len(blends) == 1 else blends[0].add_(blends[1])
    least[rows, columns] = values.max(0).indices.to(torch.uint8)
    return least
