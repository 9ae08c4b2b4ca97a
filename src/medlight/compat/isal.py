"""The unbuffered gzip reader of isal."""

from typing import Any, BinaryIO

from isal import isal_zlib


def gzip_reader(file: BinaryIO, block: int) -> Any:
    """Open a gzip stream that unpacks straight into a given buffer, `block` bytes at a time.

    `isal_zlib._GzipReader`: `igzip.open` puts a buffer in between, which copies every byte again.
    """
    return isal_zlib._GzipReader(file, block)
