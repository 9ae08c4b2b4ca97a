"""Rows of arrays in .npz, .npy and HDF5 files, as a `FileRef` names them: "images[7]".

An array of an .npz is unpacked once a process: a large one to a temporary file that is mapped, so
that memory does not grow with the data set.
"""

import re
import tempfile
import zipfile
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError, MissingExtraError
from medlight.core.file_ref import FileRef, is_local
from medlight.core.grid import Grid
from medlight.io.gz import DECODED_BYTES, check_read_limit, errors_name_file

ARRAY_SUFFIXES = (".npz", ".npy", ".h5", ".hdf5")
_PART = re.compile(r"(?P<array>[^\[\]]*)(?:\[(?P<row>\d+)\])?")
_IN_MEMORY = 2**26  # bytes; larger arrays go to a file
_AT_ONCE = 2**22
_NUMBERS = "biufc"
_COLOURS = 3
_SHOWN = 200  # characters of the names that a file holds


def split_part(ref: FileRef) -> tuple[str, int | None]:
    """The array and the row that a part names.

    Args:
        ref: to one file.

    Returns:
        Name of the array, "" for the only one; and the row, None for the whole array.

    Raises:
        DataError: the part is written in another way.

    >>> split_part(FileRef((Path("a.npz"),), "train/images[7]"))
    ('train/images', 7)
    """
    match = _PART.fullmatch(ref.part)
    if match is None:
        raise DataError(f"{ref}: expected a part such as images[7], got {ref.part!r}")
    return match["array"], None if match["row"] is None else int(match["row"])


def read_row(ref: FileRef) -> NDArray[Any]:
    """Read what a part names, as it is stored.

    Args:
        ref: to one .npz, .npy or HDF5 file.

    Raises:
        DataError: the file cannot be used, or has no such array or row.
        DataNotFoundError: it is not there.
        MissingExtraError: it is HDF5, and h5py is not installed.
    """
    name, row = split_part(ref)
    path = ref.path
    with errors_name_file(path):
        if path.suffix.lower() in (".h5", ".hdf5"):
            return _hdf5_row(path, name, row)
        stat = path.stat()
        with _UNPACKING:  # once, whoever asks first
            array = _unpacked(path, name, stat.st_size, stat.st_mtime_ns)
        return _pick(array, row, path)


def values_and_grid(values: NDArray[Any]) -> tuple[NDArray[Any], Grid, int | None]:
    """Tell channels from space. Of two axes it is a grey picture; of three whose last counts three
    8-bit numbers, a colour picture; of three others a volume; of four, channels are the last.
    Complex numbers are two channels each, their real and their imaginary part.

    Args:
        values: a row of an array.

    Returns:
        (*S) or (*S, C); the grid, whose voxels are 1 mm; what is 1 in [0, 1], None for volumes and
        for numbers that are not unsigned.

    Raises:
        DataError: it has another number of axes.
    """
    colour = values.ndim == 3 and values.shape[-1] == _COLOURS and values.dtype == np.uint8
    picture = values.ndim == 2 or colour
    if values.ndim not in (2, 3, 4):
        raise DataError(f"expected 2 to 4 axes, got the shape {values.shape}")
    grid = Grid(values.shape[:2] if picture else values.shape[:3])
    if values.dtype.kind == "c":
        channels = values if values.ndim > grid.ndim else values[..., np.newaxis]
        values = np.ascontiguousarray(channels).view(values.real.dtype)
    unsigned = picture and values.dtype.kind == "u" and values.dtype.itemsize <= 2
    return values, grid, int(np.iinfo(values.dtype).max) if unsigned else None


_UNPACKING = Lock()


@lru_cache(maxsize=4)
def _unpacked(path: Path, name: str, size: int, mtime_ns: int) -> NDArray[Any]:
    """One array of a file, while the file stays as it is."""
    if path.suffix.lower() == ".npy":
        if not is_local(path):
            return _read_npy(_opened(path))
        mapped = cast(NDArray[Any], np.load(path, mmap_mode="r", allow_pickle=False))
        if mapped.dtype.kind not in _NUMBERS:
            raise ValueError(f"it holds {mapped.dtype}, not numbers")
        return mapped
    with _opened(path) as file, zipfile.ZipFile(file) as archive:
        names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
        if not name and len(names) == 1:
            name = names[0]
        if name not in names:
            raise DataError(f"{path}: it has no array {name!r}; it holds {_listed(names)}")
        with archive.open(f"{name}.npy") as member:
            return _read_npy(member)


def _opened(path: Path) -> BinaryIO:
    """A file in any order; from elsewhere whole, as not every server gives parts."""
    if is_local(path):
        return path.open("rb")
    check_read_limit(path.stat().st_size)
    return BytesIO(path.read_bytes())


def _read_npy(member: IO[bytes]) -> NDArray[Any]:
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"arrays of format {version} are not supported")
    shape, fortran, dtype = read(member)
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"it holds {dtype}, not numbers")
    count = int(np.prod(shape, dtype=object))
    size = count * dtype.itemsize
    if size <= _IN_MEMORY:
        flat = np.frombuffer(member.read(size), dtype)
    else:
        with tempfile.TemporaryFile() as file:  # the map keeps it, though it has no name
            left = size  # whatever else follows
            while left and (content := member.read(min(left, _AT_ONCE))):
                left -= file.write(content)
            file.flush()
            flat = np.memmap(file, dtype, mode="r")
    if flat.size < count:
        raise ValueError(f"it ends after {flat.size} of {count} numbers")
    return flat[:count].reshape(shape, order="F" if fortran else "C")


def _hdf5_row(path: Path, name: str, row: int | None) -> NDArray[Any]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: HDF5 files need h5py; type pip install 'medlight[hdf5]'"
        ) from error
    with _opened(path) as opened, h5py.File(opened) as file:
        arrays: list[str] = []
        file.visititems(lambda key, item: arrays.append(key) if hasattr(item, "shape") else None)
        if not name and len(arrays) == 1:
            name = arrays[0]
        if name not in arrays:
            raise DataError(f"{path}: it has no array {name!r}; it holds {_listed(arrays)}")
        dataset = file[name]
        if dataset.dtype.kind not in _NUMBERS:
            raise ValueError(f"{name} holds {dataset.dtype}, not numbers")
        if dataset.external or dataset.is_virtual:
            raise ValueError(f"the numbers of {name} lie in other files, which are not opened")
        return _pick(dataset, row, path)


def _listed(names: list[str]) -> str:
    """Names that a file chose, on one line."""
    return ", ".join(repr(name)[1:-1] for name in names)[:_SHOWN] or "none"


def _pick(array: Any, row: int | None, path: Path) -> NDArray[Any]:
    """A row, or all; the whole of a large array is never in memory."""
    if row is not None and (not len(array.shape) or row >= array.shape[0]):
        raise DataError(f"{path}: there is no row {row}; the array has the shape {array.shape}")
    count = int(np.prod(array.shape[row is not None :], dtype=object))
    check_read_limit(count * (array.dtype.itemsize + DECODED_BYTES))
    return np.array(array[()] if row is None else array[row])
