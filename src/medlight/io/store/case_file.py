"""One case in one file: a short head, then the voxels of image and mask, and some of the mask's by
label.

One file, so that a case is there as a whole or not at all; plain voxels at a known place, so that
any part of them can be mapped into memory.

    8 bytes    MEDLIGHT
    4 + 4      length of the head, its CRC-32 (little endian)
    head       JSON
    voxels     each array at a multiple of 64 bytes: image, mask, marks
"""

import json
import mmap
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, cast

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from medlight.core.errors import MALFORMED, DataError
from medlight.core.grid import Grid
from medlight.core.intensity import IntensityStatistics
from medlight.io.atomic import atomic_path
from medlight.io.store.codec import Codec, Encoded, pack_array, unpack_array
from medlight.io.store.head_check import STATISTICS_FIELDS, check_head

MAX_PER_CLASS = 256
"""Voxels of one label that are kept, at most: 4 kB."""
_TRIES = 16 * MAX_PER_CLASS


def class_locations(mask: NDArray[np.integer]) -> NDArray[np.int32]:
    """A random choice of the voxels of every label, the same each time.

    Args:
        mask: (1, *S).

    Returns:
        (M, 1 + n): label and position, ordered by label. Of the background, which nearly every
        voxel belongs to, only a few random voxels are asked; a crowded mask may give none.
    """
    labels, random = mask[0], np.random.default_rng(0)
    places = np.flatnonzero(labels)
    values = labels.reshape(-1)[places]
    chosen = [_background(labels, random)]
    for label in np.unique(values):
        own = places[values == label]
        chosen.append(
            random.choice(own, MAX_PER_CLASS, replace=False) if len(own) > MAX_PER_CLASS else own
        )
    every = np.concatenate(chosen)
    positions = np.stack(np.unravel_index(every, labels.shape), axis=1)
    return np.column_stack([labels.reshape(-1)[every], positions]).astype(np.int32)


def _background(labels: NDArray[np.integer], random: np.random.Generator) -> NDArray[np.int64]:
    tried = random.integers(0, labels.size, _TRIES)
    background: NDArray[np.int64] = np.unique(tried[labels.reshape(-1)[tried] == 0])
    return random.permutation(background)[:MAX_PER_CLASS]


MAGIC = b"MEDLIGHT"
_START = struct.Struct("<8sII")
_DTYPE = re.compile(r"[<|][uif][1248]")
_ALIGN = 64
_BLOCK = 2**20  # bytes
LOCATIONS_ROLE = "marks"
"""What the array of class locations is called on disk, since format 2."""


class DamagedError(DataError):
    """A file of the store that cannot be trusted; the store makes it again."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedCase:
    """A case after the geometric transform.

    Attributes:
        image: (C, *S) float32.
        mask: (1, *S) whole numbers, or None.
        source_grid: Grid of the file, where predictions go.
        grid: Grid of `image`.
        label_range: smallest and largest label in the mask's file.
        annotations: `points` (P, n), `boxes` (N, 2n) and `box_labels` (N,), in voxels of `image`.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.integer] | None
    source_grid: Grid
    grid: Grid
    label_range: tuple[int, int] = (0, 0)
    annotations: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayLocation:
    """Where an array lies in its file."""

    start: int
    length: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    codec: Codec
    crc: int

    def read_from(self, content: memoryview) -> Any:
        """Give what reads the array when it is indexed.

        Args:
            content: the whole file.
        """
        part = content[self.start : self.start + self.length]
        return unpack_array(part, self.dtype, self.shape, self.codec)


@dataclass(frozen=True, slots=True, eq=False)
class CaseHeader:
    """What is known of a stored case without its voxels; `metadata` is the JSON."""

    metadata: Mapping[str, Any]
    arrays: Mapping[str, ArrayLocation]

    @property
    def nbytes(self) -> int:
        """Of the file's part that starts with the first voxel."""
        first, *_ = places = list(self.arrays.values())
        return places[-1].start + places[-1].length - first.start

    @property
    def grids(self) -> tuple[Grid, Grid]:
        """Of the source, and of the image."""
        source_grid, grid = (_grid(self.metadata[name]) for name in ("source", "grid"))
        return source_grid, grid


