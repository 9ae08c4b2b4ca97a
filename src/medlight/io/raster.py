"""PNG, JPEG and other 2-D pictures.

Shapes: one channel; H rows, W columns.
"""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from medlight.core.errors import DataError
from medlight.core.grid import Grid
from medlight.io.atomic import atomic_path
from medlight.io.gz import check_read_limit, errors_name_file, open_bytes

# Our own limit holds instead, which a variable raises; see `check_read_limit`.
Image.MAX_IMAGE_PIXELS = None

_LARGEST = {"L": 255, "I;16": 65535, "I;16B": 65535, "I;16L": 65535}
"""Modes of one unsigned channel, and their largest value. Other grey modes have no scale."""
GREY_MODES = (*_LARGEST, "I", "F")
"""Modes of one channel, whose numbers are read as stored."""
_LABEL_MODES = (*GREY_MODES, "P", "1")
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF 6.0
_UNSIGNED, _SIGNED, _WHITE_IS_ZERO = 1, 2, 0
_PNG_COLOUR_TYPES = (2, 4, 6)
_ADVICE = "copy or download this picture again, or leave it out"


COLOURED = "it is in colour, which is read as grey"
"""The caveat of a picture whose colours are lost."""
_MIN_COLOUR = 32
"""Levels of 256 between two channels from which a pixel is not grey: JPEG alone makes fewer."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The pixels of one file, upright.

    Attributes:
        values: (H, W) as stored: of colours their luminance, of a palette's labels the indices.
        mode: Pillow's word for what the file holds.
        largest: what is 1 in [0, 1]; None where numbers are taken as they are.
        coloured: whether it is in colour, not only stored so.
    """

    values: NDArray[Any]
    mode: str
    largest: int | None
    coloured: bool = False

    @property
    def grid(self) -> Grid:
        return Grid(self.values.shape, caveats=(COLOURED,) if self.coloured else ())


def read_raster(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """Read a picture. Unsigned numbers of 8 and 16 bits are divided by the largest of their type;
    floating point, signed and 32-bit numbers are taken as they are.

    Args:
        path: of a PNG, JPEG, BMP or TIFF file. Colours become their luminance (ITU-R 601);
            transparency is dropped; the EXIF orientation is applied.

    Returns:
        (1, H, W) float32, and its grid.

    Raises:
        DataError: it is not a picture, holds several, or more bits than can be read.
    """
    picture = _load(path, mask=False)
    image = np.divide(picture.values, picture.largest or 1, dtype=np.float32)
    return image[np.newaxis], picture.grid


def read_raster_mask(path: Path) -> tuple[NDArray[np.int64], Grid]:
    """Read labels: the numbers in the file, or the palette's indices. Colour may only be grey.

    Args:
        path: of a picture; its EXIF orientation is applied.

    Returns:
        (1, H, W) int64, and its grid.

    Raises:
        DataError: it is not a picture, holds several, is in colour, or its numbers are not whole.
    """
    values = _load(path, mask=True).values
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            wrong = ~((values == np.rint(values)) & (np.abs(values) < 2**31))  # or nan
        if wrong.any():
            raise DataError(
                f"{path}: a mask holds whole numbers, but this file holds {values[wrong][0]:g}; "
                f"is it an image?"
            )
    return values.astype(np.int64)[np.newaxis], Grid(values.shape)


def decode_picture(path: Path, content: bytes, *, mask: bool) -> Picture:
    """Read the pixels that a file holds, whole and unnarrowed, or refuse it.

    Args:
        path: of the file, for messages.
        content: of the file.
        mask: labels: a palette's indices count, and colour may only be grey.

    Raises:
        DataError: it holds several pictures, more bits than can be read, or a mask in colour.
    """
    # From memory: of a file, Pillow makes room for whatever a damaged length promises.
    try:
        opened = Image.open(BytesIO(content))
    except UnidentifiedImageError as error:  # its own message names an object in memory
        raise ValueError(
            "it is not a picture, or of a kind that is not supported, such as TIFF of 64-bit or "
            "half-precision numbers"
        ) from error
    with opened as file:
        width, height = file.size
        check_read_limit(width * height * 4)
        frames = _count(file)
        if frames > 1:
            raise DataError(
                f"{path}: it holds {frames} pictures, but one file is one picture; save each of "
                f"them as a file of its own, or a volume as NIfTI"
            )
        tags: Any = getattr(file, "tag_v2", {})
        bits, form, white = (tags.get(t) for t in (_BITS, _SAMPLE_FORMAT, _PHOTOMETRIC))
        deep = content[24] == 16 and content[25] in _PNG_COLOUR_TYPES and file.format == "PNG"
        if deep or (file.mode not in _LABEL_MODES and max(bits or (8,)) > 8):
            raise DataError(
                f"{path}: pictures of 16 bits a colour are not supported; save it as 16-bit grey, "
                f"or with 8 bits a colour"
            )
        file.load()
    picture: Any = ImageOps.exif_transpose(file)
    mode, coloured = picture.mode, False
    if mode not in (_LABEL_MODES if mask else GREY_MODES):
        coloured = not mask and _is_coloured(picture)
        picture = _grey_of_colour_mask(path, picture) if mask else luminance(picture)
    values = np.asarray(picture)
    if white == _WHITE_IS_ZERO and mode in ("L", "1"):  # Pillow turns these, and no others
        values = ~values
    if mode == "L" and form == (_SIGNED,):
        return Picture(values.view(np.int8), mode, None)
    if mode == "I" and form in (None, (_UNSIGNED,)) and bits == (32,):  # TIFF 6.0: the default
        values = values.view(np.uint32)
    return Picture(values, mode, _LARGEST.get(picture.mode), coloured)


def _count(file: Any) -> int:
    try:
        return int(getattr(file, "n_frames", 1))
    except (TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"its second picture is damaged: {error}") from error


def _grey_of_colour_mask(path: Path, picture: Image.Image) -> Image.Image:
    rgb = np.asarray(picture.convert("RGB"))
    if (rgb != rgb[..., :1]).any():
        raise DataError(
            f"{path}: a mask holds one number a pixel, but this file is in colour "
            f"(mode {picture.mode}); save label numbers as grey or palette PNG"
        )
    return Image.fromarray(np.ascontiguousarray(rgb[..., 0]))


def write_raster(path: Path, values: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a grey PNG, or whatever lossless format the suffix says.

    Args:
        path: of the file, which appears whole or not at all.
        values: (H, W).
    """
    with atomic_path(path) as part:
        Image.fromarray(np.ascontiguousarray(values)).save(part)


def _load(path: Path, *, mask: bool) -> Picture:
    with errors_name_file(path, _ADVICE), open_bytes(path) as content:
        return decode_picture(path, content.read_all(), mask=mask)


def _is_coloured(picture: Image.Image) -> bool:
    red, green, blue = (np.asarray(each) for each in _rgb(picture).split())
    high = np.maximum(np.maximum(red, green), blue)
    return bool((high - np.minimum(np.minimum(red, green), blue) >= _MIN_COLOUR).any())


def luminance(picture: Image.Image) -> Image.Image:
    """Turn a picture grey (ITU-R 601), without transparency.

    Args:
        picture: in any mode.
    """
    return _rgb(picture).convert("L")


def _rgb(picture: Image.Image) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL on palettes with transparency
        return picture.convert("RGB")
