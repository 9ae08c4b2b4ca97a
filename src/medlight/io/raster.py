"""PNG, JPEG and other 2-D pictures.

Shapes: one channel; H rows, W columns.
"""

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medlight.core.errors import DataError
from medlight.core.grid import Grid
from medlight.io.atomic import atomic_path
from medlight.io.gz import check_read_limit, errors_name_file, open_bytes

_GREY_MODES = {"L": 255, "I;16": 65535, "I;16B": 65535, "I;16L": 65535, "I": 65535}
"""Modes that are one channel already, and their largest value. PIL's "I" is a 16-bit PNG."""


def read_raster(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """Read a picture, scaled by the largest value its type can hold.

    Args:
        path: of a PNG, JPEG, BMP or TIFF file. Colours become their luminance (ITU-R 601);
            transparency is dropped.

    Returns:
        (1, H, W) float32 in [0, 1], and its grid.

    Raises:
        DataError: it is not a picture, or has 32 bits a pixel.
    """
    picture = _load(path)
    if picture.mode not in _GREY_MODES:
        picture = luminance(picture)
    values, largest = np.asarray(picture), _GREY_MODES[picture.mode]
    if picture.mode == "I" and (values.min() < 0 or values.max() > largest):
        raise DataError(f"{path}: 32-bit pictures are not supported; save it as 16-bit PNG")
    image = np.divide(values, largest, dtype=np.float32)
    return image[np.newaxis], Grid(values.shape)


def read_raster_mask(path: Path) -> tuple[NDArray[np.int64], Grid]:
    """Read labels: the numbers in the file, or the palette's indices. Colour may only be grey.

    Args:
        path: of a picture.

    Returns:
        (1, H, W) int64, and its grid.

    Raises:
        DataError: it is not a picture, or in colour.
    """
    picture = _load(path)
    if picture.mode in (*_GREY_MODES, "P", "1"):
        values = np.asarray(picture)
    else:
        rgb = np.asarray(picture.convert("RGB"))
        values = rgb[..., 0]
        if (rgb != values[..., np.newaxis]).any():
            raise DataError(
                f"{path}: a mask holds one number a pixel, but this file is in colour "
                f"(mode {picture.mode}); save label numbers as grey or palette PNG"
            )
    return values.astype(np.int64)[np.newaxis], Grid(values.shape)


def write_raster(path: Path, values: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a grey PNG, or whatever lossless format the suffix says.

    Args:
        path: of the file, which appears whole or not at all.
        values: (H, W).
    """
    with atomic_path(path) as part:
        Image.fromarray(np.ascontiguousarray(values)).save(part)


def _load(path: Path) -> Image.Image:
    # From memory: of a file, Pillow makes room for whatever a damaged length promises.
    with (
        errors_name_file(path, "copy or download this picture again, or leave it out"),
        open_bytes(path) as content,
        Image.open(BytesIO(content.read_all())) as picture,
    ):
        width, height = picture.size
        check_read_limit(width * height * 4)
        picture.load()
    return picture


def luminance(picture: Image.Image) -> Image.Image:
    """Turn a picture grey (ITU-R 601), without transparency.

    Args:
        picture: in any mode.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL on palettes with transparency
        return picture.convert("RGB").convert("L")
