"""Images and masks from whatever format holds them; and, for an audit, a file as it is: its hash,
its numbers and its header before anything is made of them.

Shapes: C channels, *S spatial axes, in the order of the file.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.core.file_ref import FileRef
from medlight.core.grid import Grid, gap_mm
from medlight.io.arrays import ARRAY_SUFFIXES, read_row, split_part, values_and_grid
from medlight.io.gz import ByteReader, errors_name_file, open_bytes
from medlight.io.itk import ParseHeader, read_header_of, read_voxels
from medlight.io.metaimage import META_SUFFIXES, parse_meta
from medlight.io.nifti import parse_nifti, read_header, read_nifti, read_nifti_mask
from medlight.io.nrrd import NRRD_SUFFIXES, parse_nrrd
from medlight.io.raster import (
    GREY_MODES,
    decode_picture,
    read_raster,
    read_raster_mask,
    whole_numbers,
)

NIFTI_SUFFIXES = (".nii", ".nii.gz")
VOLUME_SUFFIXES = NIFTI_SUFFIXES + NRRD_SUFFIXES + META_SUFFIXES
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


Place = str | Path | FileRef | Sequence[str | Path]
"""What can be read: a path, several whose channels follow each other, or a reference."""


def read_image(place: Place) -> tuple[NDArray[np.float32], Grid]:
    """Read an image: volumes with the file's scaling applied, pictures in [0, 1].

    Args:
        place: a NIfTI file or a picture; several, whose channels follow each other; or a part of
            an array. Colour pictures have three channels: red, green and blue.

    Returns:
        (C, *S) float32, and its grid.

    Raises:
        DataError: a file cannot be used, or several do not lie on the same grid.
        DataNotFoundError: it is not there.
    """
    ref = FileRef.of(place)
    image, grid = _read_one(ref)
    images = [image]
    for path in ref.paths[1:]:
        other, where = _read_one(FileRef((path,)))
        if not where.overlies(grid):
            if where.shape == grid.shape:
                off = gap_mm(grid.shape, grid.affine, where.affine)
                apart = f"corners are up to {off:.3g} mm apart"
            else:
                apart = f"shape {where.shape} and {grid.shape}"
            raise DataError(
                f"{path} does not lie on the grid of {ref.path.name}: {apart}, orientation "
                f"{where.orientation} and {grid.orientation}; resample it onto that grid"
            )
        images.append(other)
    return (np.concatenate(images) if len(images) > 1 else image), grid


def _read_one(ref: FileRef) -> tuple[NDArray[np.float32], Grid]:
    path = ref.path
    if _is_raster(path):
        return read_raster(path, page_of(ref))
    if is_nifti(path):
        return read_nifti(path)
    values, grid, largest = _plain_values(ref)
    image = np.divide(values, largest or 1, dtype=np.float32)
    return np.ascontiguousarray(np.moveaxis(image, -1, 0)), grid


def read_mask(place: Place) -> tuple[NDArray[np.int64], Grid]:
    """Read labels.

    Args:
        place: a NIfTI file, a picture, or a part of an array.

    Returns:
        (1, *S) int64, and their grid.

    Raises:
        DataError: the file cannot be used, or its numbers are not whole.
        DataNotFoundError: it is not there.
    """
    ref = FileRef.of(place)
    if len(ref.paths) > 1:
        raise DataError(f"{ref}: a mask lies in one file")
    if _is_raster(ref.path):
        return read_raster_mask(ref.path, page_of(ref))
    if is_nifti(ref.path):
        return read_nifti_mask(ref.path)
    values, grid, _ = _plain_values(ref)
    if values.shape[-1] > 1:
        raise DataError(f"{ref}: a mask holds one number a voxel, got {values.shape[-1]}")
    return whole_numbers(values[..., 0], str(ref))[np.newaxis], grid


def _plain_values(ref: FileRef) -> tuple[NDArray[Any], Grid, int | None]:
    """(*S, C) numbers as stored in formats that scale nothing; and what is 1 in [0, 1]."""
    parse = _itk_parser(ref.path)
    largest = None
    if parse is None:
        values, grid, largest = values_and_grid(read_row(ref))
    else:
        values, grid = read_voxels(ref.path, parse)
    return (values if values.ndim > grid.ndim else values[..., np.newaxis]), grid, largest


def _is_array(path: Path) -> bool:
    return path.name.lower().endswith(ARRAY_SUFFIXES)


def _is_raster(path: Path) -> bool:
    return path.name.lower().endswith(RASTER_SUFFIXES)


def _itk_parser(path: Path) -> ParseHeader | None:
    """What parses the header of a NRRD or MetaImage file; None for other formats."""
    name = path.name.lower()
    if name.endswith(NRRD_SUFFIXES):
        return parse_nrrd
    return parse_meta if name.endswith(META_SUFFIXES) else None


def is_volume(path: Path) -> bool:
    """Whether a file, by its name, holds a volume with its place in space.

    >>> is_volume(Path("a.nrrd")), is_volume(Path("a.png"))
    (True, False)
    """
    return path.name.lower().endswith(VOLUME_SUFFIXES)


def read_place(path: Path) -> tuple[Grid, int]:
    """Read where the voxels of a volume lie and how many channels they have, and no voxel.

    Args:
        path: of a NIfTI, NRRD or MetaImage file.

    Raises:
        DataError: the file cannot be used.
        DataNotFoundError: it is not there.
    """
    parse = _itk_parser(path)
    if parse is None:
        header = read_header(path)
        return header.grid, header.shape[3] if len(header.shape) == 4 else 1
    said = read_header_of(path, parse)
    return said.grid, 1 if said.channel_axis is None else said.shape[said.channel_axis]


def is_nifti(path: Path) -> bool:
    """Tell a NIfTI file from other images by its name, in any case.

    Args:
        path: of a file, which need not be there.

    Raises:
        DataError: it has the name of no image.

    >>> is_nifti(Path("a.NII.gz")), is_nifti(Path("b.PNG"))
    (True, False)
    """
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return True
    if name.endswith(VOLUME_SUFFIXES + RASTER_SUFFIXES + ARRAY_SUFFIXES):
        return False
    known = " ".join(VOLUME_SUFFIXES + RASTER_SUFFIXES + ARRAY_SUFFIXES)
    raise DataError(f"{path}: unknown format; medlight reads {known}")


def image_stem(name: str) -> str:
    """A path without the suffix of an image.

    >>> image_stem("a/b.v2.nii.gz"), image_stem("c.PNG")
    ('a/b.v2', 'c')
    """
    ends = (suffix for suffix in sorted(VOLUME_SUFFIXES + RASTER_SUFFIXES, key=len, reverse=True))
    return next((name[: -len(end)] for end in ends if name.lower().endswith(end)), name)


@dataclass(frozen=True)
class RawImage:
    """What one file holds.

    Attributes:
        values: (*S) or (*S, C), as stored.
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


