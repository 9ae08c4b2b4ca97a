"""Archives, unpacked once into the cache. What is in them is not trusted."""

import hashlib
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from tqdm import tqdm

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.atomic import create_once

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


def unpack(archive: Path, into: Path) -> Path:
    """The folder below `into` that holds what is in `archive`, unpacked on first use.

    The folder's name tells name, size and time of the archive. Several processes may ask at once.
    DataError where the archive is damaged or would write outside its folder; nothing is left then.
    """
    if not archive.is_file():
        raise DataNotFoundError(f"{archive}: there is no such archive")
    stat = archive.stat()
    key = hashlib.sha256(f"{archive.name} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    stem = archive.name.split(".")[0]
    return create_once(into / f"{stem}-{key[:12]}", lambda folder: extract(archive, folder))


def extract(archive: Path, folder: Path) -> None:
    """Write the files of a tar or zip archive below `folder`, without macOS's `._*` files.

    DataError for a damaged archive, a name that leaves the folder, a link or a device.
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
