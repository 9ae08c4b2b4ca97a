"""NIfTI-1 and -2, `.nii` and `.nii.gz`.

Shapes: C channels (last on disk, first in memory), *S spatial axes in the order of the file.
"""

import logging
import math
import zlib
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from isal import isal_zlib
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.grid import Grid
from medlight.io.atomic import atomic_path
from medlight.io.gz import gzip_writer, open_bytes

# nibabel prints what it mends in a header to stderr; what it cannot mend, it raises.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)

_READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    zlib.error,
    cast(type[Exception], isal_zlib.error),  # its stubs take it for an instance
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
)
_HEADER_BYTES = 540  # bytes of a NIfTI-2 header, the longer one; no file with voxels is shorter
_VOX_OFFSET = 352  # where voxels begin in a NIfTI-1 file without extensions
_TILE = 16
_INTEGER_TOLERANCE = 1e-3  # how far a label may lie from a whole number: a scaled file rounds


def read_nifti(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """(C, *S) with the file's scaling applied, and where it lies.

    3-D files have one channel; 4-D files (X, Y, Z, C) have C. DataError where it is no such file.
    """
    header, stored, grid = _load(path)
    return _channels_first(path, header, _as_channels_last(path, stored)), grid


def read_nifti_mask(path: Path) -> tuple[NDArray[np.int64], Grid]:
    """(1, *S) labels. Floating point is accepted where its numbers are whole, else DataError."""
    header, stored, grid = _load(path)
    values = _as_channels_last(path, stored)
    if values.shape[-1] != 1:
        raise DataError(
            f"{path}: a mask has one label a voxel, but this file has {values.shape[-1]} channels; "
            f"merge them into one 3-D volume of whole numbers"
        )
    values = _scaled(path, header, values[..., 0])
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = np.rint(values)
            wrong = ~(
                (np.abs(values - whole) <= _INTEGER_TOLERANCE) & (np.abs(values) < 2**31)
            )  # or nan
        if wrong.any():
            raise DataError(
                f"{path}: a mask holds whole numbers, but this file holds {values[wrong][0]:g}; "
                f"is it an image, or a mask resampled without nearest neighbour?"
            )
        values = whole
    return np.ascontiguousarray(values[np.newaxis], dtype=np.int64), grid


def write_nifti(path: Path, values: NDArray[Any], grid: Grid, *, slope: float = 1.0) -> None:
    """Write (*S) or (*S, C) on a grid, with its affine, form codes and units.

    The dtype is kept, and the header holds no free text. The file appears whole or not at all.
    `slope` is what readers multiply with; nothing is scaled here. ValueError where the shapes
    differ.
    """
    if values.shape[: grid.ndim] != grid.shape:
        raise ValueError(f"{path}: values of shape {values.shape} do not fit the grid {grid.shape}")
    header: Any = nib.Nifti1Header()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    header["xyzt_units"] = grid.units
    header.set_sform(grid.affine, code=grid.sform_code)
    header.set_qform(grid.affine, code=grid.qform_code)
    header["scl_slope"], header["scl_inter"] = slope, 0  # nibabel would scale the values, too
    header["magic"], header["vox_offset"] = b"n+1", _VOX_OFFSET
    opened: Any = gzip_writer if path.name.lower().endswith(".gz") else partial(open, mode="wb")
    planes = values.reshape(*values.shape[:2], -1, order="F")
    with atomic_path(path) as part, opened(part) as file:
        file.write(header.binaryblock.ljust(_VOX_OFFSET, b"\0"))
        for plane in range(0, planes.shape[-1], _TILE):
            file.write(_first_axis_fastest(planes[..., plane : plane + _TILE]))


def _first_axis_fastest(values: NDArray[Any]) -> memoryview:
    """(X, Y, Z) as bytes, X fastest, in blocks that fit a cache."""
    turned = np.empty(values.shape[::-1], values.dtype)
    for row in range(0, values.shape[0], _TILE):
        turned[..., row : row + _TILE] = values[row : row + _TILE].transpose(2, 1, 0)
    return turned.reshape(-1).data


def _load(path: Path) -> tuple[Any, NDArray[Any], Grid]:
    """Header, (*S, C) voxels as they are stored, and where they lie."""
    try:
        with open_bytes(path) as content:
            head = content.read(_HEADER_BYTES)
            sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
            kind: Any
            kind, length = (nib.Nifti2Header, 540) if 540 in sizes else (nib.Nifti1Header, 348)
            if len(head) < length:
                raise ValueError(f"it should hold {length} bytes, but holds {len(head)}")
            header: Any = kind(head[:length])
            shape, dtype = header.get_data_shape(), header.get_data_dtype()
            if dtype.kind not in "iuf":
                raise ValueError(f"voxels of type {dtype} are not supported")
            if not shape or min(shape) < 1:
                raise ValueError(f"it declares the shape {shape}")
            start, count = int(header.get_data_offset()), math.prod(map(int, shape))
            start = start or length + 4  # some leave it 0
            if start < length:
                raise ValueError(f"its voxels should start at byte {start}")
            held = content.read_array(head, start + count * dtype.itemsize)
        return header, held[start:].view(dtype).reshape(shape, order="F"), _grid(header)
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path}: there is no such file") from error
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _as_channels_last(path: Path, stored: NDArray[Any]) -> NDArray[Any]:
    """(*S, C) of what a file may hold, in its own type."""
    values, flat = stored, stored.ndim == 2
    if values.ndim == 5 and values.shape[3] == 1:
        values = values[:, :, :, 0]  # vectors: the time axis comes first
    if values.ndim in (2, 3):
        values = values[..., np.newaxis]
    if values.ndim != 4 and not flat:
        raise DataError(
            f"{path}: expected a volume of shape (X, Y, Z) or (X, Y, Z, channels), "
            f"got {stored.shape}"
        )
    return values