def read_raw(place: Place, *, mask: bool = False) -> RawImage:
    """Read an image or a mask as it is, once: its hash, its numbers and its header.

    Args:
        place: as of `read_image`.
        mask: it holds labels: of a picture with a palette, its indices.

    Raises:
        DataError: a file cannot be used.
        DataNotFoundError: it is not there.
    """
    ref = FileRef.of(place)
    if len(ref.paths) == 1:
        return _raw_part(ref) if _is_array(ref.path) else _raw_file(ref, mask)
    raws = [_raw_file(FileRef((path,)), mask) for path in ref.paths]
    first = raws[0]
    if any(raw.grid.shape != first.grid.shape for raw in raws):
        raise DataError(f"{ref}: shapes differ, {[raw.grid.shape for raw in raws]}")
    channels = [raw.values * np.float64(raw.slope) + raw.inter for raw in raws]
    n = first.grid.ndim
    return replace(
        first,
        sha256=hashlib.sha256("".join(raw.sha256 for raw in raws).encode()).hexdigest(),
        size=sum(raw.size for raw in raws),
        values=np.concatenate([c.reshape(*c.shape[:n], -1) for c in channels], axis=-1),
        slope=1.0,
        inter=0.0,
    )


def _raw_part(ref: FileRef) -> RawImage:
    values, grid, _ = values_and_grid(read_row(ref))
    sha256 = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    return RawImage(sha256, values.nbytes, values, grid, values.dtype.newbyteorder("=").name)


def _raw_file(ref: FileRef, mask: bool) -> RawImage:
    path = ref.path
    with errors_name_file(path):
        with open_bytes(path) as content:
            data = content.read_all()
        if not data:
            raise ValueError("it is empty")
        sha256 = hashlib.sha256(data + ref.part.encode()).hexdigest()
        if is_nifti(path):
            return _nifti(data, sha256, mask=mask)
        if (parse := _itk_parser(path)) is not None:
            values, grid = read_voxels(path, parse, data)
            return RawImage(sha256, len(data), values, grid, values.dtype.newbyteorder("=").name)
        picture = decode_picture(path, data, mask=mask, page=page_of(ref))
        values, name = picture.values, picture.mode
        if name in GREY_MODES:
            name = values.dtype.newbyteorder("=").name
        return RawImage(sha256, len(data), values, Grid(values.shape[:2]), name)


def page_of(ref: FileRef) -> int | None:
    """The page of a picture that a part names; None where it names none."""
    name, page = split_part(ref)
    if name:
        raise DataError(f"{ref}: a picture has pages, such as [2], and no array {name!r}")
    return page


def _nifti(data: bytes, sha256: str, *, mask: bool) -> RawImage:
    header, values = parse_nifti(ByteReader(io.BytesIO(data)), mask=mask)
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
