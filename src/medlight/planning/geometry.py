"""Spacing, patch and strides, by the rules of nnU-Net (Isensee et al., Nature Methods 2021,
supplementary note 2, and its second version), in our own arithmetic.

Shapes: *S spatial axes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ANISOTROPIC = 3.0
"""An axis is coarse where its voxels are this much longer, and this much fewer, than others."""
MIN_EDGE_VOXELS = 4
"""Voxels that the deepest level keeps along an axis."""
BLOCK_VOXELS = 256**3
"""Size of the cube, in mm, that the search for a patch starts from."""


def target_spacing(
    spacings_mm: NDArray[np.float64], shapes: NDArray[np.int64]
) -> tuple[tuple[float, ...], bool]:
    """The median of each axis, and whether one axis is so coarse that its 10th percentile was
    taken instead: then few cases lose detail along it, and fewer voxels are invented.

    Args:
        spacings_mm: (N, *S), and shapes: (N, *S), of training cases.
    """
    spacing = np.median(spacings_mm, axis=0)
    size = np.median(shapes, axis=0)
    worst = int(np.argmax(spacing))
    others = np.delete(np.arange(len(spacing)), worst)
    coarse = (
        spacing[worst] > ANISOTROPIC * spacing[others].max()
        and size[worst] * ANISOTROPIC < size[others].min()
    )
    if coarse:
        tenth = np.percentile(spacings_mm[:, worst], 10)
        spacing[worst] = max(tenth, spacing[others].max())
    return tuple(float(f"{value:.4g}") for value in spacing), bool(coarse)


def resampled_shape(
    shapes: NDArray[np.int64], spacings_mm: NDArray[np.float64], spacing: Sequence[float]
) -> NDArray[np.float64]:
    """Find the median shape of the cases once they have a spacing.

    Args:
        shapes: (N, *S) voxels.
        spacings_mm: (N, *S) as they are.
        spacing: mm along each axis, as they will be.

    Returns:
        (*S) voxels.
    """
    middle: NDArray[np.float64] = np.median(np.rint(shapes * spacings_mm / spacing), axis=0)
    return middle


def pooling_strides(
    shape: Sequence[float], spacing: Sequence[float]
) -> tuple[tuple[int, ...], ...]:
    """Strides from the top level down: an axis is halved while it keeps `MIN_EDGE_VOXELS` voxels
    and its voxels are not yet twice as long as the shortest; so coarse axes wait for the others.
    A net has a second level even if nothing can be halved.

    >>> pooling_strides((36, 50, 35), (1, 1, 1))
    ((2, 2, 2), (2, 2, 2), (2, 2, 2))
    >>> pooling_strides((160, 160, 24), (0.8, 0.8, 5.0))
    ((2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2), (2, 2, 1))
    >>> pooling_strides((6, 7, 5), (1, 1, 1))
    ((1, 1, 1),)
    """
    size, voxel = np.array(shape, np.float64), np.array(spacing, np.float64)
    strides: list[tuple[int, ...]] = []
    while True:
        large = size >= 2 * MIN_EDGE_VOXELS
        if not large.any():
            return tuple(strides) or ((1,) * len(size),)
        halved = large & (voxel < 2 * voxel[large].min())
        strides.append(tuple(2 if half else 1 for half in halved))
        size, voxel = np.where(halved, np.floor(size / 2), size), voxel * np.where(halved, 2, 1)


@dataclass(frozen=True, slots=True)
class PatchPlan:
    """What one step of training sees: (*S) voxels, and the strides of a net for them."""

    shape: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]


def choose_patch(
    median_shape: Sequence[float], spacing: Sequence[float], fits: Callable[[PatchPlan], bool]
) -> PatchPlan:
    """The largest patch that fits: a cube in mm, no larger than the median case, then shortened
    along the axis that covers most of the case, until `fits` says yes.

    >>> choose_patch((36, 50, 35), (1, 1, 1), lambda patch: True).shape
    (40, 56, 40)
    """
    per_mm = 1 / np.array(spacing)
    start = np.rint(per_mm * (BLOCK_VOXELS / per_mm.prod()) ** (1 / len(per_mm)))
    if len(per_mm) == 2:
        start = np.rint(per_mm * (512**2 / per_mm.prod()) ** 0.5)
    shape, middle = np.minimum(start, median_shape), np.array(median_shape, np.float64)
    while True:
        strides = pooling_strides(tuple(shape), spacing)
        divisor = np.prod(np.array(strides), axis=0)
        size = np.ceil(shape / divisor) * divisor
        patch = PatchPlan(tuple(int(n) for n in size), strides)
        long = shape > MIN_EDGE_VOXELS
        if fits(patch) or not long.any():
            return patch
        axis = int(np.argmax(np.where(long, size / middle, 0)))
        shape[axis] = max(size[axis] - divisor[axis], MIN_EDGE_VOXELS)
