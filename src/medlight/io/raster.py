"""PNG, JPEG and other 2-D pictures.

Shapes: C channels, one of grey and three of colours; H rows, W columns.
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
from medlight.io.gz import MAX_RATIO, check_read_limit, errors_name_file, open_bytes

# Our own limit holds instead, which a variable raises; see `check_read_limit`.
Image.MAX_IMAGE_PIXELS = None

_LARGEST = {"L": 255, "RGB": 255, "I;16": 65535, "I;16B": 65535, "I;16L": 65535}
"""Modes of unsigned channels, and their largest value. Other modes have no scale."""
GREY_MODES = ("L", "I;16", "I;16B", "I;16L", "I", "F")
"""Modes of one channel, whose numbers are read as stored."""
_LABEL_MODES = (*GREY_MODES, "P", "1")
_STORED_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Of a pixel in Pillow's memory; all other modes take four, whatever their channels."""
_PIXELS_PER_BYTE = 8 * MAX_RATIO  # of a picture packed as tight as deflate can, 1 bit a pixel
_COPIES = 4  # unpacked, upright, grey, and as an array
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF 6.0
_SAMPLES, _PLANAR, _SEPARATE = 277, 284, 2
_UNSIGNED, _SIGNED, _WHITE_IS_ZERO = 1, 2, 0
_PNG_COLOUR_TYPES = (2, 4, 6)
_ADVICE = "copy or download this picture again, or leave it out"


@dataclass(frozen=True, slots=True)
class Picture:
    """The pixels of one file, upright.

    Attributes:
        values: as stored: grey (H, W), red, green and blue (H, W, 3); of labels (H, W), of a
            palette's the indices.
        mode: Pillow's word for what the file holds.
        largest: what is 1 in [0, 1]; None where numbers are taken as they are.
    """

    values: NDArray[Any]
    mode: str
    largest: int | None


def read_raster(path: Path, page: int | None = None) -> tuple[NDArray[np.float32], Grid]:
    """Read a picture. Unsigned numbers of 8 and 16 bits are divided by the largest of their type;
    floating point, signed and 32-bit numbers are taken as they are.

    Args:
        path: of a PNG, JPEG, BMP or TIFF file. Transparency is dropped; the EXIF orientation is
            applied.
        page: of a file with several pages, counted from 0.

    Returns:
        (C, H, W) float32, and its grid.

    Raises:
        DataError: it is not a picture, holds several, or more bits than can be read.
    """
    picture = _load(path, page, mask=False)
    image = np.divide(picture.values, picture.largest or 1, dtype=np.float32)
    channels = image.reshape(*image.shape[:2], -1)
    return np.ascontiguousarray(np.moveaxis(channels, -1, 0)), Grid(image.shape[:2])


def read_raster_mask(path: Path, page: int | None = None) -> tuple[NDArray[np.int64], Grid]:
    """Read labels: the numbers in the file, or the palette's indices. Colour may only be grey.

    Args:
        path: of a picture; its EXIF orientation is applied.
        page: of a file with several pages, counted from 0.

    Returns:
        (1, H, W) int64, and its grid.

    Raises:
        DataError: it is not a picture, holds several, is in colour, or its numbers are not whole.
    """
    values = _load(path, page, mask=True).values
    return whole_numbers(values, str(path))[np.newaxis], Grid(values.shape)


def whole_numbers(values: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Read numbers as labels.

    Args:
        values: of any shape.
        name: of where they come from, for messages.

    Raises:
        DataError: one of them is not whole.
    """
    if values.dtype.kind == "c":
        raise DataError(f"{name}: a mask holds whole numbers, but this file holds complex ones")
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            wrong = ~((values == np.rint(values)) & (np.abs(values) < 2**31))  # or nan
        if wrong.any():
            raise DataError(
                f"{name}: a mask holds whole numbers, but this file holds {values[wrong][0]:g}; "
                f"is it an image?"
            )
    return values.astype(np.int64)


def decode_picture(path: Path, content: bytes, *, mask: bool, page: int | None = None) -> Picture:
    """Read the pixels that a file holds, whole and unnarrowed, or refuse it.

    Args:
        path: of the file, for messages.
        content: of the file.
        mask: labels: a palette's indices count, and colour may only be grey.
        page: of a file with several, counted from 0.

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
        if file.mode != "1" and width * height > _PIXELS_PER_BYTE * len(content):
            raise ValueError(f"it says to hold {width} x {height} pixels, in {len(content)} bytes")
        pixel = _COPIES * _STORED_BYTES.get(file.mode, 4) + (8 if mask else 4)
        check_read_limit(len(content) + width * height * pixel)
        frames = _count(file)
        if page is not None:
            if page >= frames:
                raise DataError(f"{path}: there is no page {page}; it holds {frames}")
            file.seek(page)
        elif frames > 1:
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
        _check_whole(file)
        file.load()
    picture: Any = ImageOps.exif_transpose(file)
    mode = picture.mode
    if mode not in (_LABEL_MODES if mask else GREY_MODES):
        picture = _grey_of_colour_mask(path, picture) if mask else _plain(picture)
    values = np.asarray(picture)
    if white == _WHITE_IS_ZERO and mode in ("L", "1"):  # Pillow turns these, and no others
        values = ~values
    if mode == "L" and form == (_SIGNED,):
        return Picture(values.view(np.int8), mode, None)
    if mode == "I" and form in (None, (_UNSIGNED,)) and bits == (32,):  # TIFF 6.0: the default
        values = values.view(np.uint32)
    return Picture(values, mode, _LARGEST.get(picture.mode))


def _check_whole(file: Any) -> None:
    """Pillow leaves what no strip or tile of a TIFF covers 0, and says nothing."""
    if file.format != "TIFF" or any(tile[0] == "libtiff" for tile in file.tile):
        return
    pixels = sum((right - left) * (low - top) for _, (left, top, right, low), *_ in file.tile)
    tags = file.tag_v2
    planes = tags.get(_SAMPLES, 1) if tags.get(_PLANAR) == _SEPARATE else 1
    if pixels < file.width * file.height * planes:
        raise ValueError(f"it holds {pixels} of its {file.width} x {file.height} pixels")


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


def _load(path: Path, page: int | None, *, mask: bool) -> Picture:
    with errors_name_file(path, _ADVICE), open_bytes(path) as content:
        return decode_picture(path, content.read_all(), mask=mask, page=page)


def _plain(picture: Image.Image) -> Image.Image:
    """Grey or red, green and blue, without transparency or a palette."""
    if picture.mode in ("LA", "La", "1"):
        return picture.convert("L")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL on palettes with transparency
        colours = picture.convert("RGB")
    if picture.mode not in ("P", "PA"):
        return colours
    red, green, blue = (band.tobytes() for band in colours.split())
    return colours.getchannel(0) if red == green == blue else colours
