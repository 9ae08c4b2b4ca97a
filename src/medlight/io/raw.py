"""A file as it is: its bytes' hash, and its numbers and header before anything is made of them.

What an audit needs and a reader hides. Each file is opened once.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medlight.core.grid import Grid
from medlight.io.gz import ByteReader, check_regular
from medlight.io.nifti import parse_nifti
from medlight.io.raster import luminance
from medlight.io.read import is_nifti
from medlight.io.read_errors import errors_name_file

_GREY_MODES = ("L", "I;16", "I;16B", "I;16L", "I", "F", "P", "1")


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
    with errors_name_file(path):
        check_regular(path)
        data = path.read_bytes()
        if not data:
            raise ValueError("it is empty")
        decode = _nifti if is_nifti(path) else _picture
        return decode(data, hashlib.sha256(data).hexdigest())


def _nifti(data: bytes, sha256: str) -> RawImage:
    header, values = parse_nifti(ByteReader(io.BytesIO(data)))
    return RawImage(
        sha256=sha256,
        size=len(data),
        values=values,
        grid=header.grid,
        dtype_name=header.dtype.newbyteorder("=").name,
        slope=header.slope,
        inter=header.inter,
        sform=header.sform,
        qform=header.qform,
    )


def _picture(data: bytes, sha256: str) -> RawImage:
    with Image.open(io.BytesIO(data)) as file:
        file.load()
    picture: Image.Image = file
    mode = picture.mode
    if mode not in _GREY_MODES:
        picture = luminance(picture)
    values = np.asarray(picture)
    name = values.dtype.newbyteorder("=").name if mode in _GREY_MODES and mode not in "P1" else mode
    return RawImage(sha256, len(data), values, Grid(values.shape), name)
