"""The images that somebody wants predicted: a file, a folder, a pattern, or a list of them."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.read import NIFTI_SUFFIXES, RASTER_SUFFIXES, image_stem

InputPaths = str | Path | Sequence[str | Path]
TEST_IMAGES, TRAINING_IMAGES = "imagesTs", "imagesTr"
_NUMBERED = re.compile(r"(.+)_(\d{4})")


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

    DataNotFoundError where nothing is found, DataError where two files would give one name.
    """
    named = [
        pair
        for each in _listed(inputs)
        for pair in _images(
            str(each), NIFTI_SUFFIXES if spatial_dims == 3 else NIFTI_SUFFIXES + RASTER_SUFFIXES
        )
    ]
    found: dict[str, Path] = {}
    for name, path in named:
        if found.setdefault(name, path) != path:
            raise DataError(
                f"{found[name]} and {path} would both be predicted as {name}; name one of them"
            )
    return _joined(found, channels)


def _listed(inputs: InputPaths) -> Sequence[str | Path]:
    return [inputs] if isinstance(inputs, str | Path) else inputs


def _images(text: str, kinds: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Names and paths of one file, whatever its kind, or of those in a folder or pattern."""
    path = Path(text).expanduser()
    if path.is_file():
        return [(image_stem(path.name), path)]
    if path.is_dir():
        folder = path / TEST_IMAGES if (path / TEST_IMAGES).is_dir() else path
        if folder is path and (path / TRAINING_IMAGES).is_dir():
            raise DataNotFoundError(
                f"input={text} has no {TEST_IMAGES}, and masks beside its images; type "
                f"input={path / TRAINING_IMAGES}"
            )
        files = [file for file in sorted(folder.rglob("*")) if _is_image(file, kinds)]
        found = [(image_stem(file.relative_to(folder).as_posix()), file) for file in files]
    else:
        files = [Path(each) for each in sorted(glob.glob(str(path), recursive=True))]
        found = [(image_stem(file.name), file) for file in files if _is_image(file, kinds)]
    if not found:
        what = "holds no images" if path.is_dir() else "there is no such file or folder"
        raise DataNotFoundError(f"input={text}: {what}; the run reads {' '.join(kinds)}")
    return found


def _is_image(path: Path, kinds: tuple[str, ...]) -> bool:
    hidden = any(part.startswith(".") for part in path.parts[-2:])  # macOS litter, too
    return not hidden and path.name.lower().endswith(kinds) and path.is_file()


def _joined(found: dict[str, Path], channels: int) -> list[InputCase]:
    """Channels in files of their own become one case. With one channel, all names must say 0000:
    else the numbers are the user's."""
    split = {name: _NUMBERED.fullmatch(name) for name in sorted(found)}
    numbered = {name: match for name, match in split.items() if match}
    if channels == 1 and not (
        len(numbered) == len(found) and all(m[2] == "0000" for m in numbered.values())
    ):
        numbered = {}
    cases: dict[str, list[Path]] = {}
    for name, path in found.items():
        cases.setdefault(numbered[name][1] if name in numbered else name, []).append(path)
    return [InputCase(name, tuple(sorted(files))) for name, files in sorted(cases.items())]
