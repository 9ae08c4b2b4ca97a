"""The images that somebody wants predicted: a file, a folder, a pattern, or a list of them.

What is found is given or named: `find_inputs` logs what it passes over.
"""

import glob
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.file_ref import as_path, is_local
from medlight.io.nifti import read_header
from medlight.io.read import RASTER_SUFFIXES, VOLUME_SUFFIXES, image_stem, is_nifti

log = logging.getLogger(__name__)

InputPaths = str | Path | Sequence[str | Path]
TEST_IMAGES, TRAINING_IMAGES = "imagesTs", "imagesTr"
_NUMBERED = re.compile(r"(.+)_(\d{4})")
_MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class InputCase:
    """One case.

    Attributes:
        name: its path without suffix, from the folder that was named; of a file, its stem.
        files: one, or one for each channel in order.
    """

    name: str
    files: tuple[Path, ...]


def find_inputs(inputs: InputPaths, *, channels: int, spatial_dims: int) -> list[InputCase]:
    """The cases below `inputs`, in the order of their names.

    Args:
        inputs: a file; a folder, which is searched with its subfolders, or whose `imagesTs` is; a
            glob pattern, `**` for any depth; or a list of these.
        channels: of the images that are wanted. Files `<case>_0000`, `<case>_0001`, ... are then
            channels of one case (nnU-Net's names); otherwise a file holds all its channels.
        spatial_dims: 3 passes over the pictures that lie beside volumes, in folders and patterns.

    Returns:
        The cases. Masks beside their images, and files of kinds that are not read, are left out.

    Raises:
        DataNotFoundError: nothing is found.
        DataError: two files would give one name, or channels are missing.
    """
    kinds = VOLUME_SUFFIXES if spatial_dims == 3 else VOLUME_SUFFIXES + RASTER_SUFFIXES
    found: dict[str, Path] = {}
    passed: list[Path] = []
    seen: set[str] = set()  # of a folder and a file in it, say
    for each in [inputs] if isinstance(inputs, str | Path) else inputs:
        for name, path in _images(str(each), kinds, passed):
            place = os.path.abspath(path) if is_local(path) else str(path)
            if place in seen:
                continue
            seen.add(place)
            if found.setdefault(name, path).resolve() != path.resolve():
                raise DataError(
                    f"{found[name]} and {path} would both be predicted as {name}; name one of them"
                )
    if passed:
        log.info("passed over: %s", count_files(passed))
    return _join_channels(found, channels)


def _images(text: str, kinds: tuple[str, ...], passed: list[Path]) -> list[tuple[str, Path]]:
    """Names and paths of one file, whatever its kind, or of those in a folder or pattern; what is
    there and left out goes to `passed`."""
    path = as_path(text).expanduser()
    if path.is_file():
        return [(image_stem(path.name), path)]
    if not is_local(path):
        raise DataNotFoundError(f"input={text}: there is no such file; elsewhere, name each file")
    if path.is_dir():
        folder = path / TEST_IMAGES if (path / TEST_IMAGES).is_dir() else path
        if folder is path and (path / TRAINING_IMAGES).is_dir():
            raise DataNotFoundError(
                f"input={text} has no {TEST_IMAGES}, and masks beside its images; type "
                f"input={path / TRAINING_IMAGES}"
            )
        named = [(file.relative_to(folder).as_posix(), file) for file in _walk(folder)]
    else:
        named = [(each.name, each) for each in _matches(path)]
        if not any(file.is_file() for _, file in named):  # a pattern of folders
            named = [
                (file.relative_to(each.parent).as_posix(), file)
                for _, each in named
                for file in _walk(each)
            ]
        named = [(name, file) for name, file in named if not file.is_dir()]
    found = [(image_stem(name), file) for name, file in sorted(named) if _is_image(file, kinds)]
    left = [file for _, file in named if not _is_image(file, kinds)]
    if not found:
        what = "holds no images" if path.is_dir() else "there is no such file or folder"
        there = f"; there are {count_files(left)}" if left else ""
        raise DataNotFoundError(f"input={text}: {what}; the run reads {' '.join(kinds)}{there}")
    passed += left
    return found


