"""How images and masks are held: in one to four bytes a voxel, plain or packed by blosc2.

Shapes: C channels, *S spatial axes.

Errors, of an image's range a channel: whole numbers (CT, most MR) and 8-bit pictures are exact;
anything else is within 1/130,000 of the range as int16, within 1/2,048 of the value as float16, and
exact as float32, which is taken where int16 would make nothing of what is small (k-space).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError, MissingExtraError

Codec = Literal["none", "blosc2"]
CODECS: tuple[Codec, ...] = ("none", "blosc2")
StoreDtype = Literal["int16", "float16", "float32"]
STORE_DTYPES: tuple[StoreDtype, ...] = ("int16", "float16", "float32")
BLOCK_SHAPE, BLOCKS_PER_CHUNK = (64, 64, 28), 4
"""Most voxels an axis that blosc2 unpacks at once, and how many such blocks it finds at once.
Measured on CT: thin blocks waste less around a patch, broad ones pack better."""
_SWALLOWED = 0.5
"""Share of a channel's voxels, not 0, that int16 may make 0."""
_SHIFTS = range(0, 256, 16)
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """`values * scale + shift` is the image, channel by channel.

    Attributes:
        values: (C, *S) uint8, int16, float16 or float32.
        scale, shift: (C,) float64.
    """

    values: NDArray[Any]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


def encode_image(image: NDArray[np.float32], dtype: StoreDtype, *, align: bool = False) -> Encoded:
    """Encode an image in the smallest type that is exact, else in `dtype`.

    Args:
        image: (C, *S).
        dtype: of images that are not whole numbers.
        align: shift whole numbers so that most share their upper byte, which packs better.

    Returns:
        The values as they are stored, and the map back to intensities.

    Raises:
        ValueError: there is nan or infinity in the image.
    """
    low, high = (each(image.reshape(len(image), -1), axis=1) for each in (np.min, np.max))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("the image holds voxels that are nan or infinite")
    for unit in (1.0, 255.0):  # whole numbers; 8-bit pictures, which readers scale to [0, 1]
        least, most = np.rint(low.min() * unit), np.rint(high.max() * unit)
        if _INT16.min <= least and most <= _INT16.max and all(_is_whole(c, unit) for c in image):
            small = np.uint8 if least >= 0 and most <= 255 else np.int16
            whole = image if unit == 1 else np.rint(image * np.float32(unit))
            ones = np.ones(len(image))
            if align and small is np.int16 and most < _INT16.max - 255:
                by = _alignment(whole)
                return Encoded(
                    (whole + np.float32(by)).astype(small), ones / unit, -by * ones / unit
                )
            return Encoded(whole.astype(small), ones / unit, 0 * ones)
    if dtype == "float32" or (dtype == "int16" and _is_wide(image, low, high)):
        ones = np.ones(len(image))
        return Encoded(image, ones, 0 * ones)
    return _floating(image, low, high) if dtype == "float16" else _linear(image, low, high)


