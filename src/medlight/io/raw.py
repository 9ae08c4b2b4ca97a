"""A file as it is: its bytes' hash, and its numbers and header before anything is made of them.

What an audit needs and a reader hides. Each file is opened once.
"""

import hashlib
import io
import math
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.grid import Grid
from medlight.io.read import is_nifti

_READ_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    KeyError,
    zlib.error,
    struct.error,
    Image.DecompressionBombError,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
)
_GREY_MODES = ("L", "I;16", "I;16B", "I;16L", "I", "F", "P", "1")
GZIP_MAGIC = b"\x1f\x8b"
HEADER_BYTES = 4096
"""Bytes in which a header is found, packed or not."""
MAX_TRAILING_BYTES = 1 << 20
"""Bytes that may follow the voxels a header promises: whatever is beyond is not unpacked."""


@dataclass(frozen=True)
class RawImage:
    """What one file holds.

    Attributes:
        values: (*S) or (*S, C), as stored; colour pictures as (H, W) luminance.
        slope, inter: what scales `values` to intensities.
        dtype_name: of the numbers ("int16"), or of a picture's mode where that says more ("RGB").
        sform, qform: (4, 4) where the header declares them.
    """

    sha256: str
    size: int
    values: NDArray[Any]
    grid: Grid
    dtype_name: str
    slope: float = 1.0
    inter: float = 0.0
    sform: NDArray[np.float64] | None = None
    qform: NDArray[np.float64] | None = None


def read_raw(path: Path) -> RawImage:
    """DataError names a file that cannot be used, DataNotFoundError one that is not there."""
    with _errors_with_path(path):
        data = path.read_bytes()
        if not data:
            raise ValueError("it is empty")
        decode = _nifti if is_nifti(path) else _picture
        return decode(data, hashlib.sha256(data).hexdigest())


@contextmanager
def _errors_with_path(path: Path) -> Iterator[None]:
    """Errors that name the file, whatever went wrong; pipes and devices are not waited for."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("it is a folder" if stat.S_ISDIR(mode) else "it is no plain file")
        yield
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path}: there is no such file") from error
    except DataError:
        raise
    except _READ_ERRORS as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


@dataclass(frozen=True)
class Header:
    """What a NIfTI file says before its voxels.

    Attributes:
        shape: (*S) or (*S, C).
        start: offset of the first voxel.
        slope, inter, sform, qform: as in `RawImage`.
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

    @property
    def channels(self) -> int:
        return self.shape[-1] if len(self.shape) > self.grid.ndim else 1


def read_header(path: Path) -> Header:
    """The header alone, from the first few kilobytes of a NIfTI file. Errors as `read_raw`, but
    for what is wrong with packed voxels."""
    with _errors_with_path(path), path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        header, size = _header(_unpacked(head, HEADER_BYTES)), path.stat().st_size
        if head[:2] != GZIP_MAGIC and size < header.end:
            raise ValueError(f"it should hold {header.end} bytes, but holds {size}")
        return header


def has_full_length(path: Path, header: Header) -> bool:
    """Whether a packed file ends with the length that its header promises: what is cut short does
    not. Files of several gzip members, which are rare, say no as well. True for all others."""
    with path.open("rb") as file:
        if file.read(2) != GZIP_MAGIC:
            return True
        file.seek(-4, 2)
        length = int.from_bytes(file.read(4), "little")  # of the content, modulo 2^32
    return (length - header.end) % 2**32 <= MAX_TRAILING_BYTES


def _header(head: bytes) -> Header:
    sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    kind: Any = nib.Nifti2Header if 540 in sizes else nib.Nifti1Header
    header: Any = kind(head[: kind.template_dtype.itemsize], check=False)
    if int(header["sizeof_hdr"]) not in (348, 540):
        raise ValueError("it does not start as a NIfTI file does")
    dtype, shape = header.get_data_dtype(), tuple(int(n) for n in header.get_data_shape())
    if dtype.kind not in "iuf":
        raise ValueError(f"voxels of type {dtype} are not supported")
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])  # vectors: the time axis comes first
    if len(shape) not in (2, 3, 4) or min(shape) < 1:
        raise ValueError(f"expected (X, Y, Z) or (X, Y, Z, channels) voxels, got {shape}")
    slope, inter = header.get_slope_inter()
    sform, sform_code = header.get_sform(coded=True)
    qform, qform_code = header.get_qform(coded=True)
    grid = Grid(
        shape=shape[:3],
        affine=_affine(header),
        sform_code=int(sform_code),
        qform_code=int(qform_code),
        units=int(header["xyzt_units"]),
    )
    return Header(
        shape=shape,
        dtype=dtype,
        start=max(int(header["vox_offset"]), header.sizeof_hdr),
        grid=grid,
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        sform=sform,
        qform=qform,
    )


def _nifti(data: bytes, sha256: str) -> RawImage:
    size, header = len(data), _header(_unpacked(data, HEADER_BYTES))
    data = _unpacked(data, header.end + MAX_TRAILING_BYTES, whole=True)
    if header.end > len(data):
        raise ValueError(f"it should hold {header.end} bytes, but holds {len(data)}")
    flat = np.frombuffer(data, header.dtype, math.prod(header.shape), header.start)
    return RawImage(
        sha256=sha256,
        size=size,
        values=flat.reshape(header.shape, order="F"),
        grid=header.grid,
        dtype_name=header.dtype.newbyteorder("=").name,
        slope=header.slope,
        inter=header.inter,
        sform=header.sform,
        qform=header.qform,
    )


def _unpacked(data: bytes, most: int, *, whole: bool = False) -> bytes:
    """At most `most` bytes of what may be gzip; ValueError where `whole` ends early."""
    if data[:2] != GZIP_MAGIC:  # whatever the file is called
        return data
    out, room = [], most
    while data and room > 0 and data[:2] == GZIP_MAGIC:
        member = zlib.decompressobj(wbits=31)
        out.append(member.decompress(data, room))
        room -= len(out[-1])
        if whole and room > 0 and not member.eof:
            raise ValueError("it ends early: the compressed data are cut short")
        data = member.unused_data
    return out[0] if len(out) == 1 else b"".join(out)


def _affine(header: Any) -> NDArray[np.float64]:
    """As readers choose: sform, qform, voxel sizes, but never one that has lost a dimension."""
    candidates = (header.get_sform(coded=True)[0], header.get_qform(coded=True)[0])
    for affine in (*candidates, header.get_base_affine()):
        if affine is not None and np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-12:
            return np.asarray(affine, dtype=np.float64)
    return np.eye(4)


def _picture(data: bytes, sha256: str) -> RawImage:
    with Image.open(io.BytesIO(data)) as file:
        file.load()
    picture: Image.Image = file
    mode = picture.mode
    if mode not in _GREY_MODES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL on palettes with transparency
            picture = picture.convert("RGB").convert("L")
    values = np.asarray(picture)
    name = values.dtype.newbyteorder("=").name if mode in _GREY_MODES and mode not in "P1" else mode
    return RawImage(sha256, len(data), values, Grid(values.shape), name)
