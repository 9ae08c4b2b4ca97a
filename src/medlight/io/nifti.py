"""NIfTI-1 and -2, `.nii` and `.nii.gz`.

Shapes: C channels (last on disk, first in memory), *S spatial axes in the order of the file.
"""

import logging
import math
import os
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.core.grid import Grid
from medlight.io.atomic import atomic_path
from medlight.io.gz import GZIP_MAGIC, ByteReader, errors_name_file, gzip_writer, open_bytes
from medlight.io.nifti_place import read_place, write_place

# nibabel prints what it mends in a header to stderr; what it cannot mend, it raises.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)

_HEADER_BYTES = 540  # bytes of a NIfTI-2 header, the longer one; no file with voxels is shorter
_PACKED_BYTES = 4096  # bytes in which a header is found, packed or not
_VOX_OFFSET = 352  # where voxels begin in a NIfTI-1 file without extensions
_TILE = 16
_ADVICE = "copy or download this NIfTI file again, or leave it out"
_INTEGER_TOLERANCE = 1e-3  # how far a label may lie from a whole number: a scaled file rounds


def read_nifti(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """Read a volume with the file's scaling applied.

    Args:
        path: of a `.nii` or `.nii.gz` file. 3-D files have one channel, 4-D files (X, Y, Z, C) C.

    Returns:
        (C, *S) float32, and where it lies.

    Raises:
        DataError: it is not such a file, or damaged.
    """
    header, stored = load_nifti(path, mask=False)
    return _channels_first(header, _channels_last(stored)), header.grid


def read_nifti_mask(path: Path) -> tuple[NDArray[np.int64], Grid]:
    """Read labels. Floating point is accepted if its numbers are whole.

    Args:
        path: of a `.nii` or `.nii.gz` file with one channel.

    Returns:
        (1, *S) int64, and where they lie.

    Raises:
        DataError: it is not such a file, has several channels, or holds numbers that are not whole.
    """
    header, stored = load_nifti(path, mask=True)
    values = _channels_last(stored)
    if values.shape[-1] != 1:
        raise DataError(
            f"{path}: a mask has one label a voxel, but this file has {values.shape[-1]} channels; "
            f"merge them into one 3-D volume of whole numbers"
        )
    values = _scaled(header, values[..., 0])
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = np.rint(values)
            right = (np.abs(values - whole) <= _INTEGER_TOLERANCE) & (np.abs(values) < 2**31)
        wrong = ~right  # or nan
        if wrong.any():
            raise DataError(
                f"{path}: a mask holds whole numbers, but this file holds {values[wrong][0]:g}; "
                f"is it an image, or a mask resampled without nearest neighbour?"
            )
        values = whole
    return np.ascontiguousarray(values[np.newaxis], dtype=np.int64), header.grid


def write_nifti(path: Path, values: NDArray[Any], grid: Grid, *, slope: float = 1.0) -> None:
    """Write a file with the forms, codes and units of a grid. It appears whole or not at all.

    Args:
        path: of the file; one ending in `.gz` is compressed.
        values: (*S) or (*S, C), whose dtype is kept.
        grid: where they lie.
        slope: what readers multiply with; nothing is scaled here.

    Raises:
        ValueError: the shapes differ.
    """
    if values.shape[: grid.ndim] != grid.shape:
        raise ValueError(f"{path}: values of shape {values.shape} do not fit the grid {grid.shape}")
    header: Any = nib.Nifti1Header()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    write_place(header, grid)
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


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI file says before its voxels.

    Attributes:
        shape: (*S) or (*S, C).
        dtype: of the voxels as stored.
        start: offset of the first voxel, in bytes.
        slope, inter: what scales voxels to intensities.
        sform, qform: (4, 4) to mm, where the header declares them.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    grid: Grid
    slope: float
    inter: float
    sform: NDArray[np.float64] | None
    qform: NDArray[np.float64] | None

    @property
    def end(self) -> int:
        """Bytes that the file must hold."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize

    def decoded_bytes(self, *, mask: bool) -> int:
        """Bytes of the float32 that voxels become, or the int64 of labels; rounding takes more."""
        whole = self.dtype.kind in "iu" and (self.slope, self.inter) == (1.0, 0.0)
        return math.prod(self.shape) * (4 if not mask else 8 if whole else 24)


def parse_header(head: bytes) -> NiftiHeader:
    """Read the first bytes of a file, as nibabel does, which mends what it can in silence.

    Differs from nibabel where that would hand out nonsense: voxels that should start at byte 0,
    within the header, start behind it; an sform or qform that places nothing is passed over.
    Specification: NIfTI-1 (Cox et al. 2004) and NIfTI-2.

    Args:
        head: the first 540 bytes, or fewer of a shorter file.

    Returns:
        What the header declares, with the grid of the voxels.

    Raises:
        ValueError: they are not the header of a volume of numbers, or place it nowhere.
    """
    sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    kind: Any
    kind, length = (nib.Nifti2Header, 540) if 540 in sizes else (nib.Nifti1Header, 348)
    if len(head) < length:
        raise ValueError(f"it should hold {length} bytes, but holds {len(head)}")
    if not sizes & {348, 540} and head[344:347] not in (b"n+1", b"ni1"):
        raise ValueError("it does not start as a NIfTI file does")
    header: Any = kind(head[:length])
    shape, dtype = tuple(map(int, header.get_data_shape())), header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise ValueError(f"voxels of type {dtype} are not supported")
    if not shape or min(shape) < 1:
        raise ValueError(f"it declares the shape {shape}")
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])  # vectors: the time axis comes first
    if len(shape) not in (2, 3, 4):
        raise ValueError(
            f"expected a volume of shape (X, Y, Z) or (X, Y, Z, channels), got {shape}"
        )
    start = int(header.get_data_offset()) or length + 4  # some leave it 0
    if start < length:
        raise ValueError(f"its voxels should start at byte {start}")
    slope, inter = header.get_slope_inter()
    pixdim = kind(head[:length], check=False)["pixdim"]
    grid, sform, qform = read_place(header, shape[:3], pixdim)
    scale = (1.0, 0.0) if slope is None else (float(slope), float(inter))
    return NiftiHeader(shape, dtype, start, grid, *scale, sform, qform)


def parse_nifti(content: ByteReader, *, mask: bool) -> tuple[NiftiHeader, NDArray[Any]]:
    """Read header and voxels of a file from its start.

    Returns:
        The header, and (*S) or (*S, C) voxels as stored. Errors are those of `READ_ERRORS`.
    """
    head = content.read(_HEADER_BYTES)
    header = parse_header(head)
    held = content.read_array(head, header.end, header.decoded_bytes(mask=mask))
    return header, held[header.start :].view(header.dtype).reshape(header.shape, order="F")


def read_header(path: Path) -> NiftiHeader:
    """Read the header alone, from the first few kilobytes. Errors as `read_nifti`, but for what is
    wrong with packed voxels.
    """
    with errors_name_file(path, _ADVICE), open_bytes(path, _PACKED_BYTES) as content:
        header = parse_header(content.read(_HEADER_BYTES))
        if content.max_size < header.end:
            raise ValueError(f"it should hold {header.end} bytes, but holds {content.max_size}")
    return header


def spare_bytes(path: Path, header: NiftiHeader) -> int:
    """Say how many bytes more a packed file says to hold than its header promises, modulo 2^32.

    What is cut short says nonsense; 0 for a file that is not packed. Files of several gzip members,
    which are rare, speak of the last alone.
    """
    with path.open("rb") as file:
        if file.read(2) != GZIP_MAGIC:
            return 0
        file.seek(-4, os.SEEK_END)
        return (int.from_bytes(file.read(4), "little") - header.end) % 2**32


def load_nifti(path: Path, *, mask: bool) -> tuple[NiftiHeader, NDArray[Any]]:
    """Read header and voxels; see `parse_nifti`. DataError names the file if it cannot be used."""
    with errors_name_file(path, _ADVICE), open_bytes(path) as content:
        return parse_nifti(content, mask=mask)


def _scaled(header: NiftiHeader, values: NDArray[Any]) -> NDArray[Any]:
    """As nibabel does: unchanged without a scale, else in floating point."""
    if (header.slope, header.inter) == (1.0, 0.0):
        return values
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that damage made
        return apply_read_scaling(values, np.float64(header.slope), np.float64(header.inter))


def _channels_last(stored: NDArray[Any]) -> NDArray[Any]:
    return stored[..., np.newaxis] if stored.ndim < 4 else stored


def _channels_first(header: NiftiHeader, values: NDArray[Any]) -> NDArray[np.float32]:
    """(*S, C), first axis fastest, to (C, *S), last axis fastest.

    In blocks that fit a cache: numpy's own copy fetches every line of memory many times.
    """
    turned = np.empty((values.shape[-1], *values.shape[:-1]), np.float32)
    for channel, row in product(range(values.shape[-1]), range(0, values.shape[0], _TILE)):
        for column in range(0, values.shape[-2], _TILE):
            block = (slice(row, row + _TILE), ..., slice(column, column + _TILE))
            with np.errstate(over="ignore", invalid="ignore"):
                turned[channel][block] = _scaled(header, values[..., channel][block])
    return turned
