"""MetaImage, `.mha` and `.mhd`: of ITK, ITK-SNAP and the lung challenges."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.grid import Grid
from medlight.io.atomic import atomic_path
from medlight.io.itk import (
    LONGEST_HEADER,
    MM,
    ItkHeader,
    as_little_endian,
    file_beside,
    grid_of,
    in_lps,
    words,
)

META_SUFFIXES = (".mha", ".mhd")
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def parse_meta(path: Path, content: bytes) -> ItkHeader:
    """Parse a header.

    Args:
        path: of the file.
        content: its first bytes, which hold the header.

    Raises:
        ValueError: it is no such header, or says what cannot be read.
        KeyError: it lacks a key.
    """
    said: dict[str, str] = {}
    place = 0
    while "ElementDataFile" not in said:
        end = content.find(b"\n", place, LONGEST_HEADER)
        line = content[place : len(content) if end < 0 else end].decode("latin-1")
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"expected lines such as DimSize = 64 64 32, got {line[:40]!r}")
        said[key.strip()] = value.strip()
        place = len(content) if end < 0 else end + 1
    ndim = int(said["NDims"])
    shape = tuple(map(int, said["DimSize"].split()))
    channels = int(said.get("ElementNumberOfChannels", 1))
    if len(shape) != ndim or ndim not in (2, 3, 4) or (ndim == 4 and channels > 1):
        raise ValueError(f"NDims = {ndim} and DimSize = {said['DimSize']} cannot be read")
    if said["ElementType"] not in _TYPES:
        raise ValueError(f"voxels of the type {said['ElementType']} are not supported")
    order = ">" if _yes(said, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
    spacing = _numbers(said, np.ones(ndim), "ElementSpacing", "ElementSize")
    turn = _numbers(said, np.eye(ndim).ravel(), "TransformMatrix", "Rotation", "Orientation")
    origin = _numbers(said, np.zeros(ndim), "Offset", "Position", "Origin")
    n = min(ndim, 3)
    columns = turn.reshape(ndim, ndim)[:n, :n].T * spacing[:n]
    grid = grid_of(
        shape[:n], columns, origin[:n], "LPS", MM.get(said.get("DistanceUnits", ""), 1.0)
    )
    name = said["ElementDataFile"]
    if name.startswith("LIST") or "%" in name:
        raise ValueError("voxels in several files are not supported; save it as one .mha")
    skip = int(said.get("HeaderSize", 0))
    text = said.get("BinaryData", "True").lower() == "false"
    packed = "zlib" if _yes(said, "CompressedData") else "raw"
    return ItkHeader(
        shape=(channels, *shape) if channels > 1 else shape,
        channel_axis=0 if channels > 1 else 3 if ndim == 4 else None,
        dtype=np.dtype(order + _TYPES[said["ElementType"]]),
        grid=grid,
        encoding="text" if text else packed,
        data=None if name == "LOCAL" else file_beside(path, name),
        start=place if name == "LOCAL" else skip,
    )


def _yes(said: Mapping[str, str], *keys: str) -> bool:
    return any(said.get(key, "").lower() == "true" for key in keys)


def _numbers(said: Mapping[str, str], default: NDArray[Any], *keys: str) -> NDArray[np.float64]:
    text = next((said[key] for key in keys if key in said), None)
    values = default if text is None else np.array(text.split(), float)
    if values.shape != default.shape:
        raise ValueError(f"{keys[0]} = {text} should be {default.size} numbers")
    return values


def write_meta(path: Path, values: NDArray[Any], grid: Grid) -> None:
    """Write a compressed `.mha`, which appears whole or not at all.

    Args:
        path: of the file.
        values: (*S).
        grid: where they lie.
    """
    columns, origin = in_lps(grid)
    packed = zlib.compress(as_little_endian(values))
    kind = f"{values.dtype.kind}{values.dtype.itemsize}"
    spacing = np.linalg.norm(columns, axis=0)
    lines = [
        "ObjectType = Image",
        f"NDims = {values.ndim}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {len(packed)}",
        f"TransformMatrix = {' '.join(words((columns / spacing).T.ravel()))}",
        f"Offset = {' '.join(words(origin))}",
        f"ElementSpacing = {' '.join(words(spacing))}",
        f"DimSize = {' '.join(map(str, values.shape))}",
        f"ElementType = {next(name for name, code in _TYPES.items() if code == kind)}",
        "ElementDataFile = LOCAL",
    ]
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(("\n".join(lines) + "\n").encode() + packed)
