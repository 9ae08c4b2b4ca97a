"""Many cases at once: in threads here, and together with other processes on the same folder.

Threads, not processes: unpacking, NumPy and writing let go of the interpreter, nothing has to be
copied or pickled, and a process that uses a GPU must not be forked.
"""

import os
import random
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from medlight.core.case import Case
from medlight.core.errors import MedlightError
from medlight.io.store.case_file import CaseHeader
from medlight.io.store.quota import CASE_SUFFIX, StoreFullError

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
        """Fill `built`, by this process or another, and `errors` of single cases."""
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
