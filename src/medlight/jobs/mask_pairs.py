"""Which prediction belongs to which reference, and what their labels are called."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medlight.core.errors import MALFORMED, ConfigError, DataError, DataNotFoundError
from medlight.io.inputs import count_files
from medlight.io.read import RASTER_SUFFIXES, VOLUME_SUFFIXES

log = logging.getLogger(__name__)
_SUFFIXES = (*VOLUME_SUFFIXES[::-1], *RASTER_SUFFIXES)
MAX_LISTED = 5
EXTRAS = ("probabilities", "entropy", "disagreement")
"""Folders of `predict` that hold no masks."""
MAX_LABEL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class MaskPair:
    """A reference mask, its prediction (None: there is none) and its image, if one is known."""

    case: str
    reference: Path
    prediction: Path | None
    image: Path | None = None


def mask_pairs(
    predictions: Path,
    labels: Path,
    *,
    images: str | Path | None = None,
    missing: Literal["error", "empty"] = "error",
) -> list[MaskPair]:
    """Pair each reference mask with its prediction, by file name without its ending; and by
    sub-folder, as `predict` writes them, if `labels` itself holds no mask.

    Returns:
        The pairs, in order of names.

    Raises:
        DataNotFoundError: a folder holds no masks.
        DataError: predictions are missing.
    """
    deep = labels.is_dir() and not any(map(_ending, labels.iterdir()))
    guessed, truth = (
        _list_masks(folder, key, deep)
        for folder, key in ((predictions, "predictions"), (labels, "labels"))
    )
    visible = _visible(labels, deep)
    if left := [p for p in visible if p not in truth.values() and p.suffix != ".json"]:
        log.warning("passed over in labels=%s: %s", labels, count_files(left))
    lost = [case for case in truth if case not in guessed]
    if len(lost) == len(truth):
        raise DataError(
            f"no file of {predictions} has the name of one in {labels}: "
            f"{next(iter(guessed))} and {next(iter(truth))} are the first of each"
        )
    if lost and missing == "error":
        raise DataError(
            f"{len(lost)} of {len(truth)} references have no prediction: {_abbreviate(lost)}; add "
            f"them, "
            f"or type missing=empty to count them as empty predictions"
        )
    if extra := [case for case in guessed if case not in truth]:
        log.warning("%d predictions have no reference: %s", len(extra), _abbreviate(extra))
    shown = {} if images is None else _list_masks(Path(images).expanduser(), "images", deep)
    return [
        MaskPair(case, path, guessed.get(case), shown.get(case) or shown.get(f"{case}_0000"))
        for case, path in truth.items()
    ]


@dataclass(frozen=True, slots=True)
class NamedLabels:
    """The labels that masks may hold.

    Attributes:
        names: number to name, in order of the numbers; 0 is the background.
        regions: name to numbers, where labels are unions.
    """

    names: dict[int, str]
    regions: dict[str, tuple[int, ...]]


def read_label_names(folders: Sequence[Path], class_names: Sequence[str] | None) -> NamedLabels:
    """Read the names of labels and the regions, if labels are unions.

    They are taken from `class_names`, else from the first dataset.json in or above one of the
    folders, in the form of the Decathlon ("1": "liver") or of nnU-Net ("liver": 1, or
    "whole tumour": [1, 2, 3]).

    Raises:
        ConfigError: nothing names the labels.
        DataError: the dataset.json has another form.
    """
    if class_names is not None:
        return NamedLabels(dict(enumerate(class_names)), {})
    places = [place for folder in folders for place in (folder, folder.parent)]
    for place in places:
        if (place / "dataset.json").is_file():
            return _read_dataset_json(place / "dataset.json")
    raise ConfigError(
        f"no dataset.json in or above {' or '.join(map(str, folders))} names the labels; "
        f"type class_names='[background,liver]'"
    )


def _read_dataset_json(path: Path) -> NamedLabels:
    try:
        stated: Any = json.loads(path.read_text(encoding="utf-8-sig"))["labels"]
        if all(str(key).isdigit() for key in stated):
            stated = {str(name): int(number) for number, name in stated.items()}
        unions = {
            str(name): tuple(map(int, numbers))
            for name, numbers in stated.items()
            if isinstance(numbers, list)
        }
        single = {int(n): str(name) for name, n in stated.items() if not isinstance(n, list)}
        numbers = {0, *single, *(number for union in unions.values() for number in union)}
        if wrong := [n for n in numbers if not 0 <= n <= MAX_LABEL]:
            raise ValueError(f"{wrong[0]} is no label: they are whole numbers up to {MAX_LABEL}")
    except MALFORMED as error:
        raise DataError(f'{path}: expected labels {{"background": 0, ...}} ({error!r})') from error
    names = {n: single.get(n, f"label {n}" if n else "background") for n in sorted(numbers)}
    alone = {name: (k,) for k, name in single.items() if k and name != "ignore"}
    return NamedLabels(names, {**unions, **alone} if unions else {})


def _visible(folder: Path, deep: bool) -> list[Path]:
    """What lies in a folder, or the files below it, but for what `predict` writes beside masks."""
    if not deep:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    inner = ((path, path.relative_to(folder).parts) for path in sorted(folder.rglob("*")))
    return [
        path
        for path, parts in inner
        if path.is_file() and parts[0] not in EXTRAS and not any(p[0] == "." for p in parts)
    ]


def _ending(path: Path) -> str:
    """The ending of an image or a volume; empty if it has none."""
    if path.name.startswith("."):
        return ""
    return next((ending for ending in _SUFFIXES if path.name.lower().endswith(ending)), "")


def _list_masks(folder: Path, key: str, deep: bool) -> dict[str, Path]:
    """Stem to file, with its sub-folder, in order of names."""
    if not folder.is_dir():
        raise DataNotFoundError(f"{key}={folder} is not a folder")
    found: dict[str, Path] = {}
    for path in _visible(folder, deep):
        if not (ending := _ending(path)):
            continue
        case = path.relative_to(folder).as_posix()[: -len(ending)]
        if case in found:
            raise DataError(f"{found[case]} and {path} are the same case; keep one of them")
        found[case] = path
    if not found:
        raise DataNotFoundError(f"{key}={folder} holds no {' or '.join(_SUFFIXES)} file")
    return found


def _abbreviate(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - MAX_LISTED} more" if len(cases) > MAX_LISTED else ""
    return ", ".join(cases[:MAX_LISTED]) + more