def _matches(pattern: Path) -> list[Path]:
    """What a pattern names; `**` walks through links once, where `glob` would go round in loops."""
    text = str(pattern) if pattern.is_absolute() else f"./{pattern}"
    root, deep, tail = text.partition("/**/")
    if not deep or "**" in tail:
        return [Path(each) for each in glob.glob(str(pattern), recursive=True)]
    folders = [Path(each) for each in glob.glob(root or "/")]
    return [
        file for folder in folders for file in _walk(folder)
        if file.relative_to(folder).match(tail)
    ]  # fmt: skip


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is not hidden, links followed; a link to a folder it lies in
    is given itself."""
    for inner, names, files in os.walk(folder, onerror=_cannot_list, followlinks=True):
        here = Path(inner).resolve()
        hidden = [name for name in names if name.startswith(".")]
        loops = [n for n in names if here.is_relative_to((here / n).resolve()) and n not in hidden]
        names[:] = [name for name in names if name not in (*hidden, *loops)]
        visible = (name for name in files if not name.startswith("."))  # macOS litter, too
        yield from (Path(inner, name) for name in [*visible, *loops])


def _cannot_list(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename}: {error.strerror}; leave it out, or make it readable")


def _is_image(path: Path, kinds: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(kinds) and path.is_file() and not _is_mask(path)


def _is_mask(path: Path) -> bool:
    """Labels beside their image: `label.nii.gz` beside `img.nii.gz`, `labelsTr` beside
    `imagesTr`."""
    if image_stem(path.name) == "label":
        return any((path.parent / f"img{suffix}").is_file() for suffix in VOLUME_SUFFIXES)
    folder = path.parent
    images = folder.with_name(folder.name.replace("labels", "images", 1)) if folder.name else folder
    return folder.name.startswith("labels") and images.is_dir()


def count_files(files: Sequence[Path]) -> str:
    """Say what files there are: how many of each kind, and the name of a single one.

    Args:
        files: those that are left out of something.

    >>> count_files([Path("b.nrrd"), *(Path(f"{k}.dcm") for k in range(9))])
    '9 .dcm, b.nrrd'
    """
    kinds: dict[str, list[Path]] = {}
    for file in sorted(files):
        if file.is_symlink() and not file.is_file():  # broken, or one that goes round
            kind = f"the link {file}"
        else:
            kind = "labels" if _is_mask(file) else file.suffix or "without a suffix"
        kinds.setdefault(kind, []).append(file)
    return ", ".join(
        each[0].name if len(each) == 1 else f"{len(each)} {kind}"
        for kind, each in sorted(kinds.items(), key=lambda pair: (-len(pair[1]), pair[1][0].name))
    )


def _join_channels(found: dict[str, Path], channels: int) -> list[InputCase]:
    """Channels in files of their own become one case. With one channel, all names must say 0000:
    else the numbers are the user's; so they are where each file holds all channels.

    Raises:
        DataError: the numbers of a case are not those of the channels.
    """
    cases: dict[str, list[Path]] = {}
    split = {name: _NUMBERED.fullmatch(name) for name in sorted(found)}
    if channels == 1 and not all(match and match[2] == "0000" for match in split.values()):
        split = dict.fromkeys(split)
    wrong = []
    groups: dict[str, dict[str, str]] = {}  # case to number to name
    for name, match in split.items():
        if match and not _holds_channels(found[name], channels):
            groups.setdefault(match[1], {})[match[2]] = name
        else:
            cases[name] = [found[name]]
    wanted = [f"{number:04d}" for number in range(channels)]
    for case, numbers in groups.items():
        if list(numbers) != wanted:
            wrong.append(f"{case} has {', '.join(numbers)}")
        elif case in cases:
            raise DataError(
                f"{cases[case][0]} and {found[numbers[wanted[0]]]} would both be predicted as "
                f"{case}; name one of them"
            )
        cases[case] = [found[name] for name in numbers.values()]
    if wrong:
        more = f" and {len(wrong) - _MAX_LISTED} more" if len(wrong) > _MAX_LISTED else ""
        raise DataError(
            f"the net takes {channels} channels, in files that end in _{', _'.join(wanted)}, but "
            f"{'; '.join(wrong[:_MAX_LISTED])}{more}; add what is missing, rename the files, or "
            f"leave the case out"
        )
    return [InputCase(name, tuple(files)) for name, files in sorted(cases.items())]


def _holds_channels(path: Path, channels: int) -> bool:
    """Say whether a file holds all channels of a case itself; not where it cannot be read."""
    try:
        shape = read_header(path).shape if is_nifti(path) else ()
    except DataError:
        return False
    return channels > 1 and len(shape) == 4 and shape[3] == channels
