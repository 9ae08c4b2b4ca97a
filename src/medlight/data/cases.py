"""From the files of a case to what a store keeps, and the store's table of an index."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medlight.core.annotations import points_to_grid, transform_boxes
from medlight.core.case import MASK_ROLE, Case
from medlight.core.errors import ConfigError, DataError
from medlight.core.grid import Grid
from medlight.core.index import Index
from medlight.core.labels import Labels
from medlight.core.sample import Sample
from medlight.io import annotations
from medlight.io.annotations import Annotations
from medlight.io.read import read_image, read_mask
from medlight.io.store.case_file import PreparedCase
from medlight.io.store.codec import encode_mask
from medlight.io.store.store import Store
from medlight.io.store.stored_cases import StoredCases
from medlight.transforms.preprocessor import Preprocessor
from medlight.transforms.slices import slices_first


def open_cases(
    index: Index,
    store: Store,
    transforms: Preprocessor | None,
    *,
    slices: str | None = None,
    ignore: int | None = None,
    check: bool = False,
) -> StoredCases:
    """Open the cases of an index in their order; those that are not in the store are made first.

    Args:
        index: the cases.
        store: where they are kept.
        transforms: the preset; None: cases as they are in their files.
        slices: plane of the slices that are read one by one; None: cases are read as they are.
        ignore: label that needs no name.
        check: compare voxels with their checksums.

    Raises:
        DataError: cases cannot be used.
        StoreFullError: there is no room; says what to do.
    """
    stored = store.open(
        list(index),
        name=store_name(index),
        recipe={f"transforms.{key}": value for key, value in recipe_of(transforms).items()}
        | ({"data.slices": slices} if slices else {}),
        build=partial(prepare_case, transforms=transforms, slices=slices),
        check=check,
    )
    _check_labels(stored, len(index.labels), ignore)
    return stored


def store_name(index: Index) -> str:
    """A data set's name in the store."""
    return re.sub(r"[^\w.+-]+", "_", index.name)


def recipe_of(transforms: Preprocessor | None) -> dict[str, Any]:
    return {"preset": None} if transforms is None else dict(transforms.recipe)


def prepare_case(
    case: Case, *, transforms: Preprocessor | None, slices: str | None = None
) -> PreparedCase:
    """Read a case and apply the geometric transform.

    Args:
        case: its files.
        transforms: the preset; None: none.
        slices: plane of the slices that come first; None: axes stay.

    Raises:
        DataError: a file cannot be used, or image and mask differ in shape.
    """
    image, grid = read_image(case.files["image"])
    sample: Sample = {"image": torch.from_numpy(image), "source_grid": grid, "grid": grid}
    label_range = (0, 0)
    if MASK_ROLE in case.files:
        mask, mask_grid = read_mask(case.files[MASK_ROLE])
        _check_shapes(case.id, grid, mask_grid)
        label_range = (int(mask.min()), int(mask.max()))
        sample["mask"] = torch.from_numpy(_compact_mask(case.id, mask))
    if transforms is not None:
        sample = transforms.geometry(sample)
    if slices is not None:
        sample = slices_first(sample, slices)
    noted = {}
    if annotations.ANNOTATIONS_ROLE in case.files:
        noted = annotations.read_annotations(
            case.files[annotations.ANNOTATIONS_ROLE].path, grid.ndim
        )
        noted = _move_annotations(noted, partial(points_to_grid, old=grid, new=sample["grid"]))
    return PreparedCase(
        image=sample["image"].numpy(),
        mask=sample["mask"].numpy() if "mask" in sample else None,
        source_grid=grid,
        grid=sample["grid"],
        label_range=label_range,
        annotations=noted,
    )


def _move_annotations(noted: Annotations, move: Callable[..., NDArray[np.float64]]) -> Annotations:
    """Where boxes and points lie after the geometry."""
    moved = dict(noted)
    if "points" in noted:
        moved["points"] = move(noted["points"])
    if "boxes" in noted:
        moved["boxes"] = transform_boxes(noted["boxes"], move)
    return moved


def _compact_mask(case: str, mask: NDArray[np.int64]) -> NDArray[Any]:
    try:
        return encode_mask(mask)
    except ValueError as error:
        raise DataError(f"case {case!r}: {error}; fix the mask, or leave it out") from error


def _check_shapes(case: str, image: Grid, mask: Grid) -> None:
    if image.shape != mask.shape:
        raise DataError(
            f"case {case!r}: image and mask differ in shape, {image.shape} and {mask.shape}; "
            f"mend the files or leave the case out"
        )


def _check_labels(stored: StoredCases, labels: int, ignore: int | None) -> None:
    """DataError for a mask with a label that has no name, unless it is the one that is ignored."""
    for row in np.flatnonzero(
        ((stored.label_range < 0) | (stored.label_range >= labels)).any(axis=1)
    ).tolist():
        low, high = stored.label_range[row]
        held = {*stored.class_locations(row)[:, 0].tolist(), int(low), int(high)}
        outside = [label for label in held if not 0 <= label < labels and label != ignore]
        if not outside:
            continue
        leave = f", or leave its voxels out of training by data.ignore={max(outside)}"
        raise DataError(
            f"case {stored.cases[row]!r}: the mask holds values from {low} to {high}, but the data "
            f"set declares {labels} labels (0 to {labels - 1}), so that {max(outside)} has no "
            f"name; fix the mask or the labels{leave if ignore is None else ''}"
        )


def check_ignored(
    ignore: int | None, labels: Labels, train: StoredCases, every: Callable[[], StoredCases]
) -> None:
    """Refuse a number to ignore that no mask holds: a slip, maybe.

    Args:
        ignore: the number; None: there is none.
        labels: those with a name, which need not occur.
        train: the training cases.
        every: opens all cases; asked only if no training case holds it.

    Raises:
        ConfigError: no case holds it.
    """
    if ignore is None or not labels.per_voxel or ignore < len(labels):
        return
    if not ((train.label_range == ignore).any() or (every().label_range == ignore).any()):
        raise ConfigError(
            f"data.ignore={ignore}: no mask holds {ignore}, only labels from 0 to "
            f"{train.label_range.max()}; type another number, or leave data.ignore out"
        )


def seen_ranges(
    stored: StoredCases, transforms: Preprocessor | None, modality: tuple[str, ...], dims: int = 3
) -> dict[str, tuple[float, ...]]:
    """Find between what ends the images lie that a net sees.

    Args:
        stored: the cases.
        transforms: the preset; None: none.
        modality: of each channel.
        dims: spatial axes that a net sees, the last ones; 3 of all.

    Returns:
        The fields of `DataSpec` that say so.
    """
    largest = stored.statistics.maximum.astype(np.float32)[..., np.newaxis]
    if transforms is not None:
        largest = transforms.intensity(stored.statistics, modality).apply(largest)
    brightest = largest.max(axis=(1, 2))
    spacing_mm = stored.spacing_mm[:, -dims:]
    return {
        "spacing_low_mm": tuple(spacing_mm.min(axis=0).tolist()),
        "spacing_high_mm": tuple(spacing_mm.max(axis=0).tolist()),
        "brightest": tuple(np.percentile(brightest, (5, 95)).tolist()),
    }
