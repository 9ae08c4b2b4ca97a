"""Linear interpolation along the axes of a grid, plane by plane.

Shapes: K classes; (P, Q) a plane of the net's grid, (T, U) the same plane of the source's.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medlight.inference.heads import Head

DENSE_FRACTION = 0.1
"""Of the voxels of a plane: where more need it, all of it is interpolated."""


@dataclass(frozen=True, slots=True, eq=False)
class AxisInterp:
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
    def from_affine(
        cls, count: int, n: int, scale: float, offset: float, tolerance: float
    ) -> "AxisInterp":
        """Find the neighbours of the voxels of a source axis.

        Args:
            count: voxels of the source axis; voxel i lies at `scale` * i + `offset`.
            n: voxels of the net's axis.
            scale, offset: in voxels of the net's axis.
            tolerance: voxels; what is nearer to a voxel lies on it.
        """
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


def gather_slices(values: Tensor, indices: NDArray[np.int64], dim: int) -> Tensor:
    """Entries along one dimension. On a CPU NumPy is several times faster at it than torch."""
    if values.device.type == "cpu":
        return torch.from_numpy(values.numpy().take(indices, dim))
    return values.index_select(dim, torch.from_numpy(indices).to(values.device))


def lerp(values: Tensor, interp: AxisInterp, dim: int) -> Tensor:
    """Interpolate along one dimension."""
    low = gather_slices(values, interp.below, dim)
    if not interp.weight.any():
        return low
    shape = [-1 if d == dim else 1 for d in range(values.ndim)]
    weight = torch.from_numpy(interp.weight).to(values.device).reshape(shape)
    return low.lerp_(gather_slices(values, interp.above, dim), weight)


class LogitPlane:
    """A plane of the net's grid, and what the source's planes beside it need of it.

    Args:
        values: (K, P, Q) logits, followed by channels that are no class.
        classes: K.
        first, second: where the source's voxels lie on the axes of the plane.
        head: what the classes mean.
    """

    def __init__(
        self, values: Tensor, classes: int, first: AxisInterp, second: AxisInterp, head: Head
    ) -> None:
        self.values, self.first, self.second, self.head = values, first, second, head
        self.logits = values[:classes]
        self.labels = head.labels(self.logits)

    @cached_property
    def label_bounds(self) -> tuple[Tensor, Tensor]:
        """(T, U) uint8 smallest and largest label among the neighbours of each source voxel."""
        least = most = self.labels
        for dim, interp in ((1, self.second), (0, self.first)):
            low = gather_slices(least, interp.below, dim)
            high = gather_slices(most, interp.below, dim)
            if interp.weight.any():
                low = torch.minimum(low, gather_slices(least, interp.above, dim))
                high = torch.maximum(high, gather_slices(most, interp.above, dim))
            least, most = low, high
        return least, most

    @cached_property
    def interpolated(self) -> Tensor:
        """All channels, interpolated within the plane: (K.., T, U)."""
        return lerp(lerp(self.values, self.second, 2), self.first, 1)

    def logits_at(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
        """(K, M) logits of single source voxels."""
        if "interpolated" in self.__dict__:
            flat = self.interpolated[: len(self.logits)].reshape(len(self.logits), -1)
            return gather_slices(flat, rows * len(self.second) + columns, 1)
        flat, width = self.logits.reshape(len(self.logits), -1), self.labels.shape[1]
        corners = [
            gather_slices(flat, at[rows] * width + by[columns], 1)
            for at in (self.first.below, self.first.above)
            for by in (self.second.below, self.second.above)
        ]
        across = torch.from_numpy(self.second.weight[columns]).to(flat.device)
        down = torch.from_numpy(self.first.weight[rows]).to(flat.device)
        near = corners[0].lerp_(corners[1], across)
        return near.lerp_(corners[2].lerp_(corners[3], across), down)


def interpolate_labels(low: LogitPlane, high: LogitPlane, weight: float) -> Tensor:
    """Label linearly interpolated logits between two planes.

    If the voxel's neighbours agree on a label, so does every mean of them; only where they do not,
    logits are interpolated: a few voxels in a hundred.

    Args:
        low, high: the planes.
        weight: how far from `low` to `high`, 0 to 1.

    Returns:
        (T, U) uint8.
    """
    least, most = low.label_bounds
    if weight:
        least = torch.minimum(least, high.label_bounds[0])
        most = torch.maximum(most, high.label_bounds[1])
    mixed = least != most
    count = int(mixed.count_nonzero())
    if not count:
        return least
    if count > DENSE_FRACTION * mixed.numel():
        _ = low.interpolated, high.interpolated
    rows, columns = mixed.cpu().numpy().nonzero()
    values = low.logits_at(rows, columns)
    if weight:
        values = values.lerp_(high.logits_at(rows, columns), weight)
    labels = least.clone()
    labels[mixed] = low.head.labels(values)
    return labels
