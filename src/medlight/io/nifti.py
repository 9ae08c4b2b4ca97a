"""NIfTI-1 and -2, `.nii` and `.nii.gz`.

Shapes: C channels (last on disk, first in memory), *S spatial axes in the order of the file.
"""

import gzip
import logging
import math
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.grid import Grid
from medlight.io.atomic import aside

# nibabel prints what it mends in a header to stderr; what it cannot mend, it raises.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)

_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    zlib.error,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
)
_WHOLE = 1e-3  # how far a label may lie from a whole number: a scaled file rounds


def read_nifti(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """(C, *S) with the file's scaling applied, and where it lies.

    3-D files have one channel; 4-D files (X, Y, Z, C) have C. DataError where it is no such file.
    """
    image = _load(path)
    values = _values(path, image)
    return np.ascontiguousarray(np.moveaxis(values, -1, 0), dtype=np.float32), _grid(image)


def read_nifti_mask(path: Path) -> tuple[NDArray[np.int64], Grid]:
    """(1, *S) labels. Floating point is accepted where its numbers are whole, else DataError."""
    image = _load(path)
    values = _values(path, image)
    if values.shape[-1] != 1:
        raise DataError(
            f"{path}: a mask has one label a voxel, but this file has {values.shape[-1]} channels; "
            f"merge them into one 3-D volume of whole numbers"
        )
    values = values[..., 0]
    if values.dtype.kind == "f":
        whole = np.rint(values)
        wrong = ~(np.abs(values - whole) <= _WHOLE)  # also true of nan
        if wrong.any():
            raise DataError(
                f"{path}: a mask holds whole numbers, but this file holds {values[wrong][0]:g}; "
                f"is it an image, or a mask resampled without nearest neighbour?"
            )
        values = whole
    return np.ascontiguousarray(values[np.newaxis], dtype=np.int64), _grid(image)


def write_nifti(path: Path, values: NDArray[Any], grid: Grid) -> None:
    """Write (*S) or (*S, C) on a grid, with its affine, form codes and units.

    The dtype is kept, nothing is scaled, and the header holds no free text. The file appears
    whole or not at all. ValueError where the shapes differ.
    """
    if values.shape[: grid.ndim] != grid.shape:
        raise ValueError(f"{path}: values of shape {values.shape} do not fit the grid {grid.shape}")
    image = nib.Nifti1Image(values, grid.affine, dtype=values.dtype)
    image.header.set_slope_inter(1, 0)
    image.header["xyzt_units"] = grid.units
    image.set_sform(grid.affine, code=grid.sform_code)
    image.set_qform(grid.affine, code=grid.qform_code)
    with aside(path) as part:
        nib.save(image, part)


def _load(path: Path) -> Any:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":  # whatever the file is called
            data = gzip.decompress(data)
        sizes = {int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big")}
        kind = nib.Nifti2Image if 540 in sizes else nib.Nifti1Image
        image: Any = kind.from_bytes(data)
        dtype = image.get_data_dtype()
        if dtype.kind not in "iuf":
            raise ValueError(f"voxels of type {dtype} are not supported")
        # Before nibabel makes room for what a damaged header promises.
        promised = math.prod(image.shape) * dtype.itemsize + int(image.dataobj.offset)
        if promised > len(data):
            raise ValueError(f"it should hold {promised} bytes, but holds {len(data)}")
        return image
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path}: there is no such file") from error
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def _values(path: Path, image: Any) -> NDArray[Any]:
    """(*S, C) in the type of the file, or in floating point where the file is scaled."""
    try:
        values: NDArray[Any] = np.asanyarray(image.dataobj)
    except _BROKEN as error:
        raise _unreadable(path, error) from error
    if values.ndim == 5 and values.shape[3] == 1:
        values = values[:, :, :, 0]  # vectors: the time axis comes first
    if values.ndim in (2, 3):
        values = values[..., np.newaxis]
    if (values.ndim != 4 and image.ndim != 2) or not values.size:
        raise DataError(
            f"{path}: expected a volume of shape (X, Y, Z) or (X, Y, Z, channels), "
            f"got {image.shape}"
        )
    return values


def _unreadable(path: Path, error: Exception) -> DataError:
    what = "is empty" if path.is_file() and not path.stat().st_size else f"cannot be read ({error})"
    return DataError(f"{path}: {what}; copy or download this NIfTI file again, or leave it out")


def _grid(image: Any) -> Grid:
    header = image.header
    return Grid(
        shape=image.shape[:3],
        affine=_affine(image),
        sform_code=int(header["sform_code"]),
        qform_code=int(header["qform_code"]),
        units=int(header["xyzt_units"]),
    )


def _affine(image: Any) -> NDArray[np.float64]:
    """nibabel's choice (sform, qform, voxel sizes), but never one that has lost a dimension:
    some files declare an sform of zeros."""
    header = image.header
    for affine in (image.affine, header.get_qform(coded=True)[0], header.get_base_affine()):
        if affine is not None and np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-12:
            return np.asarray(affine, dtype=np.float64)
    return np.eye(4)
