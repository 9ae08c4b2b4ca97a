"""Volumes as stacks of 2-D slices: the axis that slices follow each other along comes first."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform
from numpy.typing import NDArray

from medlight.core.errors import ConfigError
from medlight.core.grid import AXIS_CODES, Grid
from medlight.core.sample import Sample
from medlight.transforms.resample import reorient

CODES = {"axial": "SPL", "coronal": "AIL", "sagittal": "RIP"}
"""Where the axes of a volume point whose slices come first, each as a picture on a screen: up is
anterior in axial slices, else superior; left is the patient's right, in sagittal ones anterior."""
MAX_OFF = 0.05
"""How far, in slices, one may lie off its place in the file."""


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
    if plane not in CODES:
        raise ConfigError(f"data.slices must be one of {', '.join(CODES)} or null, got {plane}")
    if ndim != 3:
        raise ConfigError(
            f"data.slices={plane} cuts volumes, but these images have {ndim} axes; leave "
            f"data.slices out"
        )


def slices_first(sample: Sample, plane: str) -> Sample:
    """Turn a volume as `CODES` says.

    Args:
        sample: with `image`, `grid` and maybe `mask`.
        plane: of the slices.

    Returns:
        The same, no voxel changed; `grid` stays true.

    Raises:
        ConfigError: it is no volume.
    """
    grid = sample["grid"]
    check_plane(plane, grid.ndim)
    turned: dict[str, Any] = {}
    for key in ("image", "mask"):
        if key in sample:
            turned[key], turned["grid"] = reorient(sample[key], grid, CODES[plane])
    return cast(Sample, {**sample, **turned})


def slices_back(volume: NDArray[Any], plane: str) -> NDArray[Any]:
    """Turn the (*S) or (C, *S) voxels of a volume whose slices come first to RAS.

    >>> slices_back(np.zeros((1, 5, 4, 3)), "axial").shape
    (1, 3, 4, 5)
    """
    turn = ornt_transform(axcodes2ornt(CODES[plane]), axcodes2ornt("RAS"))
    if volume.ndim == 3:
        return cast(NDArray[Any], apply_orientation(volume, turn))
    return np.stack([apply_orientation(channel, turn) for channel in volume])


def spacing_in_ras(within: Sequence[float], plane: str) -> list[float | None]:
    """Give the voxel size within slices, down and across, to the axes of a volume in RAS.

    >>> spacing_in_ras((0.5, 0.7), "axial")
    [0.7, 0.5, None]
    """
    of_axis = dict(zip(CODES[plane][1:], within, strict=True))
    return [next((of_axis[c] for c in pair if c in of_axis), None) for pair in AXIS_CODES]


def slice_numbers(grid: Grid, source: Grid, plane: str) -> NDArray[np.int64]:
    """Find the slice of a file that each slice of its volume is.

    Args:
        grid: of the volume, with slices first.
        source: of the file.
        plane: of the slices.

    Returns:
        Numbers along the file's axis that lies closest to the normal of the plane, from 0.

    Raises:
        ConfigError: slices lie between those of the file.
    """
    normal = [AXIS_CODES[world][1] for world, _ in source.axes].index(CODES[plane][0])
    middle = (np.array(grid.shape) - 1) / 2
    voxels = np.array([[number, *middle[1:]] for number in range(grid.shape[0])])
    places = source.to_voxel(grid.to_world(voxels))[:, normal]
    numbers = np.rint(places).astype(np.int64)
    if np.abs(places - numbers).max() > MAX_OFF or len({*numbers.tolist()}) < len(numbers):
        raise ConfigError(
            f"data.slices={plane}: the transforms resample volumes across their slices, so that "
            f"these are not those of the file; give null for that axis, such as "
            f"transforms.spacing_mm=[0.8,0.8,null]"
        )
    return numbers
