"""Where a NIfTI header puts its voxels, in mm whatever its unit; and the header that says so again.

Specification: NIfTI-1 (Cox et al. 2004): `xyzt_units`, `sform`, `qform`, `pixdim`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.grid import Grid

Affine = NDArray[np.float64]
_SPACE_BITS = 0b111
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
"""Metre and micron of `xyzt_units`. Everything else is taken for mm."""


SIZE_OF_0 = "its header gives a voxel size of 0, which is read as 1 mm"
"""The caveat of a volume of unknown thickness."""


def read_place(
    header: Any, shape: Sequence[int], pixdim: NDArray[np.floating]
) -> tuple[Grid, Affine | None, Affine | None]:
    """Find where the voxels of a header lie.

    Args:
        header: of nibabel, which has mended it.
        shape: *S voxels.
        pixdim: of the header as it lies in the file.

    Returns:
        The grid; its sform and its qform, (4, 4) to mm, or None where the header has none.

    Raises:
        ValueError: neither sform nor qform nor voxel size places voxels.
    """
    sform, sform_code = header.get_sform(coded=True)
    qform, qform_code = _qform(header)
    forms = [sform, qform]
    if not qform_code or qform is not None:  # else it is declared, and broken
        forms.append(header.get_base_affine())
    units = int(header["xyzt_units"])
    base = _first_regular(forms)
    guessed = base is not sform and not pixdim[1 : 1 + len(shape)].all()
    sform, qform = (None if form is None else _in_mm(form, units) for form in (sform, qform))
    grid = Grid(
        shape=tuple(shape),
        affine=_in_mm(base, units),
        sform_code=int(sform_code),
        qform_code=qform_code,
        units=units,
        qform=qform,
        caveats=(SIZE_OF_0,) if guessed else (),
    )
    return grid, sform, qform


def write_place(header: Any, grid: Grid) -> None:
    """Say in a header where a grid lies, in the unit and by the forms of its source.

    Args:
        header: of nibabel, which is changed.
        grid: of the voxels.
    """
    back = np.diag([1 / mm_per_unit(grid.units)] * 3 + [1])
    header["xyzt_units"] = grid.units
    header.set_sform(back @ grid.affine, code=grid.sform_code)
    header.set_qform(
        back @ (grid.affine if grid.qform is None else grid.qform), code=grid.qform_code
    )


def mm_per_unit(units: int) -> float:
    """Length of the unit of space in NIfTI's `xyzt_units`.

    >>> mm_per_unit(1), mm_per_unit(2), mm_per_unit(0)
    (1000.0, 1.0, 1.0)
    """
    return _MM_PER_UNIT.get(units & _SPACE_BITS, 1.0)


def _in_mm(form: Affine, units: int) -> Affine:
    if mm_per_unit(units) == 1:
        return form
    return np.asarray(np.diag([mm_per_unit(units)] * 3 + [1]) @ form)


def _qform(header: Any) -> tuple[Affine | None, int]:
    """The affine of the quaternion, None if there is none or it is no rotation; and its code."""
    code = int(header["qform_code"])
    try:
        return header.get_qform(coded=True)[0], code
    except ValueError:
        return None, code


def _first_regular(forms: Sequence[Affine | None]) -> Affine:
    """nibabel's choice (sform, qform, voxel sizes), but never one that has lost a dimension:
    some files declare an sform of zeros."""
    for form in forms:
        if form is not None and is_regular(form):
            return form
    raise ValueError("its header gives no usable voxel size, sform or qform")


def is_regular(form: Affine) -> bool:
    """Say whether an affine keeps all dimensions, however small its voxels are.

    Args:
        form: (4, 4).
    """
    if not np.isfinite(form).all():
        return False
    lengths = np.linalg.norm(form[:3, :3], axis=0)
    return bool(abs(np.linalg.det(form)) > 1e-6 * lengths.prod())
