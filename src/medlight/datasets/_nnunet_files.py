"""The files of a data set that nnU-Net keeps: which of them are the channels of which case."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from medlight.core.errors import DataError
from medlight.datasets._dataset_json import (
    DATASET_JSON,
    NamedNumbers,
    read_dataset_json,
    read_labels,
    read_numbered,
)
from medlight.datasets._listing import files
from medlight.io.read import RASTER_SUFFIXES, read_image

log = logging.getLogger(__name__)
IMAGES, LABELS = "imagesTr", "labelsTr"
PREPROCESSED = "nnUNet_preprocessed"
"""nnU-Net's variable for the folder where its splits_final.json lies."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_VARIABLES = ("nnUNet_raw", PREPROCESSED, "nnUNet_results", "MEDLIGHT_DATA", "HOME")
CaseFiles = tuple[list[str], str]
"""The images of a case in the order of their channels, and its mask."""


@dataclass(frozen=True)
class NNUNetFolder:
    """A folder and its dataset.json, of version 2 or 1. What reads it raises DataError where it is
    not as nnU-Net wants it."""

    folder: Path

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """What dataset.json says."""
        content = read_dataset_json(self.folder)
        if not content:
            raise DataError(
                f"{self.folder} has no {DATASET_JSON}, or an empty one; write it with "
                f'"channel_names", "labels" and "file_ending", see docs/nnunet.md'
            )
        return content

    @property
    def _json_path(self) -> Path:
        return self.folder / DATASET_JSON

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        names = self.content.get("channel_names", self.content.get("modality"))
        if not names:
            raise DataError(f'{self._json_path}: it names no channels; add "channel_names"')
        return read_numbered(names, "channel_names", self._json_path)

    @cached_property
    def labels(self) -> NamedNumbers:
        """What the numbers of the masks mean."""
        return read_labels(self.content, self._json_path)

    def cases(self) -> dict[str, CaseFiles]:
        """Case to files, relative to the folder where they lie in it."""
        found = self._stated_paths() if "dataset" in self.content else self._listed()
        first = found[min(found)][0]
        if len(first) < len(self.channels):  # one picture, of which only the file knows
            held = len(read_image(self.folder / first[0])[0])
            if held != len(self.channels):
                raise DataError(
                    f"{self.folder / first[0]} has {held} channels, but channel_names "
                    f"{len(self.channels)} names; name one, or add the files of the others"
                )
        return found

    @property
    def _ending(self) -> str:
        ending = self.content.get("file_ending", ".nii.gz" if "modality" in self.content else None)
        if not isinstance(ending, str) or not re.fullmatch(r"(\.\w+)+", ending):
            raise DataError(
                f'{self._json_path}: expected "file_ending" such as ".nii.gz", got {ending}'
            )
        return ending

    def _stated_paths(self) -> dict[str, CaseFiles]:
        """The cases that dataset.json gives paths of."""
        stated = self.content["dataset"]
        found = {}
        for case, entry in stated.items() if isinstance(stated, dict) else ():
            images = entry.get("images") if isinstance(entry, dict) else None
            paths: list[Any] = [*images, entry.get("label")] if isinstance(images, list) else [None]
            if len(paths) < 2 or not all(isinstance(path, str) and path for path in paths):
                raise DataError(
                    f'{self._json_path}: expected "dataset" to say {{"images": [...], '
                    f'"label": "..."}} of case {case!r}, got {entry}'
                )
            *images, mask = (_expanded(path, self._json_path) for path in paths)
            self._check_count(case, images)
            found[case] = (images, mask)
        if not found:
            raise DataError(f'{self._json_path}: "dataset" lists no cases')
        return found

    def _check_count(self, case: str, images: Sequence[str]) -> None:
        wanted = len(self.channels)
        if len(images) != wanted and not _in_colour(images, wanted):
            raise DataError(
                f"{self._json_path}: case {case!r} has {len(images)} images, but channel_names "
                f"{wanted} names; name one file for each channel"
            )

    def _listed(self) -> dict[str, CaseFiles]:
        """The cases of imagesTr; of version 1, those that are listed under `training`."""
        ending, wanted = self._ending, self._training_list()
        channels: dict[str, dict[int, str]] = {}
        for file in files(self.folder / IMAGES, (ending.lower(),)):
            numbered = re.fullmatch(r"(.+)_(\d{4})", file[: -len(ending)])
            if numbered is None:
                self._refuse_unnumbered(file)
            else:
                channels.setdefault(numbered[1], {})[int(numbered[2])] = f"{IMAGES}/{file}"
        unlisted = sorted(channels.keys() - (channels if wanted is None else wanted))
        if unlisted:
            log.warning(
                "%d cases of %s are left out, as training does not list them: %s, ...",
                len(unlisted),
                self.folder / IMAGES,
                unlisted[0],
            )
            channels = {case: channels[case] for case in channels if case not in {*unlisted}}
        if missing := sorted((wanted or set()) - channels.keys()):
            raise DataError(
                f"{self._json_path}: training lists {missing[0]!r}, but {self.folder / IMAGES} has "
                f"no {missing[0]}_0000{ending}"
            )
        if not channels:
            raise DataError(
                f"{self.folder / IMAGES} holds no files <case>_0000{ending}; is file_ending right?"
            )
        masks = {
            file[: -len(ending)]: file for file in files(self.folder / LABELS, (ending.lower(),))
        }
        alone = sorted(masks.keys() - channels.keys()) if wanted is None else []
        if alone:
            raise DataError(
                f"{self.folder / LABELS / masks[alone[0]]} ({len(alone)} in all) has no image "
                f"{IMAGES}/{alone[0]}_0000{ending}; add it, or remove the label"
            )
        return {
            case: (
                self._complete(case, numbers),
                f"{LABELS}/{masks.get(case, case + ending)}",  # an audit names all that are missing
            )
            for case, numbers in channels.items()
        }

    def _training_list(self) -> set[str] | None:
        """Names of the cases of version 1, whether listed with _0000 or without; None of 2."""
        stated = None if "file_ending" in self.content else self.content.get("training")
        if not stated:
            return None
        names = set()
        for entry in stated if isinstance(stated, list) else [stated]:
            label = entry.get("label") if isinstance(entry, dict) else None
            if not isinstance(label, str):
                raise DataError(
                    f'{self._json_path}: expected training [{{"image": ..., "label": ...}}], got '
                    f"{entry}"
                )
            if not Path(label).name.startswith("._"):
                names.add(Path(label).name.removesuffix(self._ending))
        return names

    def _refuse_unnumbered(self, file: str) -> None:
        if self.content.get("training") and "file_ending" not in self.content:
            raise DataError(
                f"{self.folder} is a Decathlon task: {IMAGES}/{file} holds all channels; type "
                f"data=decathlon data.task={self.folder.name}"
            )
        stem = file[: -len(self._ending)]
        raise DataError(
            f"{self.folder / IMAGES / file} has no number of a channel; call it "
            f"{stem}_0000{self._ending}"
        )

    def _complete(self, case: str, numbers: Mapping[int, str]) -> list[str]:
        """The files of a case in the order of their channels."""
        names = self.channels
        listed = [numbers[number] for number in sorted(numbers)]
        if set(numbers) == {0} and _in_colour(listed, len(names)):
            return listed
        for number in range(max(len(names), max(numbers) + 1)):
            if (number in numbers) != (number < len(names)):
                what = (
                    f"channel {number} ({names[number]}) is missing"
                    if number < len(names)
                    else f"it has a channel {number}, but channel_names ends at {len(names) - 1}"
                )
                raise DataError(
                    f"{self.folder / IMAGES}: case {case!r} is incomplete: {what}, "
                    f"{case}_{number:04d}{self._ending}"
                )
        return listed


def is_nnunet_folder(folder: Path) -> bool:
    """Tell whether it may be one, if only an incomplete one."""
    return (folder / DATASET_JSON).is_file() or (folder / IMAGES).is_dir()


def _in_colour(images: Sequence[str], channels: int) -> bool:
    """Whether one picture holds red, green and blue, which nnU-Net reads as three channels."""
    return len(images) == 1 and channels == 3 and images[0].lower().endswith(RASTER_SUFFIXES)


def _expanded(path: str, where: Path) -> str:
    """A path with nnU-Net's variables filled in; no others, as the file may be a stranger's."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in _VARIABLES or name not in os.environ:
            raise DataError(
                f"{where}: {path}: ${name} is not set, or none of {', '.join(_VARIABLES)}; write "
                f"the path out"
            )
        return os.environ[name]

    if "://" in path:
        raise DataError(f"{where}: {path}: nothing is fetched from elsewhere; put the file here")
    return _VARIABLE.sub(value, path)
