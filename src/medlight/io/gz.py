"""Bytes of files that may be compressed, never more of them than was declared, and whatever goes
wrong while they are read, as one error that names the file.

isal (igzip) unpacks two to three times faster than zlib, and packs four times faster.
"""

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray
from PIL import Image

from medlight.compat.isal import gzip_reader
from medlight.core.errors import MALFORMED, reading

READ_LIMIT_ENV = "MEDLIGHT_READ_GB"
READ_LIMIT_GB = 16.0
"""What one file may take in memory, as it is stored and as an array; the environment variable
MEDLIGHT_READ_GB overrides it."""
GZIP_LEVEL = 1  # of igzip's 0 to 3; its size is that of zlib's level 1
MAX_RATIO = 1032  # deflate cannot pack tighter: a file that promises more is damaged
_BLOCK = 2**19
GZIP_MAGIC = b"\x1f\x8b"
MAX_TRAILING_BYTES = 2**24  # bytes that may follow the voxels; nobody writes more, but a bomb does


def check_read_limit(total: int) -> None:
    """Check what a file says it will take in memory, before room is made for it.

    Args:
        total: bytes, of the arrays that are made of its content too.

    Raises:
        ValueError: it is more than the limit.
    """
    limit = float(os.environ.get(READ_LIMIT_ENV, READ_LIMIT_GB))
    if total > limit * 2**30:
        raise ValueError(
            f"it would take {total / 2**30:.1f} GB of memory, more than the limit of {limit:g} GB; "
            f"if that is true, set {READ_LIMIT_ENV} to a larger number"
        )


DECODED_BYTES = 8
"""Of a voxel as labels, which are int64; as an image it takes half of that."""


class ByteReader:
    """The content of a file, in order: a header first, then as much as it promises."""

    def __init__(self, file: BinaryIO, block: int = _BLOCK) -> None:
        self.compressed = file.read(2) == GZIP_MAGIC  # whatever the file is called
        self._file, self._size = file, file.seek(0, os.SEEK_END)
        file.seek(0)
        self.max_size = self._size * (MAX_RATIO if self.compressed else 1)
        self._stream: Any = gzip_reader(file, block) if self.compressed else file

    def read_all(self) -> bytes:
        """The file as it lies on the disk. ValueError where it is larger than the limit."""
        check_read_limit(self._size)
        return self._file.read(self._size)

    def read(self, count: int) -> bytes:
        """The next bytes; fewer where the file ends."""
        return b"".join(self._blocks(count))

    def read_array(self, head: bytes, total: int, made: int = 0) -> NDArray[np.uint8]:
        """Read the rest of the content into one array.

        Args:
            head: the bytes that were read before.
            total: bytes of the whole content, `head` included.
            made: bytes of the arrays that will be made of it.

        Returns:
            (total,) bytes, `head` first.

        Raises:
            ValueError: it takes more than the limit, or than the file can hold (before room is
                made), the file ends early, or too much follows. isal raises for a wrong checksum.
        """
        if total > self.max_size:
            raise ValueError(f"it should hold {total} bytes, but holds {self.max_size} at most")
        check_read_limit(total + made)
        content = np.empty(total, np.uint8)
        content[: len(head)] = np.frombuffer(head[:total], np.uint8)
        place, view = len(head), memoryview(content.data)
        while place < total:
            count = self._stream.readinto(view[place : place + _BLOCK])
            if not count:
                raise ValueError(f"it should hold {total} bytes, but holds {place}")
            place += count
        if (
            self.compressed
            and sum(map(len, self._blocks(MAX_TRAILING_BYTES))) == MAX_TRAILING_BYTES
        ):
            raise ValueError(
                f"more than {MAX_TRAILING_BYTES} bytes follow the voxels"
            )  # and the checksum
        return content

    def _blocks(self, count: int) -> Iterator[bytes]:
        while count > 0 and (block := self._stream.read(min(count, _BLOCK))):
            count -= len(block)
            yield block


def check_regular(path: Path) -> None:
    """Check that a path is a regular file: a pipe would never end.

    Args:
        path: of the file.

    Raises:
        OSError: it is not.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is no plain file")


@contextmanager
def open_bytes(path: Path, block: int = _BLOCK) -> Iterator[ByteReader]:
    """Open a regular file, compressed or not.

    Args:
        path: of the file.
        block: bytes that are read from the disk at a time.

    Raises:
        OSError: it is not a regular file.
    """
    check_regular(path)
    with path.open("rb") as file:
        yield ByteReader(file, block)


@contextmanager
def gzip_writer(path: Path) -> Iterator[Any]:
    """Open a gzip file to write to. It holds neither name nor time: equal content, equal bytes.

    Args:
        path: of the file; it is overwritten.
    """
    with (
        path.open("wb") as file,
        cast(Any, igzip.IGzipFile)("", "wb", GZIP_LEVEL, fileobj=file, mtime=0) as stream,
    ):
        yield stream


READ_ERRORS = (
    *MALFORMED,
    RuntimeError,  # of h5py, and of archives with a password
    zipfile.BadZipFile,
    SyntaxError,
    struct.error,
    cast(type[Exception], isal_zlib.error),  # its stubs take it for an instance
    Image.DecompressionBombError,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
)
"""What nibabel, Pillow, h5py, archives and the two inflaters raise on damaged files."""


@contextmanager
def errors_name_file(path: Path, advice: str = "") -> Iterator[None]:
    """Raise DataError for a file that cannot be used, DataNotFoundError for one that is not there.

    Args:
        path: of the file that is read in this block.
        advice: what to do about it, after a semicolon.
    """
    with reading(path, advice, kinds=READ_ERRORS):
        yield
