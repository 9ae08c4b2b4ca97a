"""Better copies of files that can be mended without guessing. Sources are read only."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlight.audit.facts import IMAGE, MASK, FileFacts
from medlight.audit.findings import Finding
from medlight.audit.geometry import APART, remedy, smallest_mm, turn
from medlight.core.grid import Grid
from medlight.core.index import Index
from medlight.io.nifti import write_nifti
from medlight.io.raw import Raw, read_raw
from medlight.io.read import is_nifti


@dataclass(frozen=True, slots=True)
class Repair:
    """One file that was written: its case and role, the source, the copy, and what differs."""

    case: str
    role: str
    source: str
    copy: str
    done: tuple[str, ...]


def repair(
    index: Index, facts: Sequence[FileFacts], findings: Sequence[Finding], folder: Path
) -> list[Repair]:
    """Write a better copy of every file that a repairable finding is about, below `folder`, at
    the place it has below the root of its source.

    Mended are: nan and infinity in images (the lowest finite value), sform and qform that differ
    (the sform, in both), masks in floating point (integers), masks stored in another orientation
    than their image (turned), and masks whose header is off by less than half a voxel (the
    image's). Everything else needs somebody who knows what is right.
    """
    wanted = {case for finding in findings if finding.repairable for case in finding.cases}
    by_row: dict[int, dict[str, FileFacts]] = defaultdict(dict)
    for fact in facts:
        if fact.usable and index.ids[fact.row] in wanted and is_nifti(Path(fact.path)):
            by_row[fact.row][fact.role] = fact
    repairs = []
    for row, roles in by_row.items():
        for role, fact in roles.items():
            image = roles.get(IMAGE) if role != IMAGE else None
            done, values, grid = _mended(fact, image)
            if not done:
                continue
            copy = folder / _place(index, row, role)
            write_nifti(copy, values, grid)
            repairs.append(Repair(index.ids[row], role, fact.path, str(copy), tuple(done)))
    return repairs


def _place(index: Index, row: int, role: str) -> str:
    """Where a copy goes: as below the root of its source, and never out of the folder."""
    place = os.path.normpath(index.files[role][row] or "")
    if os.path.isabs(place) or place.startswith(".."):
        place = os.path.join(index.ids[row], os.path.basename(place))
    if len(index.sources) > 1:
        place = os.path.join(index.sources[int(index.source_of[row])].name, place)
    return place


def _mended(
    fact: FileFacts, image: FileFacts | None
) -> tuple[list[str], NDArray[np.generic], Grid]:
    """What was done, and the values and grid to write; nothing done where nothing is wrong."""
    assert fact.grid is not None
    done: list[str] = []
    forms = fact.form_gap_mm > APART * smallest_mm(fact.grid)
    floats = fact.role == MASK and fact.type_name.startswith("float") and not fact.fractions
    how = None
    if image is not None and image.grid is not None and fact.grid != image.grid:
        how = remedy(image.grid, fact.grid)
    if not (forms or floats or how or (fact.nonfinite and fact.role != MASK)):
        return done, np.zeros(0), fact.grid
    raw = read_raw(Path(fact.path))
    values, grid = _scaled(raw), raw.grid
    if fact.nonfinite and fact.role != MASK:
        finite = np.isfinite(values)
        values = np.where(finite, values, values[finite].min() if finite.any() else 0)
        done.append(f"{fact.nonfinite} values that were nan or infinite are the lowest value now")
    if floats:
        values = _integers(values)
        done.append(f"{fact.type_name} labels are {values.dtype} now")
    if forms:
        done.append("the sform is in the qform too")
    if how and image is not None and image.grid is not None:
        if how == "turn":
            values = _turned(values, grid, image.grid)
            done.append(f"turned from {grid.orientation} to {image.grid.orientation}")
        else:
            done.append("the header's position is the image's now")
        grid = image.grid
    code = max(grid.sform_code, grid.qform_code, 1)  # both forms say the same from now on
    return done, values, Grid(grid.shape, grid.affine, code, code, grid.units)


def _scaled(raw: Raw) -> NDArray[np.generic]:
    """Intensities as a file without scaling holds them: the stored type where there is none."""
    if (raw.slope, raw.inter) == (1.0, 0.0):
        return raw.values.astype(raw.values.dtype.newbyteorder("="))
    return (raw.values * np.float64(raw.slope) + raw.inter).astype(np.float32)


def _integers(values: NDArray[np.generic]) -> NDArray[np.generic]:
    whole = np.rint(values).astype(np.int64)
    low, high = int(whole.min()), int(whole.max())
    for kind in (np.uint8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return whole.astype(kind)
    return whole


def _turned(values: NDArray[np.generic], grid: Grid, like: Grid) -> NDArray[np.generic]:
    order, flips = turn(grid, like)
    turned = np.transpose(values, [*order, *range(grid.ndim, values.ndim)])
    return np.flip(turned, tuple(axis for axis, back in enumerate(flips) if back))
