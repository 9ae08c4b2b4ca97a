"""Better copies of files that can be mended without guessing. Sources are read only."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.audit.file_scan import FileInfo
from medlight.audit.geometry import axis_permutation, repair_method
from medlight.audit.issues import Issue
from medlight.core.case import IMAGE_ROLE, is_mask_role
from medlight.core.grid import GAP_TOLERANCE, Grid
from medlight.core.index import Index
from medlight.io.nifti import write_nifti
from medlight.io.read import NIFTI_SUFFIXES, RawImage, read_raw


@dataclass(frozen=True, slots=True)
class Repair:
    """One file that was written: its case and role, the source, the copy, and what differs."""

    case: str
    role: str
    source: str
    copy: str
    changes: tuple[str, ...]


def repair(
    index: Index, file_infos: Sequence[FileInfo], issues: Sequence[Issue], folder: Path
) -> list[Repair]:
    """Write a better copy of every file that a repairable issue is about.

    Mended are: nan and infinity in images (the lowest finite value), sform and qform that differ
    (the sform, in both), masks in floating point (integers), masks stored in another orientation
    than their image (turned), and masks whose header is off by less than half a voxel (the
    image's). Everything else needs somebody who knows what is right.

    Args:
        index: the cases.
        file_infos: what each of their files said.
        issues: what was found.
        folder: where the copies go, each at the place it has below the root of its source.

    Returns:
        What was written.
    """
    wanted = {case for issue in issues if issue.repairable for case in issue.cases}
    by_row: dict[int, dict[str, FileInfo]] = defaultdict(dict)
    for info in file_infos:
        if (
            info.readable
            and index.ids[info.row] in wanted
            and info.ref.whole
            and info.ref.path.name.lower().endswith(NIFTI_SUFFIXES)
        ):
            by_row[info.row][info.role] = info
    repairs = []
    for row, roles in by_row.items():
        for role, info in roles.items():
            image = roles.get(IMAGE_ROLE) if role != IMAGE_ROLE else None
            changes, values, grid = _repaired(info, image)
            if not changes:
                continue
            copy = folder / _copy_path(index, row, role)
            write_nifti(copy, values, grid)
            repairs.append(Repair(index.ids[row], role, info.path, str(copy), tuple(changes)))
    return repairs


def _copy_path(index: Index, row: int, role: str) -> str:
    """Where a copy goes: as below the root of its source, and never out of the folder."""
    place = os.path.normpath(index.files[role][row] or "")
    if os.path.isabs(place) or place.startswith(".."):
        place = os.path.join(index.ids[row], os.path.basename(place))
    if len(index.sources) > 1:
        place = os.path.join(index.sources[int(index.source_of[row])].name, place)
    return place


def _repaired(
    info: FileInfo, image: FileInfo | None
) -> tuple[list[str], NDArray[np.generic], Grid]:
    """What was done, and the values and grid to write; nothing done where nothing is wrong."""
    assert info.grid is not None
    changes: list[str] = []
    forms = info.sform_qform_gap_mm > GAP_TOLERANCE * min(info.grid.spacing_mm)
    mask = is_mask_role(info.role)
    floats = mask and info.dtype_name.startswith("float") and not info.n_fractional
    method = None
    if image is not None and image.grid is not None and info.grid != image.grid:
        method = repair_method(image.grid, info.grid)
    if not (forms or floats or method or (info.n_nonfinite and not mask)):
        return changes, np.zeros(0), info.grid
    raw = read_raw(info.ref, mask=mask)
    values, grid = _scaled(raw), raw.grid
    if info.n_nonfinite and not mask:
        finite = np.isfinite(values)
        values = np.where(finite, values, values[finite].min() if finite.any() else 0)
        changes.append(
            f"{info.n_nonfinite} values that were nan or infinite are the lowest value now"
        )
    if floats:
        values = _integers(values)
        changes.append(f"{info.dtype_name} labels are {values.dtype} now")
    if forms:
        changes.append("the sform is in the qform too")
    if method and image is not None and image.grid is not None:
        if method == "reorient":
            values = _turned(values, grid, image.grid)
            changes.append(f"turned from {grid.orientation} to {image.grid.orientation}")
        else:
            changes.append("the header's position is the image's now")
        grid = image.grid
    code = max(grid.sform_code, grid.qform_code, 1)  # both forms say the same from now on
    return changes, values, Grid(grid.shape, grid.affine, code, code, grid.units)


def _scaled(raw: RawImage) -> NDArray[np.generic]:
    """Intensities as a file without scaling holds them: the stored type where there is none."""
    if (raw.slope, raw.inter) == (1.0, 0.0):
        return raw.values.astype(raw.values.dtype.newbyteorder("="))
    return (raw.values * np.float64(raw.slope) + raw.inter).astype(np.float32)


def _integers(values: NDArray[np.generic]) -> NDArray[np.generic]:
    integers = np.rint(values).astype(np.int64)
    low, high = int(integers.min()), int(integers.max())
    for kind in (np.uint8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return integers.astype(kind)
    return integers


def _turned(values: NDArray[np.generic], grid: Grid, like: Grid) -> NDArray[np.generic]:
    order, flips = axis_permutation(grid, like)
    turned = np.transpose(values, [*order, *range(grid.ndim, values.ndim)])
    return np.flip(turned, tuple(axis for axis, back in enumerate(flips) if back))
