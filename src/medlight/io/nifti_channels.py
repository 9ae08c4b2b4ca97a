"""NIfTI channels taken apart and put together, with voxels and headers as they are stored."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medlight.io.atomic import atomic_path
from medlight.io.gz import gzip_writer, open_bytes
from medlight.io.nifti import NiftiHeader, load_nifti

_NIFTI2_BYTES = 540


def split_channels(path: Path, targets: Sequence[Path]) -> None:
    """Write each channel of a file as a file of its own.

    Args:
        path: of a NIfTI file.
        targets: as many files as it has channels, in order; those ending in `.gz` are compressed.

    Raises:
        DataError: it is not such a file, or damaged.
        ValueError: it has more or fewer channels.
    """
    header, values = load_nifti(path, mask=False)
    channels = values.reshape(*header.grid.shape, -1, order="F")
    for channel, target in zip(range(channels.shape[-1]), targets, strict=True):
        _write(target, _header_like(path), channels[..., channel])


def join_channels(paths: Sequence[Path], target: Path) -> bool:
    """Write several files as the channels of one.

    Args:
        paths: of NIfTI files, which lie on one grid, in the order of their channels.
        target: of the file; one ending in `.gz` is compressed.

    Returns:
        False, and nothing is written, where their numbers are stored or scaled differently.

    Raises:
        DataError: one is not such a file, or damaged.
    """
    loaded = [load_nifti(path, mask=False) for path in paths]
    if len({_numbers(header) for header, _ in loaded}) > 1:
        return False
    channels = [values.reshape(*header.grid.shape, -1, order="F") for header, values in loaded]
    _write(target, _header_like(paths[0]), np.concatenate(channels, axis=-1))
    return True


def _numbers(header: NiftiHeader) -> tuple[Any, ...]:
    return header.dtype, header.slope, header.inter, header.grid.shape


def _header_like(path: Path) -> Any:
    with open_bytes(path, _NIFTI2_BYTES) as content:
        head = content.read(_NIFTI2_BYTES)
    sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    kind: Any = nib.Nifti2Header if _NIFTI2_BYTES in sizes else nib.Nifti1Header
    return kind(head[: kind.sizeof_hdr])


def _write(path: Path, header: Any, values: NDArray[Any]) -> None:
    header.set_data_shape(values.shape)
    start = header.sizeof_hdr + 4  # an empty list of extensions
    header["magic"] = b"n+2\0\r\n\x1a\n" if header.sizeof_hdr == _NIFTI2_BYTES else b"n+1"
    header["vox_offset"] = start
    opened: Any = gzip_writer if path.name.lower().endswith(".gz") else partial(open, mode="wb")
    with atomic_path(path) as part, opened(part) as file:
        file.write(header.binaryblock.ljust(start, b"\0"))
        file.write(values.tobytes(order="F"))
