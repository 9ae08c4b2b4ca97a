"""Images and masks from whatever format holds them; and, for an audit, a file as it is: its hash,
its numbers and its header before anything is made of them.

Shapes: C channels, *S spatial axes, in the order of the file.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.core.grid import Grid, gap_mm
from medlight.io.gz import ByteReader, check_regular, errors_name_file
from medlight.io.nifti import parse_nifti, read_nifti, read_nifti_mask
from medlight.io.raster import GREY_MODES, decode_picture, read_raster, read_raster_mask

NIFTI_SUFFIXES = (".nii", ".nii.gz")
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def read_image(path: str | Path) -> tuple[NDArray[np.float32], Grid]:
    """Read an image: volumes with the file's scaling applied, pictures in [0, 1].

    Args:
        path: of a NIfTI file or a picture.

    Returns:
        (C, *S) float32, and its grid.

    Raises:
        DataError: the file cannot be used.
        DataNotFoundError: it is not there.
    """
    path = Path(path)
    return read_nifti(path) if is_nifti(path) else read_raster(path)


def read_channels(paths: Sequence[Path]) -> tuple[NDArray[np.float32], Grid]:
    """Read an image from one file, or from several whose channels follow each other.

    Args:
        paths: one or more, in the order of the channels.

    Returns:
        (C, *S) float32, and the grid that all of them share.

    Raises:
        DataError: a file cannot be used, or they do not lie on the same grid.
    """
    image, grid = read_image(paths[0])
    images = [image]
    for path in paths[1:]:
        other, where = read_image(path)
        if not where.overlies(grid):
            if where.shape == grid.shape:
                off = gap_mm(grid.shape, grid.affine, where.affine)
                apart = f"corners are up to {off:.3g} mm apart"
            else:
                apart = f"shape {where.shape} and {grid.shape}"
            raise DataError(
                f"{path} does not lie on the grid of {paths[0].name}: {apart}, orientation "
                f"{where.orientation} and {grid.orientation}; resample it onto that grid"
            )
        images.append(other)
    return (np.concatenate(images) if len(images) > 1 else image), grid


def read_mask(path: str | Path) -> tuple[NDArray[np.int64], Grid]:
    """Read labels.

    Args:
        path: of a NIfTI file or a picture.

    Returns:
        (1, *S) int64, and their grid.

    Raises:
        DataError: the file cannot be used, or its numbers are not whole.
        DataNotFoundError: it is not there.
    """
    path = Path(path)
    return read_nifti_mask(path) if is_nifti(path) else read_raster_mask(path)


def is_nifti(path: Path) -> bool:
    """Tell a NIfTI file from a picture by its name, in any case.

    Args:
        path: of a file, which need not be there.

    Raises:
        DataError: it has the name of neither.

    >>> is_nifti(Path("a.NII.gz")), is_nifti(Path("b.PNG"))
    (True, False)
    """
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return True
    if name.endswith(RASTER_SUFFIXES):
        return False
    raise DataError(
        f"{path}: unknown format; medlight reads {' '.join(NIFTI_SUFFIXES + RASTER_SUFFIXES)}"
    )


def image_stem(name: str) -> str:
    """A path without the suffix of an image.

    >>> image_stem("a/b.v2.nii.gz"), image_stem("c.PNG")
    ('a/b.v2', 'c')
    """
    ends = (suffix for suffix in sorted(NIFTI_SUFFIXES + RASTER_SUFFIXES, key=len, reverse=True))
    return next((name[: -len(end)] for end in ends if name.lower().endswith(end)), name)


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


def read_raw(path: Path, *, mask: bool = False) -> RawImage:
    """Read a file as it is, once: its hash, its numbers and its header.

    Args:
        path: of a NIfTI file or a picture.
        mask: it holds labels: of a picture with a palette, its indices.

    Raises:
        DataError: the file cannot be used.
        DataNotFoundError: it is not there.
    """
    with errors_name_file(path):
        check_regular(path)
        data = path.read_bytes()
        if not data:
            raise ValueError("it is empty")
        sha256 = hashlib.sha256(data).hexdigest()
        if is_nifti(path):
            return _nifti(data, sha256)
        picture = decode_picture(path, data, mask=mask)
        values, name = picture.values, picture.mode
        if name in GREY_MODES:
            name = values.dtype.newbyteorder("=").name
        return RawImage(sha256, len(data), values, picture.grid, name)


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
