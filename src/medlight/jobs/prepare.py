"""Fill the store, so that training starts at once."""

import logging
import time
from pathlib import Path

from medlight.data.datamodule import DataModule
from medlight.jobs.check import delete_withdrawn
from medlight.jobs.verb import verb

log = logging.getLogger(__name__)


@verb("data", "run_dir")
def prepare(*, data: DataModule, run_dir: Path, check: bool = False) -> None:
    """Make every case of the data set that the store lacks; what is there stays.

    May be stopped at any time and goes on where it was; may run on several machines at once.

    Args:
        run_dir: not written to.
        check: compare the voxels of every case with their checksum, and make damaged ones again.
    """
    start = time.monotonic()
    delete_withdrawn(data)
    stored = data.prepare(check=check)
    gigabytes = sum(path.stat().st_size for path in stored.paths) / 2**30
    log.info(
        "%s: %d cases are prepared, %.2f GB (%.0f s)",
        data.cases.name,
        len(stored),
        gigabytes,
        time.monotonic() - start,
    )
