"""What a role of a case names: a file, several, or a part of a file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from medlight.core.errors import DataError, MissingExtraError

_BETWEEN_FILES, _BEFORE_PART = "\n", "\t"


def as_path(place: str | os.PathLike[str]) -> Path:
    """Make a path of what names a file or a folder: here, or elsewhere by an address of fsspec.

    Args:
        place: a path; or an address such as s3://bucket/scan.nii.gz, which has all that a path has
            for reading: `open`, `stat`, `parent`, `/`.

    Raises:
        DataError: nothing is known that reads such addresses.
        MissingExtraError: what reads them is not installed.

    >>> as_path("memory://set/a.png").name, is_local(as_path("memory://set/a.png"))
    ('a.png', False)
    """
    if "://" not in str(place):
        return Path(place)
    from fsspec import get_filesystem_class
    from upath import UPath

    scheme = str(place).partition("://")[0]
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        line = "medlight[s3]" if scheme in ("s3", "s3a") else str(error)
        raise MissingExtraError(f"{place}: type pip install '{line}'") from error
    except ValueError as error:
        raise DataError(f"{place}: {error}; type a path, or an address of fsspec") from error
    return cast(Path, UPath(place))


def is_local(path: Path) -> bool:
    """Whether a path of `as_path` is one of this machine's."""
    return isinstance(path, Path)


def below(root: Path, name: str) -> Path:
    """The file that an `Index` means by a name: below the root of its source, or where it says."""
    return as_path(name) if "://" in name else root / name


def names_in(text: str) -> list[str]:
    """The names of files in a line of `ref_text`."""
    names = text.partition(_BEFORE_PART)[0].split(_BETWEEN_FILES)
    return [name if "://" in name else Path(name).as_posix() for name in names]


@dataclass(frozen=True, slots=True)
class FileRef:
    """Where an image, a mask or anything else of a case lies.

    Where it is one whole file, it serves as a path: `Path(ref)`, `open(ref)`.

    Attributes:
        paths: one; or several, whose channels follow each other.
        part: of the one file: "images[7]" is row 7 of the array `images` of an .npz or HDF5 file,
            "[2]" the third page of a picture, counted from 0. Empty: the whole file.
    """

    paths: tuple[Path, ...]
    part: str = ""

    @classmethod
    def of(cls, place: "str | Path | FileRef | Sequence[str | Path]") -> "FileRef":
        """A reference to one path or address, or to several; a reference stays as it is.

        >>> FileRef.of(["a_0000.png", "a_0001.png"]).paths
        (PosixPath('a_0000.png'), PosixPath('a_0001.png'))
        """
        if isinstance(place, FileRef):
            return place
        several = place if isinstance(place, list | tuple) else (place,)
        return cls(tuple(map(as_path, several)))

    @classmethod
    def parse(cls, text: str, root: Path) -> "FileRef":
        """The inverse of `ref_text`, below a root."""
        part = text.partition(_BEFORE_PART)[2]
        return cls(tuple(below(root, name) for name in names_in(text)), part)

    @property
    def path(self) -> Path:
        """The first file: the only one, but where channels lie in files of their own."""
        return self.paths[0]

    @property
    def whole(self) -> bool:
        """Whether it is one file, with nothing of it left out."""
        return len(self.paths) == 1 and not self.part

    def __fspath__(self) -> str:
        if not self.whole:
            raise TypeError(f"{self} is not one file")
        return os.fspath(self.paths[0])

    def __str__(self) -> str:
        """For messages.

        >>> str(FileRef((Path("a.npz"),), "images[7]")), str(FileRef.of(["b_0000.png", "b_1.png"]))
        ('a.npz, images[7]', 'b_0000.png and b_1.png')
        """
        named = [str(self.paths[0]), *(path.name for path in self.paths[1:])]
        return " and ".join(named) + (f", {self.part}" if self.part else "")


def ref_text(paths: str | Sequence[str], part: str = "") -> str:
    """Write down a reference as one line of an `Index`: paths relative to the root of its source.

    Args:
        paths: of one file, or of several in the order of their channels; addresses stay
            as they are.
        part: as of `FileRef`.

    Raises:
        DataError: a path holds a tab or a line break.
    """
    several = [paths] if isinstance(paths, str) else list(paths)
    if any(mark in path for path in several for mark in (_BETWEEN_FILES, _BEFORE_PART)):
        raise DataError(f"{several}: names of files must not hold tabs or line breaks")
    text = _BETWEEN_FILES.join(several)
    return f"{text}{_BEFORE_PART}{part}" if part else text
