"""What an unpacked archive held, noted once its checksum was found to be the official one."""

import json
from collections.abc import Iterator
from pathlib import Path

from medlight.core.errors import MALFORMED

VERIFIED_FILE = ".verified.json"
_LEVELS = 3  # folders from that of a data set up to that of its archive


def note_verified(folder: Path, md5: str) -> None:
    """Note that a folder holds an archive with this checksum, and nothing else.

    Args:
        folder: of the unpacked archive.
        md5: of the archive, as its publisher states it.
    """
    text = json.dumps({"md5": md5, "files": dict(_sizes(folder))})
    (folder / VERIFIED_FILE).write_text(text, encoding="utf-8")


def verified_md5(folder: Path) -> str | None:
    """Say which official archive a data set is.

    Args:
        folder: of the data set, or one above it.

    Returns:
        The checksum of its archive; None where it was not unpacked from one here, or where a file
        was added, removed or replaced by one of another size since.
    """
    whole = Path(folder).absolute()
    for place in (whole, *whole.parents)[:_LEVELS]:
        try:
            noted = json.loads((place / VERIFIED_FILE).read_text(encoding="utf-8"))
            md5, same = str(noted["md5"]), noted["files"] == dict(_sizes(place))
        except MALFORMED:
            continue
        return md5 if same else None
    return None


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != VERIFIED_FILE:
            yield path.relative_to(folder).as_posix(), path.stat().st_size