def _scaled(path: Path, header: Any, values: NDArray[Any]) -> NDArray[Any]:
    """As nibabel does: unchanged without a scale, else in floating point."""
    try:
        slope, inter = header.get_slope_inter()
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error
    if slope is None or (slope, inter) == (1.0, 0.0):
        return values
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that damage made
        return apply_read_scaling(values, np.float64(slope), np.float64(inter))


def _channels_first(path: Path, header: Any, values: NDArray[Any]) -> NDArray[np.float32]:
    """(*S, C), first axis fastest, to (C, *S), last axis fastest.

    In blocks that fit a cache: numpy's own copy fetches every line of memory many times.
    """
    turned = np.empty((values.shape[-1], *values.shape[:-1]), np.float32)
    for channel, row in product(range(values.shape[-1]), range(0, values.shape[0], _TILE)):
        for column in range(0, values.shape[-2], _TILE):
            block = (slice(row, row + _TILE), ..., slice(column, column + _TILE))
            with np.errstate(over="ignore", invalid="ignore"):
                turned[channel][block] = _scaled(path, header, values[..., channel][block])
    return turned


def _unreadable(path: Path, error: Exception) -> DataError:
    what = "is empty" if path.is_file() and not path.stat().st_size else f"cannot be read ({error})"
    return DataError(f"{path}: {what}; copy or download this NIfTI file again, or leave it out")


def _grid(header: Any) -> Grid:
    return Grid(
        shape=header.get_data_shape()[:3],
        affine=_affine(header),
        sform_code=int(header["sform_code"]),
        qform_code=int(header["qform_code"]),
        units=int(header["xyzt_units"]),
    )


def _affine(header: Any) -> NDArray[np.float64]:
    """nibabel's choice (sform, qform, voxel sizes), but never one that has lost a dimension:
    some files declare an sform of zeros."""
    best = header.get_best_affine()
    for affine in (best, header.get_qform(coded=True)[0], header.get_base_affine()):
        if affine is not None and np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-12:
            return np.asarray(affine, dtype=np.float64)
    return np.eye(4)