def _is_wide(
    image: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> bool:
    """Whether many voxels are so small, beside the largest, that a step of int16 swallows them."""
    half_steps = (high - low) / np.float32(2 * (_INT16.max - _INT16.min))
    for channel, half in zip(image, half_steps, strict=True):
        small = np.abs(channel) < half
        count = np.count_nonzero(small) - channel.size + np.count_nonzero(channel)
        if count > _SWALLOWED * channel.size:
            return True
    return False


def _is_whole(channel: NDArray[np.float32], unit: float) -> bool:
    first = channel[:1] * np.float32(unit)  # most that are not whole show it at once
    if np.abs(first - np.rint(first)).max() > 1e-4:
        return False
    if unit == 1:
        return bool((channel == np.rint(channel)).all())
    scaled = channel * np.float32(unit)
    return bool(np.abs(scaled - np.rint(scaled)).max() < 1e-4)


def _alignment(whole: NDArray[np.float32]) -> int:
    """What to add so that the upper bytes hold as little news as possible."""
    some = whole.reshape(-1)[:: max(1, whole.size // 2**16)].astype(np.int64) - _INT16.min
    news = []
    for by in _SHIFTS:
        counts = np.bincount((some + by) >> 8)
        share = counts[counts > 0] / some.size
        news.append(-float((share * np.log2(share)).sum()))
    return _SHIFTS[int(np.argmin(news))]


def _linear(
    image: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> Encoded:
    steps = float(_INT16.max) - _INT16.min
    scale = (high.astype(np.float64) - low) / steps
    scale[scale == 0] = 1.0
    values = np.empty(image.shape, np.int16)
    for channel, encoded, least, step in zip(image, values, low, scale, strict=True):
        place = channel - least
        place /= np.float32(step)
        np.rint(place, out=place)
        place += _INT16.min
        encoded[...] = np.clip(place, _INT16.min, _INT16.max, out=place)
    return Encoded(values, scale, low - _INT16.min * scale)


def _floating(
    image: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> Encoded:
    most = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
    scale = np.where(most > 2.0**15, most / 2.0**15, 1.0)  # the type ends at 65,504
    spatial = (-1, *(1,) * (image.ndim - 1))
    values = (image / scale.astype(np.float32).reshape(spatial)).astype(np.float16)
    return Encoded(values, scale, 0 * scale)


def encode_mask(mask: NDArray[np.integer]) -> NDArray[Any]:
    """Give labels the smallest type that holds them: uint8, else int16.

    Args:
        mask: (1, *S).

    Raises:
        ValueError: they fit neither.
    """
    low, high = int(mask.min()), int(mask.max())
    for kind in (np.uint8, np.int16):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return mask.astype(kind)
    raise ValueError(f"labels from {low} to {high} are not supported, only up to {_INT16.max}")


def pack_array(values: NDArray[Any], codec: Codec) -> bytes | memoryview:
    """Turn an array into bytes. Packing works in blocks, so that a patch does not unpack the whole.

    Args:
        values: (C, *S).
        codec: "none" for plain bytes, or "blosc2".
    """
    values = np.ascontiguousarray(values)
    if codec == "none":
        return memoryview(values.reshape(-1).view(np.uint8).data)
    blosc2 = _blosc2()
    blocks = [
        -(-n // -(-n // most)) for n, most in zip(values.shape[1:], BLOCK_SHAPE, strict=False)
    ]
    chunks = [*blocks[:-1], min(BLOCKS_PER_CHUNK * blocks[-1], values.shape[-1])]
    small = values.itemsize == 1  # masks and pictures
    settings = blosc2.CParams(
        codec=blosc2.Codec.ZSTD if small else blosc2.Codec.LZ4HC,
        clevel=5 if small else 9,
        filters=[blosc2.Filter.SHUFFLE],
        splitmode=blosc2.SplitMode.ALWAYS_SPLIT,
        nthreads=1,
        typesize=values.itemsize,
    )
    packed = blosc2.asarray(values, chunks=(1, *chunks), blocks=(1, *blocks), cparams=settings)
    return cast(bytes, packed.to_cframe())


def unpack_array(
    content: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], codec: Codec
) -> Any:
    """Give what reads an array when it is indexed: a view of `content`, or blosc2's.

    Args:
        content: the bytes of the array.
        dtype, shape: of the array.
        codec: what packed it.

    Raises:
        ValueError: the content has another shape.
    """
    if codec == "none":
        return np.frombuffer(content, dtype).reshape(shape)
    packed = _blosc2().ndarray_from_cframe(content)
    if packed.shape != shape:
        raise ValueError(f"it holds the shape {packed.shape}, not {shape}")
    return packed


@cache
def _blosc2() -> Any:
    try:
        import blosc2
    except ImportError as error:
        raise MissingExtraError(
            "store.codec=blosc2 needs blosc2; type pip install 'medlight[blosc2]', "
            "or store.codec=none"
        ) from error
    blosc2.set_nthreads(1)  # cases are what runs in parallel
    return blosc2


def check_settings(codec: str, dtype: str) -> None:
    """Check the settings of a store; blosc2 is imported if it is chosen.

    Args:
        codec, dtype: as in `Store`.

    Raises:
        DataError: a setting does not exist.
        MissingExtraError: blosc2 is chosen and not installed.
    """
    if codec not in CODECS:
        raise DataError(f"store.codec must be one of {', '.join(CODECS)}, got {codec!r}")
    if dtype not in STORE_DTYPES:
        raise DataError(f"store.dtype must be one of {', '.join(STORE_DTYPES)}, got {dtype!r}")
    if codec == "blosc2":
        _blosc2()
