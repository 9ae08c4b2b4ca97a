"""Where a data set lies, and its archive unpacked once into the cache. One rule for all of them.

What is in an archive is not trusted.
"""

import hashlib
import logging
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

import pooch
from tqdm import tqdm

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.atomic import create_once
from medlight.io.verified import note_verified

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
PROGRESS_BYTES = 20 * 2**20  # bytes; smaller archives are unpacked before a bar would be read
_READ_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    RuntimeError,
)


def is_archive(path: Path) -> bool:
    """Whether it is a file with the name of an archive.

    >>> is_archive(Path("no such.zip"))
    False
    """
    return path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()


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


def extract(archive: Path, folder: Path) -> None:
    """Write the files of an archive below a folder, without macOS's `._*` files.

    Args:
        archive: a tar or zip file.
        folder: where its files go.

    Raises:
        DataError: it is damaged, or holds a link, a device or a name that leaves the folder.
    """
    size = archive.stat().st_size
    hidden = size < PROGRESS_BYTES or not sys.stderr.isatty()
    members = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    try:
        with (
            archive.open("rb") as packed,
            tqdm(
                total=size,
                desc=f"unpacking {archive.name}",
                unit="B",
                unit_scale=True,
                disable=hidden,
            ) as bar,
        ):
            for name, content in members(packed):
                if not _is_macos_metadata(name):
                    _write(content, folder / _safe_path(name))
                bar.update(packed.tell() - bar.n)
    except _READ_ERRORS as error:
        raise DataError(
            f"{archive}: cannot be unpacked into {folder.parent} ({error}); if it is damaged, copy "
            f"or download it again, else unpack it by hand and type data.root=<that folder>"
        ) from error


def _tar_members(packed: BinaryIO) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=packed, mode="r:*") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content
            elif not member.isdir():
                # Links are the way out of a folder: none are made, so names need no resolving.
                raise tarfile.TarError(f"{member.name} is a link or a device")
        # tarfile takes a damaged header for the end; the true end is a block of zeros.
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends before its end mark")
        while tar.fileobj.read(2**20):
            pass  # a checksum is looked at only where the compressed stream ends


def _zip_members(packed: BinaryIO) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(packed) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as content:
                    yield member.filename, content


def _write(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)


def _is_macos_metadata(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and (parts[-1].startswith("._") or parts[0] == "__MACOSX")


def _safe_path(name: str) -> PurePosixPath:
    """The name as a path, if it stays below the folder it is joined to."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise tarfile.TarError(f"{name} would be written outside the folder")
    return path


@dataclass(frozen=True, slots=True)
class RemoteArchive:
    """An official archive: its address and md5."""

    url: str
    md5: str


def locate_dataset(
    root: Path,
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
