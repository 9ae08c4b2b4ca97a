"""Write a segmentation data set in the form of nnU-Net or of the Decathlon."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from medlight.core.case import MASK_ROLE, Case
from medlight.core.errors import ConfigError, DataError
from medlight.core.index import Index
from medlight.data.datamodule import DataModule
from medlight.io.atomic import atomic_path
from medlight.io.image_files import (
    VOLUME_SUFFIX,
    common_suffix,
    count_channels,
    suffix,
    write_mask,
    write_pictures,
    write_volume,
    write_volume_channels,
)
from medlight.io.read import NIFTI_SUFFIXES
from medlight.jobs.dataset_forms import (
    decathlon_labels,
    describe,
    folds,
    nnunet_labels,
    nnunet_numbers,
)

IMAGES, LABELS = "imagesTr", "labelsTr"
COLOURS = 3
_FOLDER = re.compile(r"Dataset\d{3}_\w+")
Json = dict[str, Any]
WriteCase = Callable[[Case, str], None]
"""Writes the files of a case, which is called so in the new folder."""


def export_dataset(data: DataModule, *, form: str, output: Path) -> Path:
    """Write the cases that may be used, their labels, folds and patients.

    Args:
        data: the data set; masks are needed.
        form: "nnunet" or "decathlon".
        output: the folder to make; of nnU-Net, `Dataset007_Name`.

    Returns:
        `output`.

    Raises:
        ConfigError: the form cannot hold such data, or the folder is not named as it wants.
        DataError: a file cannot be used, or the folder is not empty.
    """
    if form not in FORMS:
        raise ConfigError(f"format={form}: must be one of {', '.join(FORMS)}")
    if form == "nnunet" and not _FOLDER.fullmatch(output.name):
        raise ConfigError(
            f"output={output}: nnU-Net wants folders such as Dataset101_Liver; type "
            f"output={output.parent / 'Dataset101_Name'}"
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"output={output} is there already; type another folder")
    index = data.targets
    _check_masks(index, form)
    names = _file_names(index)
    dealt = folds(data, names)
    channels = count_channels(index[0].files["image"])
    said = describe(data, channels, names)
    try:
        with atomic_path(output) as part:
            part.mkdir()
            content, write_case = FORMS[form](data, part, said)
            for case in tqdm(index, desc="writing cases", disable=not sys.stderr.isatty()):
                write_case(case, names[case.id])
            for file, what in (("dataset.json", content), ("splits_final.json", dealt)):
                text = json.dumps(what, indent=1, ensure_ascii=False)
                (part / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{output}: cannot be written ({error.strerror or error}); make room, or type "
            "output=<another folder>"
        ) from error
    return output


def _check_masks(index: Index, form: str) -> None:
    if not index.labels.per_voxel:
        raise ConfigError(
            f"{index.name} has {index.labels.describe()}, but format={form} holds masks"
        )
    for case in index:
        if not {"image", MASK_ROLE} <= case.files.keys():
            raise DataError(f"case {case.id!r} has no mask; leave it out by data.exclude=")


def _file_names(index: Index) -> dict[str, str]:
    """Case to the name of its files, which lie in one folder. DataError where two share it."""
    names = {case: case.replace("/", "_") for case in index.ids}
    first: dict[str, str] = {}
    for case, name in names.items():
        if first.setdefault(name, case) != case:
            raise DataError(f"{first[name]!r} and {case!r} would both be {name}; rename one")
    return names


def _nnunet(data: DataModule, folder: Path, said: Json) -> tuple[Json, WriteCase]:
    """dataset.json of version 2, and how a case is written."""
    refs = [ref for role in ("image", MASK_ROLE) for ref in data.targets.refs(role) if ref]
    ending = common_suffix(refs, data.spatial_dims)
    numbers = nnunet_numbers(data)
    channels = len(said["channel_names"])

    def write(case: Case, name: str) -> None:
        image = case.files["image"]
        flat = data.spatial_dims == 2
        count = len(image.paths) if flat else channels
        if flat and channels not in (count, COLOURS):
            raise DataError(
                f"{image}: {channels} channels in {count} pictures; save each as a file"
            )
        targets = [folder / IMAGES / f"{name}_{k:04d}{ending}" for k in range(count)]
        (write_pictures if flat else write_volume_channels)(image, targets)
        write_mask(case.files[MASK_ROLE], folder / LABELS / f"{name}{ending}", numbers)

    return {**said, **nnunet_labels(data), "file_ending": ending}, write


def _decathlon(data: DataModule, folder: Path, said: Json) -> tuple[Json, WriteCase]:
    """The Decathlon's dataset.json, and how a case is written."""
    if data.spatial_dims != 3:
        raise ConfigError("format=decathlon holds volumes; of pictures, type format=nnunet")
    pairs: list[dict[str, str]] = []

    def write(case: Case, name: str) -> None:
        paths = {}
        for role, key, part in (("image", "image", IMAGES), (MASK_ROLE, "label", LABELS)):
            ref = case.files[role]
            kept = suffix(ref.path) if ref.whole else ""
            ending = kept if kept in NIFTI_SUFFIXES else VOLUME_SUFFIX
            paths[key] = f"./{part}/{name}{ending}"
            target = folder / paths[key]
            write_volume(ref, target) if role == "image" else write_mask(ref, target, None)
        pairs.append(paths)

    content = {**said, **decathlon_labels(data), "tensorImageSize": "3D"}
    content["modality"] = content.pop("channel_names")
    return {**content, "numTest": 0, "training": pairs, "test": []}, write


FORMS = {"nnunet": _nnunet, "decathlon": _decathlon}
