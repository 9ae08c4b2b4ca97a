"""Reorder axes, change the voxel size, or resize to one shape.

Voxel sizes change on the grid that MONAI's `Spacing` chooses, in a fraction of its time. A change
of spacing keeps the directions of the axes, so that each axis can be done for itself:
two neighbours and a weight, where a general transform gathers eight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.sample import Sample


def reorient(voxels: torch.Tensor, grid: Grid, codes: str) -> tuple[torch.Tensor, Grid]:
    """Turn the axes of an image. No voxel changes.

    Args:
        voxels: (C, *S), three spatial axes.
        grid: where they lie.
        codes: where the axes should point, such as "RAS".

    Returns:
        (C, *S) with its axes in that order, and its new grid.

    Raises:
        ConfigError: `codes` is no order of the three axes.
    """
    letters = sorted(min(pair) for pair in map(set, ("LR", "PA", "IS")) for c in codes if c in pair)
    if letters != ["A", "I", "L"] or len(codes) != 3:
        raise ConfigError(
            f"transforms.orientation must hold one of L R, one of P A and one of I S, got {codes!r}"
        )
    turn = ornt_transform(io_orientation(grid.affine), axcodes2ornt(codes))
    affine = grid.affine @ inv_ornt_aff(turn, grid.shape)
    flipped = [axis + 1 for axis, sign in enumerate(turn[:, 1]) if sign < 0]
    order = np.argsort(turn[:, 0])
    voxels = voxels.flip(flipped) if flipped else voxels
    voxels = voxels.permute(0, *(int(axis) + 1 for axis in order)).contiguous()
    return voxels, Grid(tuple(voxels.shape[1:]), affine)


SPACING_TOLERANCE_MM = 1e-3  # MONAI's tolerance: a spacing this near is kept


def resample_to_spacing(
    voxels: torch.Tensor, grid: Grid, spacing_mm: Sequence[float | None], *, nearest: bool
) -> tuple[torch.Tensor, Grid]:
    """Resample an image to another voxel size. The first voxel stays where it is.

    Outside the image its border goes on. If the axes are not at right angles MONAI does it, which
    removes the shear.

    Args:
        voxels: (C, *S), three spatial axes.
        grid: where they lie.
        spacing_mm: wanted distance between voxel centres along each axis; None: it stays.
        nearest: take the nearest neighbour, for masks; else interpolate linearly.

    Returns:
        (C, *S) at that spacing, and its new grid.
    """
    own = np.array(grid.spacing_mm)
    wanted = np.array([o if w is None else w for o, w in zip(own, spacing_mm, strict=True)])
    wanted = np.where(np.abs(own - wanted) <= SPACING_TOLERANCE_MM, own, wanted)
    if (wanted == own).all():
        return voxels, grid
    axes = grid.affine[:3, :3] / own
    if np.abs(axes.T @ axes - np.eye(3)).max() > SPACING_TOLERANCE_MM:
        return _resample_sheared(voxels, grid, wanted, nearest=nearest)
    ratio = wanted / own
    size = np.round((np.array(grid.shape) - 1) / ratio + 1).astype(int)
    affine = grid.affine.copy()
    affine[:3, :3] = axes * wanted
    steps = [
        _AxisInterp.build(*each, nearest=nearest)
        for each in zip(grid.shape, size, ratio, strict=True)
    ]
    moved = np.empty((len(voxels), *size), voxels.numpy().dtype)
    for channel, target in zip(voxels.numpy(), moved, strict=True):
        _resample_planes(channel, target, steps)
    return torch.from_numpy(moved), Grid(tuple(int(n) for n in size), affine)


@dataclass(frozen=True, slots=True, eq=False)
class _AxisInterp:
    """Along one axis: the voxels below and above each new one, and how much of the upper it is."""

    below: NDArray[np.int64]
    above: NDArray[np.int64]
    weight: NDArray[np.float32] | None

    @classmethod
    def build(cls, count: int, new: int, ratio: float, *, nearest: bool) -> "_AxisInterp":
        places = np.clip(np.arange(new) * ratio, 0, count - 1)
        if nearest or ratio == 1:
            near = np.rint(places).astype(np.int64)
            return cls(near, near, None)
        below = np.minimum(places.astype(np.int64), max(count - 2, 0))
        weight = (places - below).astype(np.float32)
        return cls(below, np.minimum(below + 1, count - 1), weight)

    def apply(self, plane: NDArray[Any], axis: int) -> NDArray[Any]:
        low: NDArray[Any] = plane.take(self.below, axis)
        if self.weight is None:
            return low
        high = plane.take(self.above, axis)
        high -= low
        high *= self.weight[:, None] if axis == 0 else self.weight
        high += low
        return high


def _resample_planes(
    volume: NDArray[Any], target: NDArray[Any], steps: Sequence[_AxisInterp]
) -> None:
    """(X, Y, Z) to `target`, plane after plane: what is worked on stays in the cache."""
    first, *rest = steps

    def flat(plane: NDArray[Any]) -> NDArray[Any]:
        for axis in np.argsort([n / o for n, o in zip(target.shape[1:], plane.shape, strict=True)]):
            plane = rest[axis].apply(plane, int(axis))
        return plane

    def between(planes: Sequence[NDArray[Any]] | NDArray[Any], row: int) -> NDArray[Any]:
        low = planes[first.below[row]]
        if first.weight is None or first.weight[row] == 0:
            return low
        blend = planes[first.above[row]] - low
        blend *= first.weight[row]
        blend += low
        return blend

    if len(target) < len(volume):
        for row in range(len(target)):
            target[row] = flat(between(volume, row))
    else:
        planes = [flat(plane) for plane in volume]
        for row in range(len(target)):
            target[row] = between(planes, row)


def _resample_sheared(
    voxels: torch.Tensor, grid: Grid, spacing_mm: NDArray[np.float64], *, nearest: bool
) -> tuple[torch.Tensor, Grid]:
    from monai.data import MetaTensor
    from monai.transforms import Spacing  # takes seconds to import, and is rarely needed

    spacing = Spacing(spacing_mm.tolist(), mode="nearest" if nearest else "bilinear")
    moved: Any = spacing(MetaTensor(voxels, affine=torch.from_numpy(grid.affine)))
    values = moved.as_tensor().to(voxels.dtype)
    return values, Grid(tuple(values.shape[1:]), moved.affine.numpy())


def resize(
    sample: Sample, size: Sequence[int], *, mode: str, anti_aliasing: bool = False
) -> Sample:
    """Resize image and mask as MONAI's `Resize` does, the mask by nearest neighbour.

    Args:
        sample: with `image` (C, *S), `grid` and, if there is one, `mask` (1, *S).
        size: voxels along each spatial axis.
        mode: interpolation of the image, such as "bilinear" or "area".
        anti_aliasing: blur the image first where it shrinks.

    Returns:
        The sample with its new image, mask and grid. The mask keeps its dtype.
    """
    from monai.data import MetaTensor  # takes seconds, and images of the right size need none
    from monai.transforms import Resize

    affine = torch.from_numpy(sample["grid"].affine)
    image: Any = Resize(size, mode=mode, anti_aliasing=anti_aliasing)(
        MetaTensor(sample["image"], affine=affine)
    )
    grid = Grid(tuple(image.shape[1:]), image.affine.numpy())
    resized: Sample = {**sample, "image": image.as_tensor(), "grid": grid}
    if "mask" in sample:
        mask: Any = Resize(size, mode="nearest")(MetaTensor(sample["mask"].float(), affine=affine))
        resized["mask"] = mask.as_tensor().to(sample["mask"].dtype)
    return resized
