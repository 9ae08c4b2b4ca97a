"""Official archives, from their own addresses."""

import logging
import sys
from pathlib import Path

import pooch

from medlight.core.errors import DataNotFoundError

TIMEOUT_S = 60


def fetch(url: str, md5: str, into: Path, *, retries: int = 3) -> Path:
    """The file at `url`, below `into`, once its md5 is right; what is there already is kept.

    Tried `retries` times more when the connection fails or the sum is wrong. DataNotFoundError,
    with nothing left behind, when that does not help.
    """
    name = url.rsplit("/", 1)[-1]
    pooch.get_logger().setLevel(logging.WARNING)
    store = pooch.create(
        path=into,
        base_url="",
        registry={name: f"md5:{md5}"},
        urls={name: url},
        retry_if_failed=retries,
    )
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_S)
    try:
        return Path(store.fetch(name, downloader=downloader))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise DataNotFoundError(
            f"{url} could not be downloaded ({error}); check the connection and try again, or "
            f"fetch it by hand and type data.root=<the archive>"
        ) from error
