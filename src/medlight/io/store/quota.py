"""Room on the disk: what a store may take, what leaves first, and what is said when it is full."""

import errno
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medlight.core.errors import DataError

CASE_SUFFIX = ".case"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RECOUNT_S = 30.0  # other processes write, too


class StoreFullError(DataError):
    """There is no room for another case, whatever leaves."""


class Quota:
    """Bytes of a store, over all its data sets. Safe to share between threads.

    Attributes:
        protected: names of files that may not leave: those of this process.
    """

    def __init__(self, folder: Path, max_gb: float) -> None:
        self.folder, self.max_bytes = folder, int(max_gb * 2**30)
        self.protected: set[str] = set()
        self._used, self._counted = 0, -_RECOUNT_S
        self._lock = threading.Lock()

    def reserve(self, size: int) -> None:
        """See to it that a file of `size` bytes fits: files used longest ago leave, but never one
        in `protected`. StoreFullError where that is not enough."""
        with self._lock:
            if self._used + size > self.max_bytes or time.monotonic() > self._counted + _RECOUNT_S:
                self._free(size)
            self._used += size

    def commit(self, size: int, written: int) -> None:
        """Count what was written in place of what was expected."""
        with self._lock:
            self._used += written - size

    def _free(self, size: int) -> None:
        files = sorted(self._files())
        self._used, self._counted = sum(size for _, size, _ in files), time.monotonic()
        for _, taken, path in files:
            if self._used + size <= self.max_bytes:
                return
            if path.name not in self.protected:
                path.unlink(missing_ok=True)
                self._used -= taken
        if self._used + size > self.max_bytes:
            raise StoreFullError(
                f"{self.folder}: the cases of this run need more than "
                f"store.max_gb={self.max_bytes / 2**30:g}; type a larger store.max_gb, or "
                f"store.codec=blosc2, or store.folder=<a folder on a larger disk>"
            )

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Last use, bytes, path; not those that are being written."""
        for path in self.folder.glob(f"[0-9a-f][0-9a-f]/[!.]*{CASE_SUFFIX}"):
            try:
                stat = path.stat()
            except FileNotFoundError:  # another process has made room
                continue
            yield stat.st_mtime, stat.st_size, path


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says of a full or forbidden disk into what to type."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DataError):
            raise
        if error.errno in _FULL:
            free = shutil.disk_usage(folder).free if folder.is_dir() else 0
            raise StoreFullError(
                f"{folder}: the disk is full ({free / 2**30:.2f} GB free, {error.strerror}); make "
                f"room, or type store.folder=<a folder on a larger disk> or store.codec=blosc2. "
                f"What is done is kept"
            ) from error
        if error.errno in {errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR}:
            raise StoreFullError(
                f"{folder}: the store cannot be written ({error.strerror}); "
                f"type store.folder=<a folder you may write to>"
            ) from error
        raise
