"""Linear interpolation along the axes of a grid, plane by plane.

Shapes: K classes; (P, Q) a plane of the net's grid, (T, U) the same plane of the source's.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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
    rows, columns = (least != most).nonzero(as_tuple=True)
    if not len(rows):
        return least
    mixed = least.new_zeros(0, dtype=torch.float32)
    for logits, share in ((low[0], 1 - weight), (high[0], weight)):
        if not share:
            continue
        edges = [
            torch.lerp(
                logits[:classes, at[rows], b2[columns]],
                logits[:classes, at[rows], a2[columns]],
                w2[columns],
            )
            for at in (b1, a1)
        ]
        inner = torch.lerp(edges[0], edges[1], w1[rows]) * share
        mixed = mixed + inner if mixed.numel() else inner
    least[rows, columns] = mixed.max(0).indices.to(torch.uint8)
    return least
