"""Files and folders that are either whole or not there."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from medlight.core.errors import DataError

_LONGEST = 245
"""Bytes of a name, with its suffix, that leave room for what tells parts apart: 255 in all."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write a file or folder to.

    It takes the place of `path` when the block ends, and is removed when the block fails.

    Args:
        path: what should appear whole or not at all; its folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name.encode("utf-8", "surrogateescape")[-_LONGEST:].decode("utf-8", "ignore")
    part = path.with_name(f".{secrets.token_hex(4)}-{name}")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, os.fspath(part)):
            error.filename = os.fspath(path)  # a full disk names no file
        raise
    finally:
        _remove(part)


def create_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Fill a folder unless it is there. Processes that ask at the same time wait for one of them.

    Args:
        folder: what is made.
        make: fills the empty folder it is given; nothing is left if it fails.

    Returns:
        `folder`.

    Raises:
        DataError: the place cannot be written to.
    """
    if folder.is_dir():
        return folder
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = lock.acquire()
    except OSError as error:
        raise DataError(
            f"{folder.parent}: the cache cannot be written ({error.strerror or error}); "
            f"type paths.cache=<a folder you may write to>"
        ) from error
    with held:
        if not folder.is_dir():
            for left in folder.parent.glob(f".????????-{folder.name}"):
                _remove(left)  # by a process that was killed: whoever lives holds the lock
            with atomic_path(folder) as part:
                part.mkdir()
                make(part)
    return folder


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
