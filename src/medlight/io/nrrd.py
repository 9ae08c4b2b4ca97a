"""NRRD, `.nrrd` and `.nhdr`: of 3D Slicer and many others. Headers are parsed by pynrrd."""

import io
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.grid import Grid
from medlight.io.atomic import atomic_path
from medlight.io.itk import MM, ItkHeader, as_little_endian, file_beside, grid_of, in_lps, words

NRRD_SUFFIXES = (".nrrd", ".nhdr")
_WORDS = {"left": "L", "right": "R", "posterior": "P", "anterior": "A", "inferior": "I",
          "superior": "S"}  # fmt: skip
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long",
           "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip


def parse_nrrd(path: Path, content: bytes) -> ItkHeader:
    """Parse a header.

    Args:
        path: of the file.
        content: its first bytes, which hold the header.

    Raises:
        ValueError: it is no such header, or says what cannot be read.
    """
    import nrrd

    file = io.BytesIO(content)
    try:
        said: Mapping[str, Any] = nrrd.read_header(file)
        encoding = {"gz": "gzip", "bz2": "bzip2", "ascii": "text", "txt": "text"}.get(
            said["encoding"], said["encoding"]
        )
        dtype = _dtype(said)
    except nrrd.NRRDError as error:
        raise ValueError(str(error)) from error
    if encoding not in ("raw", "gzip", "bzip2", "text"):
        raise ValueError(f"the encoding {encoding!r} is not supported; save it as gzip or raw")
    for key in ("line skip", "lineskip"):
        if said.get(key, 0):
            raise ValueError(f"{key!r} is not supported")
    skip = int(said.get("byte skip", said.get("byteskip", 0)))
    data = said.get("data file", said.get("datafile"))
    start = (0 if data else file.tell()) + max(skip, 0)
    shape = tuple(int(n) for n in said["sizes"])
    channel_axis, grid = _space(said, shape)
    return ItkHeader(
        shape=shape, channel_axis=channel_axis, dtype=dtype, grid=grid, encoding=encoding,
        data=file_beside(path, data) if data else None, start=-1 if skip == -1 else start,
    )  # fmt: skip


def _dtype(said: Mapping[str, Any]) -> np.dtype[Any]:
    for code, names in _TYPES.items():
        if said["type"] in names:
            order = ">" if said.get("endian") == "big" else "<"
            return np.dtype(order + code)
    raise ValueError(f"voxels of the type {said['type']!r} are not supported")


def _space(said: Mapping[str, Any], shape: Sequence[int]) -> tuple[int | None, Grid]:
    """The axis that is not space, and the grid of the others."""
    kinds = said.get("kinds", ["domain"] * len(shape))
    directions = said.get("space directions")
    spatial = [
        k
        for k, kind in enumerate(kinds)
        if (kind in ("domain", "space") if directions is None else _is_space(directions[k]))
    ]
    others = [k for k in range(len(shape)) if k not in spatial]
    if len(spatial) == 4 and directions is None:  # nobody said; the last is not space
        others = [spatial.pop()]
    if len(spatial) not in (2, 3) or len(others) > 1:
        raise ValueError(
            f"it has {len(spatial)} axes of space and {len(others)} others; 2 or 3 and at most 1 "
            f"can be read"
        )
    sizes = tuple(shape[k] for k in spatial)
    if directions is None and {"axis mins", "axismins", "axis maxs", "axismaxs"} & said.keys():
        raise ValueError("axis mins and maxs are not supported; save it with space directions")
    if directions is None:
        spacings = np.asarray(said.get("spacings", np.ones(len(shape))), float)[spatial]
        columns = np.diag(np.where(np.isfinite(spacings), spacings, 1.0))
        order = "LPS"
    else:
        columns = np.array([np.asarray(directions[k], float) for k in spatial]).T
        flat = len(columns) == 2  # a picture, which lies in the plane of its axes
        order = "LPS" if flat else _space_order(str(said.get("space", "")))
    origin = np.asarray(said.get("space origin", np.zeros(len(columns))), float)
    units = {str(u).strip('"').lower() for u in said.get("space units", [])}
    scales = {MM.get(unit) for unit in units} or {1.0}
    if len(scales) > 1 or None in scales:
        raise ValueError(f"the units {', '.join(sorted(units))} are not supported; use mm")
    (scale,) = scales
    return (others[0] if others else None), grid_of(sizes, columns, origin, order, scale or 1.0)


def _is_space(direction: Any) -> bool:
    return direction is not None and bool(np.isfinite(np.asarray(direction, float)).all())


def _space_order(space: str) -> str:
    """Three letters such as LPS.

    >>> _space_order("left-posterior-superior"), _space_order("RAS")
    ('LPS', 'RAS')
    """
    letters = "".join(_WORDS.get(word, "?") for word in space.split("-")[:3])
    if re.fullmatch("[LR][PA][IS]", letters):
        return letters
    if re.fullmatch("[LR][PA][IS]T?", space):
        return space[:3]
    raise ValueError(f"the space {space!r} does not say where left, posterior and superior are")


def write_nrrd(path: Path, values: NDArray[Any], grid: Grid) -> None:
    """Write a compressed file, which appears whole or not at all.

    Args:
        path: of the file.
        values: (*S).
        grid: where they lie.
    """
    columns, origin = in_lps(grid)
    kind = f"{values.dtype.kind}{values.dtype.itemsize}"
    vectors = [f"({','.join(words(column))})" for column in columns.T]
    lines = [
        "NRRD0004",
        f"type: {_TYPES[kind][0]}",
        f"dimension: {values.ndim}",
        "space: left-posterior-superior" if values.ndim == 3 else "space dimension: 2",
        f"sizes: {' '.join(map(str, values.shape))}",
        f"space directions: {' '.join(vectors)}",
        f"kinds: {' '.join(['domain'] * values.ndim)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: ({','.join(words(origin))})",
    ]
    packer = zlib.compressobj(wbits=31)
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode())
        file.write(packer.compress(as_little_endian(values)) + packer.flush())
