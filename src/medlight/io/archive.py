"""The files of an archive, which is not trusted: neither its names, nor its sizes."""

import lzma
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Self

from tqdm import tqdm

from medlight.core.errors import MALFORMED, DataError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
PROGRESS_BYTES = 20 * 2**20  # bytes; smaller archives are unpacked before a bar would be read
MAX_UNPACKED_RATIO = 200
"""What an archive may hold, in sizes of itself; images pack to a half, masks to a hundredth."""
_SPARE_BYTES = 64 * 2**20  # bytes; a small archive may hold so much, however tight it is packed
_MAX_HEADER = 2**20  # bytes of a name or of attributes, which tarfile holds in memory
_EXTENDED = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_READ_ERRORS = (*MALFORMED, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, RuntimeError)


def is_archive(path: Path) -> bool:
    """Whether it is a file with the name of an archive.

    >>> is_archive(Path("no such.zip"))
    False
    """
    return path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()


def extract(archive: Path, folder: Path) -> None:
    """Write the files of an archive below a folder, without macOS's `._*` files.

    Args:
        archive: a tar or zip file.
        folder: where its files go.

    Raises:
        DataError: it is damaged, holds a link, a device or a name that leaves the folder, or more
            than the disk has room for or an archive of its size should hold.
    """
    size = archive.stat().st_size
    budget = _Budget(folder, size)
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
            for name, content in members(packed, budget):
                if not _is_macos_metadata(name):
                    _write(content, folder / _safe_path(name))
                bar.update(packed.tell() - bar.n)
    except _READ_ERRORS as error:
        raise DataError(
            f"{archive}: cannot be unpacked into {folder.parent} ({error}); if it is damaged, copy "
            f"or download it again, else unpack it by hand and type data.root=<that folder>"
        ) from error


class _Budget:
    """Bytes that may still be written of an archive."""

    def __init__(self, folder: Path, packed: int) -> None:
        self._room = shutil.disk_usage(folder).free
        self._left = MAX_UNPACKED_RATIO * packed + _SPARE_BYTES

    def take(self, size: int) -> None:
        """Count what a member says it holds, before it is read. ValueError if it is too much."""
        self._left, self._room = self._left - size, self._room - size
        if self._left < 0:
            raise ValueError(f"it holds more than {MAX_UNPACKED_RATIO} times its own size")
        if self._room < 0:
            raise ValueError(
                f"it holds {-self._room / 2**30:.2g} GB more than the disk has room for"
            )


class _Member(tarfile.TarInfo):
    """One that does not ask for more memory than a name takes."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED and member.size > _MAX_HEADER:
            raise tarfile.TarError(f"a name or an attribute of {member.size} bytes")
        return member


def _tar_members(packed: BinaryIO, budget: _Budget) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=packed, mode="r:*", tarinfo=_Member) as tar:
        for member in tar:
            budget.take(member.size)
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
        while rest := tar.fileobj.read(2**20):
            budget.take(len(rest))  # a checksum is looked at only where the compressed stream ends


def _zip_members(packed: BinaryIO, budget: _Budget) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(packed) as archive:
        for member in archive.infolist():
            budget.take(member.file_size)
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
