"""What NRRD and MetaImage files share: a header in words, then voxels; places in LPS.

Shapes: *S spatial axes in the order of the file, C channels last.
"""

import bz2
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.core.grid import Grid
from medlight.io.gz import DECODED_BYTES, check_read_limit, check_regular, errors_name_file

MM = {"mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "um": 1e-3, "micron": 1e-3,
      "microns": 1e-3, "m": 1e3, "meter": 1e3, "cm": 10.0, "": 1.0}  # fmt: skip
"""Units of length, in mm."""
LONGEST_HEADER = 2**20
_ADVICE = "save this file again, or leave it out"
_TO_RAS = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}


@dataclass(frozen=True, slots=True)
class ItkHeader:
    """What a file says before its voxels.

    Attributes:
        shape: as stored, the first axis fastest.
        channel_axis: the one that is not space; None where all are.
        dtype: of the voxels as stored.
        grid: where they lie.
        encoding: "raw", "gzip", "zlib", "bzip2" or "text".
        data: the file that holds them, where it is another one.
        start: where they begin; -1: as many bytes from the end as they take.
    """

    shape: tuple[int, ...]
    channel_axis: int | None
    dtype: np.dtype[Any]
    grid: Grid
    encoding: str
    data: Path | None
    start: int


ParseHeader = Callable[[Path, bytes], ItkHeader]
"""(path, at least its first bytes) to what it says."""


def read_header_of(path: Path, parse: ParseHeader) -> ItkHeader:
    """Read what a file says before its voxels.

    Args:
        path: of the file.
        parse: its format.

    Raises:
        DataError: it is of another format, or says what cannot be read.
        DataNotFoundError: it is not there.
    """
    with errors_name_file(path, _ADVICE):
        check_regular(path)
        with path.open("rb") as file:
            return _parsed(path, file.read(LONGEST_HEADER), parse)


def read_voxels(
    path: Path, parse: ParseHeader, content: bytes | None = None
) -> tuple[NDArray[Any], Grid]:
    """Read a file.

    Args:
        path: of the file.
        parse: its format.
        content: of the file, where it has been read already.

    Returns:
        (*S) or (*S, C) as stored, and where they lie.

    Raises:
        DataError: the file cannot be used.
        DataNotFoundError: it, or the file of its voxels, is not there.
    """
    with errors_name_file(path, _ADVICE):
        if content is None:
            content = _whole(path)
        header = _parsed(path, content, parse)
    holder = path if header.data is None else header.data
    with errors_name_file(holder, _ADVICE):
        values = _voxels(header, content if header.data is None else _whole(holder))
    if header.channel_axis is not None:
        values = np.moveaxis(values, header.channel_axis, -1)
    return values, header.grid


def _whole(path: Path) -> bytes:
    check_regular(path)
    check_read_limit(path.stat().st_size)
    return path.read_bytes()


def _parsed(path: Path, content: bytes, parse: ParseHeader) -> ItkHeader:
    if not content:
        raise ValueError("it is empty")
    return parse(path, content)


def _voxels(header: ItkHeader, content: bytes) -> NDArray[Any]:
    count = int(np.prod(header.shape, dtype=object))
    total = count * header.dtype.itemsize
    check_read_limit(len(content) + total + DECODED_BYTES * count)
    packed = content[len(content) - total if header.start < 0 else header.start :]
    if header.encoding == "text":
        numbers = packed.decode("ascii").split()
        plain = np.array(numbers[:count], header.dtype).tobytes()
    elif header.encoding == "raw":
        plain = packed[:total]
    elif header.encoding == "bzip2":
        plain = bz2.BZ2Decompressor().decompress(packed, total)
    else:
        plain = zlib.decompressobj(31 if header.encoding == "gzip" else 15).decompress(
            packed, total
        )
    if len(plain) < total:
        raise ValueError(f"it should hold {total} bytes of voxels, but holds {len(plain)}")
    return np.frombuffer(plain, header.dtype).reshape(header.shape, order="F")


def grid_of(
    sizes: Sequence[int],
    columns: NDArray[np.float64],
    origin: NDArray[np.float64],
    order: str,
    scale: float,
) -> Grid:
    """Put together a grid.

    Args:
        sizes: voxels along each axis.
        columns: step along each axis, a column each.
        origin: of the first voxel.
        order: where the coordinates point, such as LPS.
        scale: mm in their unit.

    Raises:
        ValueError: the directions do not span space.
    """
    affine = np.eye(4)
    n = len(columns)
    for row, letter in enumerate(order[:n]):
        world, sign = _TO_RAS[letter]
        affine[world, : columns.shape[1]] = sign * scale * columns[row]
        affine[world, 3] = sign * scale * origin[row]
    if not np.isfinite(affine).all() or not np.abs(np.linalg.det(affine)) > 0:
        raise ValueError("its directions do not span space, so that nobody knows where it lies")
    return Grid(tuple(sizes), affine)


def file_beside(path: Path, name: Any) -> Path:
    """The file of the voxels: beside the header, or below it."""
    if not isinstance(name, str) or name.startswith("LIST") or "%" in name:
        raise ValueError("voxels in several files are not supported; save it as one file")
    if Path(name).is_absolute() or ".." in Path(name).parts or "://" in name:
        raise DataError(f"{path}: its voxels would lie elsewhere, in {name}; put them beside it")
    return path.parent / name


def in_lps(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The step along each axis of a grid, a column each, and its first voxel, both in LPS mm."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    return lps[: grid.ndim, : grid.ndim], lps[: grid.ndim, 3]


def as_little_endian(values: NDArray[Any]) -> bytes:
    """Numbers as they are written, the first axis fastest."""
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")).T).tobytes()


def words(values: NDArray[np.float64]) -> list[str]:
    """Numbers with all their digits."""
    return [repr(float(v)) for v in values]
