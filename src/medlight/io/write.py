"""Predictions to files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.core.grid import Grid
from medlight.io.metaimage import META_SUFFIXES, write_meta
from medlight.io.nifti import read_header, spare_bytes, write_nifti
from medlight.io.nrrd import NRRD_SUFFIXES, write_nrrd
from medlight.io.raster import write_raster
from medlight.io.read import is_nifti, is_volume, read_mask

UNIT_SCALE = 32767


def mask_suffix(source: Path, usual: str) -> str:
    """The ending of the mask of a file: NRRD and MetaImage stay what they are.

    >>> mask_suffix(Path("a.nrrd"), ".nii.gz"), mask_suffix(Path("a.jpg"), ".png")
    ('.nrrd', '.png')
    """
    name = source.name.lower()
    if name.endswith(NRRD_SUFFIXES):
        return ".nrrd"
    return ".mha" if name.endswith(META_SUFFIXES) else usual


def write_mask(path: str | Path, labels: NDArray[np.uint8], grid: Grid) -> None:
    """Write labels to a volume or to a grey picture, by the name's ending.

    NIfTI keeps the source's affine, form codes and units, and holds no free text.

    Args:
        path: of the file, which appears whole or not at all.
        labels: (*S) uint8.
        grid: where they lie.

    Raises:
        ValueError: shape or type do not fit.
    """
    path = Path(path)
    if labels.dtype != np.uint8 or labels.shape != grid.shape:
        raise ValueError(
            f"{path}: expected uint8 labels of shape {grid.shape}, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    write_channel(path, labels, grid)


def write_channel(path: Path, values: NDArray[Any], grid: Grid) -> None:
    """Write one channel in the format that the name's ending says.

    Args:
        path: of the file, which appears whole or not at all.
        values: (*S), whose type is kept; of pictures uint8 or uint16.
        grid: where they lie.
    """
    name = path.name.lower()
    if is_nifti(path):
        write_nifti(path, values, grid)
    elif name.endswith(NRRD_SUFFIXES):
        write_nrrd(path, values, grid)
    elif name.endswith(META_SUFFIXES):
        write_meta(path, values, grid)
    else:
        write_raster(path, values)


def write_unit_range(path: str | Path, values: NDArray[np.float32], grid: Grid) -> None:
    """Write numbers in [0, 1] in 16 bits: one in 32767 is their precision.

    Args:
        path: of the file. NIfTI holds channels last; a picture has them below each other.
        values: (*S) or (K, *S).
        grid: where they lie.
    """
    path = Path(path)
    if is_nifti(path):
        coded = np.rint(values * np.float32(UNIT_SCALE)).astype(np.int16)
        channels_last = np.moveaxis(coded, 0, -1) if values.ndim > grid.ndim else coded
        write_nifti(path, channels_last, grid, slope=1 / UNIT_SCALE)
    else:
        pixels = values.reshape(-1, values.shape[-1])
        write_raster(path, np.rint(pixels * np.float32(65535)).astype(np.uint16))


def is_complete_file(path: str | Path) -> bool:
    """Say whether a file that this module wrote is there, and as long as its beginning says.

    Args:
        path: of the file.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size < 12:
        return False
    with path.open("rb") as file:
        file.seek(-12, 2)
        last = file.read()
    if not is_volume(path):
        return last[4:8] == b"IEND"  # of a PNG
    try:
        if is_nifti(path):
            return not spare_bytes(path, read_header(path))
        read_mask(path)
        return True
    except DataError:
        return False
