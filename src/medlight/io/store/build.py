"""Prepare many cases at once, in threads and together with other processes on the same folder,
within the space that the disk and the quota leave.

Threads, not processes: unpacking, NumPy and writing let go of the interpreter, nothing has to be
copied or pickled, and a process that uses a GPU must not be forked.
"""

import errno
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from medlight.core.case import Case
from medlight.core.errors import DataError, MedlightError
from medlight.io.store.case_file import CaseHeader

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
        """Make room for a file: files used longest ago leave, but never one in `protected`.

        Args:
            size: bytes.

        Raises:
            StoreFullError: that is not enough.
        """
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
    """Turn what the system says of a full or forbidden disk into what to type.

    Args:
        folder: of the store.

    Raises:
        StoreFullError: the disk is full, or the folder cannot be written.
    """
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


_FEW = 32  # cases prepared without a progress bar


class StoreBuild:
    """Makes what is missing, each case once.

    Cases are shared out by the folder they lie in; whoever holds the lock of a folder makes its
    cases. The system lets go of the lock of a killed process.
    """

    def __init__(
        self, folder: Path, make: Callable[[Case, Path], CaseHeader], *, name: str
    ) -> None:
        self.folder, self.name = folder, name
        self._make = make
        self._stop = threading.Event()
        self.built: dict[str, CaseHeader] = {}
        self.errors: list[MedlightError] = []

    def run(self, missing: Sequence[tuple[Case, Path]], *, num_workers: int) -> None:
        """Fill `built`, by this process or another, and `errors` of single cases.

        Args:
            missing: cases and the paths of their files.
            num_workers: threads.

        Raises:
            StoreFullError: there is no room for another case.
        """
        shards: dict[str, list[tuple[Case, Path]]] = {}
        for case, path in missing:
            shards.setdefault(path.parent.name, []).append((case, path))
        order = list(shards)
        random.Random(os.getpid()).shuffle(order)  # several processes then meet late
        (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        pool = ThreadPoolExecutor(num_workers)
        hidden = hide_progress(len(missing), _FEW)
        bar: tqdm[Any]
        with tqdm(total=len(missing), desc=f"preparing {self.name}", disable=hidden) as bar:
            try:
                for wait in (False, True):  # what nobody else is at, then what others left
                    ended = pool.map(lambda s, w=wait: self._shard(s, shards[s], bar, w), order)
                    order = [s for s, end in zip(order, list(ended), strict=True) if not end]
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)

    def _shard(
        self, shard: str, missing: Sequence[tuple[Case, Path]], bar: "tqdm[Any]", wait: bool
    ) -> bool:
        """False where another process holds the lock."""
        lock = FileLock(self.folder / "locks" / f"{shard}.lock")
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            return False
        try:
            for left in (self.folder / shard).glob(f".*{CASE_SUFFIX}"):
                left.unlink(missing_ok=True)  # by a killed process: who writes here has the lock
            for case, path in missing:
                if self._stop.is_set():
                    break
                try:
                    self.built[case.id] = self._make(case, path)
                except StoreFullError:
                    raise
                except MedlightError as error:
                    self.errors.append(error)
                bar.update()
        finally:
            lock.release()
        return True


def hide_progress(count: int, few: int) -> bool:
    """One bar a run, on a terminal, where there is something to wait for."""
    return count < few or not sys.stderr.isatty() or os.environ.get("LOCAL_RANK", "0") != "0"
