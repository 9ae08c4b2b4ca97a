"""What dataset.json and splits_final.json say of a data set, for nnU-Net and for the Decathlon."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import ConfigError
from medlight.core.labels import region_class_order
from medlight.core.split import SUBSETS, Split
from medlight.data.datamodule import DataModule

BACKGROUND, IGNORE = "background", "ignore"


def describe(data: DataModule, channels: int, file_names: Mapping[str, str]) -> dict[str, Any]:
    """What both forms say: where the data are from, and who is not their own patient.

    Args:
        data: the data set.
        channels: how many images have.
        file_names: case to its name in the new files.
    """
    source, index = data.cases.sources[0], data.cases
    names = data.modalities or tuple(f"channel {number}" for number in range(channels))
    if len(names) != channels:
        raise ConfigError(f"{index.name} names {len(names)} channels, but images have {channels}")
    patients = {
        file_names[case]: patient
        for case, patient in zip(index.ids, index.patients, strict=True)
        if patient != file_names[case]
    }
    return {
        "name": index.name,
        "release": source.version,
        "licence": source.licence,
        "reference": source.citation,
        "channel_names": {str(number): name for number, name in enumerate(names)},
        "numTraining": len(index),
        **({"patients": patients} if patients else {}),
    }


def nnunet_numbers(data: DataModule) -> NDArray[np.int64] | None:
    """The new number of each label, since nnU-Net ignores the highest alone; -1 for those that must
    not occur. None where all stay."""
    count, ignored = len(data.cases.labels), data.ignored_label
    if ignored is None or ignored == count:
        return None
    if ignored == 0:
        raise ConfigError(
            "data.ignore=0: nnU-Net cannot ignore label 0, its background; renumber the masks"
        )
    numbers = np.full(max(count, ignored + 1), -1)
    kept = [number for number in range(count) if number != ignored]
    numbers[kept] = np.arange(len(kept))
    numbers[ignored] = len(kept)
    return numbers


def nnunet_labels(data: DataModule) -> dict[str, Any]:
    """The entries `labels`, and of regions `regions_class_order` and the names of their labels.

    Raises:
        ConfigError: nnU-Net has no such labels; says what to change.
    """
    ignored, numbers = data.ignored_label, nnunet_numbers(data)
    names = [name for k, name in enumerate(data.cases.labels.names) if k != ignored]
    if IGNORE in names[1:]:
        raise ConfigError(
            f"nnU-Net takes a label called {IGNORE} for one that is not learnt; type "
            f"data.ignore={data.cases.labels.names.index(IGNORE)}, or call it otherwise"
        )
    regions = {
        name: tuple(int(k if numbers is None else numbers[k]) for k in those)
        for name, those in data.scored_regions.items()
    }
    labels: dict[str, Any] = {BACKGROUND: 0}
    labels |= (
        {name: list(those) if len(those) > 1 else those[0] for name, those in regions.items()}
        or {name: number for number, name in enumerate(names) if number}
    )  # fmt: skip
    left = set(range(1, len(names))) - {k for those in regions.values() for k in those}
    if regions and left:
        raise ConfigError(
            f"no region holds label {min(left)} ({names[min(left)]}), but nnU-Net learns regions "
            f"alone; add one, or type data.regions=null"
        )
    if ignored is not None:
        labels[IGNORE] = len(names)
    order = {"regions_class_order": list(region_class_order(regions))} if regions else {}
    named = {"label_names": names} if regions or names[0] != BACKGROUND else {}
    return {"labels": labels, **order, **named}


def decathlon_labels(data: DataModule) -> dict[str, Any]:
    """The entries `labels`, and `regions` and `ignore`, which data=decathlon reads as well."""
    regions = {name: list(those) for name, those in data.scored_regions.items()}
    ignored = data.ignored_label
    return {
        "labels": {str(number): name for number, name in enumerate(data.cases.labels.names)},
        **({"regions": regions} if regions else {}),
        **({} if ignored is None else {"ignore": ignored}),
    }


def folds(data: DataModule, file_names: Mapping[str, str]) -> list[dict[str, list[str]]]:
    """What splits_final.json says: nnU-Net's `val` is who is tested here. Where the data came with
    patients to tune on, a fold names all three sides.

    Args:
        data: the data set.
        file_names: case to its name in the new files.
    """
    own = data.full_index.column("split")
    if any(own):
        tuned = "val" in own
        return [_fold(data.split_of(None), tuned, file_names)]
    count = len(data.stated_folds) or data.folds
    tuned_folds = [bool(fold.val) for fold in data.stated_folds] or [False] * count
    return [_fold(data.split_of(k), tuned, file_names) for k, tuned in enumerate(tuned_folds)]


def _fold(split: Split, tuned: bool, file_names: Mapping[str, str]) -> dict[str, list[str]]:
    train, val, test = (sorted(file_names[c] for c in getattr(split, side)) for side in SUBSETS)
    if tuned:
        return {"train": train, "val": val, "test": test}
    return {"train": sorted(train + val), "val": test}
