"""Volumes as stacks of 2-D slices: the axis that slices follow each other along comes first."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import ConfigError
from medlight.core.grid import AXIS_CODES, Grid
from medlight.core.sample import Sample

PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Plane of a slice to the world axis (RAS) that lies closest to its normal."""


def check_plane(plane: str | None, ndim: int) -> None:
    """Refuse a plane that there is not, and pictures, which have no slices.

    Args:
        plane: what was typed; None: volumes stay volumes.
        ndim: spatial axes of the images.

    Raises:
        ConfigError: naming data.slices.
    """
    if plane is None:
        return
    if plane not in PLANES:
        raise ConfigError(f"data.slices must be one of {', '.join(PLANES)} or null, got {plane}")
    if ndim != 3:
        raise ConfigError(
            f"data.slices={plane} cuts volumes, but these images have {ndim} axes; leave "
            f"data.slices out"
        )


def slice_axis(grid: Grid, plane: str) -> int:
    """Find the voxel axis that slices of a plane follow each other along.

    >>> slice_axis(Grid((2, 2, 2)), "axial")
    2
    """
    return [int(world) for world, _ in grid.axes].index(PLANES[plane])


def _order(first: int) -> list[int]:
    return [first, *(axis for axis in (2, 1, 0) if axis != first)]


def order_of_codes(codes: str, plane: str) -> list[int]:
    """Say in which order `slices_first` puts the axes of a volume that lies so.

    >>> order_of_codes("RAS", "axial")
    [2, 1, 0]
    """
    return _order(next(a for a, code in enumerate(codes) if code in AXIS_CODES[PLANES[plane]]))


def slices_back(volume: NDArray[Any], plane: str) -> NDArray[Any]:
    """Turn (..., *S) voxels that `slices_first` turned, of a volume in RAS, back to RAS.

    >>> slices_back(np.zeros((1, 5, 4, 3)), "axial").shape
    (1, 3, 4, 5)
    """
    lead = volume.ndim - 3
    return volume.transpose(*range(lead), *(lead + np.argsort(_order(PLANES[plane]))))


def slices_first(sample: Sample, plane: str) -> Sample:
    """Turn a volume so that its slices follow each other along the first axis, each as a picture:
    of a volume in RAS, columns of axial and coronal slices run from left to right.

    Args:
        sample: with `image`, `grid` and maybe `mask`.
        plane: one of `PLANES`.

    Returns:
        The same, no voxel changed; `grid` stays true.

    Raises:
        ConfigError: it is no volume.
    """
    grid = sample["grid"]
    check_plane(plane, grid.ndim)
    first = slice_axis(grid, plane)
    order = _order(first)
    affine = grid.affine.copy()
    affine[:, :3] = grid.affine[:, order]
    turned = {
        key: sample[key].permute(0, *(axis + 1 for axis in order)).contiguous()  # type: ignore[literal-required]
        for key in ("image", "mask")
        if key in sample
    }
    return cast(Sample, {**sample, **turned, "grid": Grid([grid.shape[a] for a in order], affine)})
