"""Which files are the same, byte by byte."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from medlight.io.atomic import atomic_path

WINDOW_BYTES = 64 * 1024
"""Bytes read at the start, in the middle and at the end of a file for its quick digest."""
CHUNK_BYTES = 4 * 1024 * 1024


def cached_digests(
    root: Path, names: Sequence[str], cache: Path, *, quick: bool = False
) -> list[str]:
    """sha256 of each file's bytes, in hex.

    Kept in `cache` under the files' names, sizes and times, because reading them all takes
    seconds for tens of thousands.

    Args:
        quick: of three windows where a file is larger than they are: equal files have equal ones,
            but files that differ may have too.
    """
    listing = hashlib.sha256(b"quick" if quick else b"whole")
    for name in names:
        stat = os.stat(root / name)
        listing.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    held = cache / "sha256" / f"{listing.hexdigest()[:24]}.txt"
    if held.is_file():
        found = held.read_text().split()
        if len(found) == len(names):
            return found
    digest = quick_digest if quick else file_digest
    # The bar shows on a terminal only, and only if this takes long: on a network drive, say.
    bar = tqdm(names, desc="comparing files", delay=2, disable=None)
    found = [digest(root / name) for name in bar]
    with (
        suppress(OSError),
        atomic_path(held) as part,
    ):  # a cache that cannot be written costs time only
        part.write_text("\n".join(found))
    return found


def file_digest(path: Path) -> str:
    """Hash a whole file.

    Args:
        path: of the file.

    Returns:
        sha256 of its bytes, in hex.
    """
    return _digest(path, CHUNK_BYTES, seek=False)


def quick_digest(path: Path) -> str:
    """Hash a file's size and three windows of it; all of a small file.

    Args:
        path: of the file.

    Returns:
        sha256, in hex. Equal files have equal ones, but files that differ may, too.
    """
    return _digest(path, WINDOW_BYTES, seek=True)


def _digest(path: Path, length: int, *, seek: bool) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = path.stat().st_size
        if seek and size > 3 * length:
            digest.update(str(size).encode())
            for start in (0, size // 2, size - length):
                file.seek(start)
                digest.update(file.read(length))
        else:
            while chunk := file.read(length):
                digest.update(chunk)
    return digest.hexdigest()
