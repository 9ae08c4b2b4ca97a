"""Distances between the borders of two masks, in mm, found once for all metrics.

HD95, ASSD and NSD weigh every piece of border with its size; see
`medlight.metrics.surface_elements`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from medlight.metrics.surface_elements import neighbour_codes, surface_element_areas

ROUNDING_MM = 1e-6
"""Distances that exceed a tolerance by no more than this are within it."""


@dataclass(frozen=True, slots=True)
class SurfaceDistances:
    """Pieces of two borders, their sizes, and how far each lies from the other border.

    Attributes:
        prediction_distances_mm, reference_distances_mm: distance of each piece to the nearest of
            the other border.
        prediction_areas, reference_areas: mm^2 in 3-D, mm in 2-D.
    """

    prediction_distances_mm: NDArray[np.float64]
    reference_distances_mm: NDArray[np.float64]
    prediction_areas: NDArray[np.float64]
    reference_areas: NDArray[np.float64]

    @property
    def hd95_mm(self) -> float:
        """95th percentile of the distances over the area of each border; the larger of the two."""
        return max(
            _percentile(self.prediction_distances_mm, self.prediction_areas, 0.95),
            _percentile(self.reference_distances_mm, self.reference_areas, 0.95),
        )

    @property
    def assd_mm(self) -> float:
        """Average symmetric surface distance: the mean over the area of both borders."""
        total = (
            self.prediction_distances_mm @ self.prediction_areas
            + self.reference_distances_mm @ self.reference_areas
        )
        return float(total / (self.prediction_areas.sum() + self.reference_areas.sum()))

    def nsd(self, tolerance_mm: float) -> float:
        """Compute the normalised surface distance, or surface Dice (Nikolov et al. 2018).

        Args:
            tolerance_mm: how far borders may lie apart.

        Returns:
            The share of both borders that lies within the tolerance of the other, 0 to 1.
        """
        within = tolerance_mm + ROUNDING_MM
        near = self.prediction_areas[self.prediction_distances_mm <= within].sum()
        near += self.reference_areas[self.reference_distances_mm <= within].sum()
        return float(near / (self.prediction_areas.sum() + self.reference_areas.sum()))


def surface_distances(
    prediction: NDArray[np.bool_], reference: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> SurfaceDistances:
    """Compare the borders of two masks.

    Args:
        prediction, reference: (*S), neither of them empty.
        spacing_mm: voxel size along each axis.

    Raises:
        ValueError: one of them is empty.
    """
    if not (prediction.any() and reference.any()):
        raise ValueError(
            "an empty mask has no border; see the policy in medlight.metrics.segmentation_cases"
        )
    spacing = tuple(float(s) for s in spacing_mm)
    there = bounding_box(prediction | reference)
    sides = [neighbour_codes(np.ascontiguousarray(mask[there])) for mask in (prediction, reference)]
    everything = 2**2**prediction.ndim - 1
    cells = [np.flatnonzero((codes != 0) & (codes != everything)) for codes in sides]
    sizes = [
        surface_element_areas(spacing)[c.ravel()[i]] for c, i in zip(sides, cells, strict=True)
    ]
    shape = sides[0].shape
    return SurfaceDistances(
        _distances(cells[0], cells[1], shape, spacing),
        _distances(cells[1], cells[0], shape, spacing),
        *sizes,
    )


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Find the smallest window that holds all of a mask.

    Args:
        mask: (*S), not empty.

    >>> bounding_box(np.array([[0, 0, 0], [0, 1, 1]], bool))
    (slice(1, 2, None), slice(1, 3, None))
    """
    window = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        (filled,) = np.nonzero(mask.any(axis=others))
        window.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(window)


def _distances(
    cells: NDArray[np.int64],
    others: NDArray[np.int64],
    shape: Sequence[int],
    spacing: Sequence[float],
) -> NDArray[np.float64]:
    """(N,) from each cell to the nearest of `others`; cells that both borders share are at 0."""
    found = np.zeros(len(cells))
    occupied = np.zeros(int(np.prod(shape)), bool)
    occupied[others] = True
    apart = np.flatnonzero(~occupied[cells])
    if len(apart):
        tree = cKDTree(_points(others, shape, spacing), balanced_tree=False, compact_nodes=False)
        found[apart] = tree.query(_points(cells[apart], shape, spacing))[0]
    return found


def _points(
    cells: NDArray[np.int64], shape: Sequence[int], spacing: Sequence[float]
) -> NDArray[np.float64]:
    return np.stack(np.unravel_index(cells, shape), axis=1) * np.asarray(spacing)


def _percentile(distances: NDArray[np.float64], sizes: NDArray[np.float64], share: float) -> float:
    """The distance within which `share` of the border lies."""
    order = np.argsort(distances)
    reached = np.cumsum(sizes[order]) / sizes.sum()
    place = min(int(np.searchsorted(reached, share)), len(order) - 1)
    return float(distances[order[place]])