def write_case_file(
    path: Path,
    case: Mapping[str, Any],
    prepared: PreparedCase,
    encoded: Encoded,
    mask: NDArray[Any] | None,
    codec: Codec,
) -> None:
    """Write a case to a file that appears whole or not at all.

    Args:
        path: of the file.
        case: what it was made from, as plain JSON.
        prepared: the case after the geometric transform.
        encoded: its image as it is stored.
        mask: (1, *S) as it is stored, or None.
        codec: of image and mask.
    """
    arrays, codecs = {"image": encoded.values}, {"image": codec}
    if mask is not None:
        arrays |= {"mask": mask, LOCATIONS_ROLE: class_locations(mask)}
        codecs |= {"mask": codec, LOCATIONS_ROLE: "none"}
    packed = {role: pack_array(values, codecs[role]) for role, values in arrays.items()}
    statistics = IntensityStatistics.of(prepared.image)
    metadata = {
        **case,
        "scale": encoded.scale.tolist(),
        "shift": encoded.shift.tolist(),
        **{name: getattr(statistics, name).tolist() for name in STATISTICS_FIELDS},
        "labels": list(prepared.label_range),
        "source": _plain(prepared.source_grid),
        "grid": _plain(prepared.grid),
        "arrays": {
            role: {
                "length": len(content),
                "dtype": arrays[role].dtype.newbyteorder("<").str,
                "shape": list(arrays[role].shape),
                "codec": codecs[role],
                "crc": isal_zlib.crc32(content),
            }
            for role, content in packed.items()
        },
    }
    if prepared.annotations:
        noted = {key: array.tolist() for key, array in prepared.annotations.items()}
        metadata["annotations"] = noted
    header = json.dumps(metadata).encode()
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(_START.pack(MAGIC, len(header), zlib.crc32(header)) + header)
        for content in packed.values():
            file.write(bytes(-file.tell() % _ALIGN))
            file.write(content)


def read_case_header(path: Path) -> CaseHeader:
    """Read what is known of a stored case without its voxels.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is no such case.
        DamagedError: the file is not whole.
    """
    with path.open("rb") as file:
        start = file.read(4096)  # nearly always all of it
        if len(start) < _START.size:
            raise DamagedError(f"{path}: it ends within its head")
        magic, length, crc = _START.unpack(start[: _START.size])
        if magic != MAGIC or length > 2**24:
            raise DamagedError(f"{path}: it does not start as a stored case does")
        text = start[_START.size : _START.size + length]
        text += file.read(length - len(text)) if length > len(text) else b""
        size = file.seek(0, 2)
    if zlib.crc32(text) != crc:
        raise DamagedError(f"{path}: its head does not have the checksum it should")
    try:
        metadata = json.loads(text)
        arrays, end = {}, _START.size + length
        for role, array in metadata["arrays"].items():
            if not _DTYPE.fullmatch(array["dtype"]):
                raise ValueError(f"numbers of type {array['dtype']}")
            place, dtype, shape = end + -end % _ALIGN, np.dtype(array["dtype"]), array["shape"]
            arrays[role] = ArrayLocation(
                place, array["length"], dtype, tuple(shape), array["codec"], array["crc"]
            )
            end = place + array["length"]
        check_head(metadata, arrays)
    except MALFORMED as error:
        raise DamagedError(f"{path}: its head makes no sense ({error!r})") from error
    if size != end:
        raise DamagedError(f"{path}: it should hold {end} bytes, but holds {size}")
    return CaseHeader(metadata, arrays)


def verify_checksums(path: Path, arrays: Mapping[str, ArrayLocation | None]) -> None:
    """Compare voxels with their checksums, holding a block of them at a time.

    Args:
        path: of the file.
        arrays: where they lie; None is passed over.

    Raises:
        FileNotFoundError: there is no such case.
        DamagedError: they differ.
    """
    with path.open("rb", buffering=0) as file:
        for role, place in arrays.items():
            if place is not None and _crc(file, place) != place.crc:
                raise DamagedError(f"{path}: its {role} does not have the checksum it should")


def _crc(file: FileIO, place: ArrayLocation) -> int:
    file.seek(place.start)
    crc, left = 0, place.length
    while left and (block := file.read(min(left, _BLOCK))):
        crc, left = isal_zlib.crc32(block, crc), left - len(block)
    return crc


def map_file(path: Path) -> memoryview:
    """The file as memory, for as long as somebody holds this or an array of it.

    Whoever reads lets go at once: what was read in passing is then given back, so that memory
    holds the patches in flight and no more.
    """
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _plain(grid: Grid) -> dict[str, Any]:
    return {
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
        "sform_code": grid.sform_code,
        "qform_code": grid.qform_code,
        "units": grid.units,
        "qform": None if grid.qform is None else grid.qform.tolist(),
    }


def _grid(plain: Mapping[str, Any]) -> Grid:
    forms = {key: np.array(plain[key]) for key in ("affine", "qform") if plain.get(key)}
    return Grid(**cast(dict[str, Any], plain) | forms)
