"""Where a data set lies, and its archive unpacked once into the cache. One rule for all of them."""

import hashlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pooch

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.file_ref import as_path, is_local
from medlight.io.archive import extract, is_archive
from medlight.io.atomic import create_once
from medlight.io.verified import note_verified


def unpack(archive: Path, into: Path, *, md5: str | None = None) -> Path:
    """Unpack an archive on first use. Several processes may ask at once.

    Args:
        archive: a tar or zip file.
        into: the folder that holds unpacked archives. The name of the one for this archive follows
            from its name, size and time.
        md5: of the official archive; where this is it, the folder says so (`io.verified`).

    Returns:
        The folder with the content.

    Raises:
        DataNotFoundError: there is no such archive.
        DataError: it is damaged, or would write outside its folder; nothing is left then.
    """
    if not archive.is_file():
        raise DataNotFoundError(f"{archive}: there is no such archive")
    stat = archive.stat()
    key = hashlib.sha256(f"{archive.name} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    stem = archive.name.split(".")[0]

    def fill(folder: Path) -> None:
        extract(archive, folder)
        if md5 is not None:
            with archive.open("rb") as file:
                official = hashlib.file_digest(file, "md5").hexdigest() == md5
            if official:
                note_verified(folder, md5)

    return create_once(into / f"{stem}-{key[:12]}", fill)


@dataclass(frozen=True, slots=True)
class RemoteArchive:
    """An official archive: its address and md5."""

    url: str
    md5: str


def local_root(root: str | Path) -> Path:
    """The root of a data set whose folders are searched. DataNotFoundError for an address."""
    path = as_path(root).expanduser()
    if not is_local(path):
        raise DataNotFoundError(
            f"data.root={path}: single files are read from elsewhere, but no data set is looked "
            f"for there; copy it to this machine and type data.root=<its folder>"
        )
    return path


def locate_dataset(
    root: str | Path,
    *,
    name: str,
    is_dataset: Callable[[Path], bool],
    cache: Path,
    aliases: Sequence[str] = (),
    archive: RemoteArchive | None = None,
    download: bool = False,
) -> Path:
    """The folder of a data set.

    Tried in this order: the folder `name` in `root`; `root` as an archive, or an archive called
    `name` in it; `root` itself; the folders `aliases` in it; the official archive, where
    `download` is set. Archives are unpacked into `cache`.

    Args:
        is_dataset: whether a folder is the data set's own.

    DataNotFoundError says where was looked and what to type.
    """
    root = local_root(root)
    if is_dataset(root / name):
        return root / name
    for packed in _archives(root, name):
        official = archive.md5 if archive else None
        return _inside(unpack(packed, cache, md5=official), packed, name, is_dataset, aliases)
    for folder in (root, *(root / alias for alias in aliases)):
        if is_dataset(folder):
            return folder
    if download and archive is not None:
        return _inside(_download(archive, name, cache), archive.url, name, is_dataset, aliases)
    looked = root.absolute()
    fetchable = f"add data.download=true to fetch it from {archive.url}, " if archive else ""
    missing = "" if root.exists() else ", which does not exist"
    raise DataNotFoundError(
        f"{name} is not in {looked}{missing}: neither its folder nor an archive {name}.tar, "
        f".tar.gz or .zip; type data.root=<its folder or archive>, set MEDLIGHT_DATA=<the folder "
        f"it is in>, {fetchable}or see it work without data: "
        f"python -m medlight experiment=seg_unet3d_quick data=phantom"
    )


def _archives(root: Path, name: str) -> list[Path]:
    if is_archive(root):
        return [root]
    found = sorted(root.glob("*")) if root.is_dir() else []
    return [p for p in found if p.name.split(".")[0].lower() == name.lower() and is_archive(p)]


def _download(archive: RemoteArchive, name: str, cache: Path) -> Path:
    def fill(folder: Path) -> None:
        packed = fetch(archive.url, archive.md5, cache / "downloads")
        extract(packed, folder)
        note_verified(folder, archive.md5)
        packed.unlink()  # what it held is in the cache now

    return create_once(cache / f"{name}-{archive.md5[:12]}", fill)


def _inside(
    folder: Path,
    packed: Path | str,
    name: str,
    is_dataset: Callable[[Path], bool],
    aliases: Sequence[str],
) -> Path:
    """The data set in an unpacked archive, which may wrap it in one more folder."""
    wrapped = [child for child in folder.iterdir() if child.is_dir()]
    for outer in (folder, *(wrapped if len(wrapped) == 1 else ())):
        candidates: list[Path] = [outer / name, outer, *(outer / alias for alias in aliases)]
        for candidate in candidates:
            if is_dataset(candidate):
                return candidate
    raise DataError(f"{packed}: the archive does not hold {name}; type data.root=<one that does>")


TIMEOUT_S = 60


def fetch(url: str, md5: str, into: Path, *, retries: int = 3) -> Path:
    """Download a file once; what is there already is kept.

    Args:
        url: where it is.
        md5: of the file, in hex.
        into: the folder it goes to.
        retries: how often to try again if the connection fails or the sum is wrong.

    Returns:
        The path of the file, whose md5 is right.

    Raises:
        DataNotFoundError: it could not be fetched; nothing is left behind.
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
