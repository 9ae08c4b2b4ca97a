"""Where voxels lie: image against mask, axes against each other, one header form against another.

`gap_mm` is how far two grids put the same corner apart: one number for shift, turn and scale.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medlight.audit.issues import Issue, exclude_hint
from medlight.core.grid import GAP_TOLERANCE, Grid, gap_mm
from medlight.io.nifti_place import is_regular

SKEW_TOLERANCE = 1e-3
"""Cosine between two axes from which they are not at right angles: 0.06 degrees."""


def skew(grid: Grid) -> float:
    """Largest cosine between two voxel axes; 0 where they are at right angles."""
    columns = grid.affine[:3, : grid.ndim]
    lengths = np.linalg.norm(columns, axis=0)
    if not lengths.all():
        return 1.0
    cosines = (columns / lengths).T @ (columns / lengths)
    return float(np.abs(cosines - np.diag(np.diag(cosines))).max())


def sform_qform_gap_mm(
    shape: Sequence[int], sform: NDArray[np.float64] | None, qform: NDArray[np.float64] | None
) -> float:
    """How far apart the two forms of a header put a corner; 0 where one is missing or empty."""
    if sform is None or qform is None:
        return 0.0
    if not (is_regular(sform) and is_regular(qform)):
        return 0.0
    return gap_mm(shape, sform, qform)


def grid_mismatch(image: Grid, mask: Grid) -> tuple[str, str] | None:
    """Find what differs first between an image and its mask.

    Args:
        image, mask: their grids.

    Returns:
        (kind, words), or None if they agree to a tenth of a voxel.
    """
    if image.shape != mask.shape:
        return "shape", f"shapes {_by(image.shape)} and {_by(mask.shape)}"
    if image.overlies(mask):
        return None
    gap = gap_mm(image.shape, image.affine, mask.affine)
    if image.orientation != mask.orientation:
        return "orientation", f"orientations {image.orientation} and {mask.orientation}"
    ratios = [a / b for a, b in zip(image.spacing_mm, mask.spacing_mm, strict=True)]
    if any(abs(math.log(ratio)) > 0.01 for ratio in ratios):
        return "spacing", f"spacings {_mm(image)} and {_mm(mask)}"
    return "affine", f"positions, by up to {gap:.2f} mm"


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _mm(grid: Grid) -> str:
    return " x ".join(f"{s:.3g}" for s in grid.spacing_mm) + " mm"


def alignment_issue(case: str, image: Grid, mask: Grid, files: str) -> Issue | None:
    """The finding of an image and its mask that do not lie on each other."""
    what = grid_mismatch(image, mask)
    if what is None:
        return None
    kind, words = what
    return Issue(
        "error",
        kind,
        f"{case}: image and mask differ in {words} ({files})",
        f"resample the mask onto its image, or {exclude_hint([case], kind)}",
        (case,),
        repairable=repair_method(image, mask) is not None,
    )


def repair_method(image: Grid, mask: Grid) -> str | None:
    """Say what brings a mask onto its image without inventing a voxel.

    Args:
        image, mask: their grids.

    Returns:
        "reorient": the same voxels in another order or direction; "copy": the same voxels, with
        less than half a voxel between the two headers, as rounding leaves; None: nothing does.
    """
    if image.shape == mask.shape:
        gap = gap_mm(image.shape, image.affine, mask.affine)
        if gap < 0.5 * min(image.spacing_mm):
            return "copy"
    turned = reoriented_like(mask, image)
    if turned is None or turned.shape != image.shape:
        return None
    gap = gap_mm(image.shape, image.affine, turned.affine)
    return "reorient" if gap < 0.5 * min(image.spacing_mm) else None


def reoriented_like(grid: Grid, like: Grid) -> Grid | None:
    """`grid` with its axes in the order and direction of `like`; None where that is no turn."""
    order, flips = axis_permutation(grid, like)
    if sorted(order) != list(range(grid.ndim)) or grid.ndim != like.ndim:
        return None
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, old in enumerate(order):
        step[old, new] = -1 if flips[new] else 1
        step[old, 3] = grid.shape[old] - 1 if flips[new] else 0
    if grid.ndim == 2:
        step[2, 2] = 1
    return Grid(tuple(grid.shape[old] for old in order), grid.affine @ step)


def axis_permutation(grid: Grid, like: Grid) -> tuple[list[int], list[bool]]:
    """For each axis of `like`: the axis of `grid` that runs along it, and whether it runs back."""
    mine = {int(world): (axis, int(sign)) for axis, (world, sign) in enumerate(grid.axes)}
    found = [(*mine.get(int(world), (-1, 1)), int(sign)) for world, sign in like.axes]
    return [axis for axis, _, _ in found], [mine != sign for _, mine, sign in found]


def header_issues(
    case: str, role: str, path: str, gap: float, skew_cosine: float, grid: Grid
) -> list[Issue]:
    """What one header contradicts: itself."""
    found = []
    if gap > GAP_TOLERANCE * min(grid.spacing_mm):
        found.append(
            Issue(
                "warning",
                "forms",
                f"{path}: sform and qform put the same voxel {gap:.2f} mm apart; "
                f"medlight goes by the sform, other programs by the qform",
                "ask where the file comes from; fix=true writes a copy with the sform in both",
                (case,),
                repairable=True,
            )
        )
    if skew_cosine > SKEW_TOLERANCE:
        degrees = 90 - math.degrees(math.acos(min(1.0, skew_cosine)))
        found.append(
            Issue(
                "warning",
                "skewed",
                f"{path}: the axes of this {role} are {degrees:.2f} degrees from right angles",
                "a tilted gantry or a damaged header: resample it onto a straight grid; "
                "spacing and distances are not to be trusted",
                (case,),
            )
        )
    return found
