"""The layouts of data sets, written with drawn content."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from medlight.datasets._phantom_shapes import (
    ORIENTATIONS,
    as_stored_by_scanner,
    draw_organs,
    draw_pattern,
)
from medlight.io.nifti import write_nifti


def write_class_folders(
    folder: Path, classes: Sequence[str], *, cases: int, seed: int, step: int, suffix: str
) -> None:
    """Write `cases` pictures, dealt to class folders in turn and numbered in steps of `step`."""
    for case in range(cases):
        number, kind = divmod(case, len(classes))
        path = folder / classes[kind] / f"{number * step:06d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_pattern(np.random.default_rng([seed, case]), kind)).save(path)


def write_decathlon_task(
    folder: Path,
    prefix: str,
    names: Sequence[str],
    *,
    cases: int,
    seed: int,
    shapes: tuple[Sequence[int], Sequence[int]],
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    orientations: int = 1,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write `cases` drawn volumes in the official layout.

    Args:
        names: of the labels; the organs beyond them become background.
        shapes: smallest and largest.
        spacing_mm: smallest and largest, drawn for each axis.
        orientations: how many of the known ones occur.
        metadata: entries of dataset.json.
    """
    for case in range(1, cases + 1):
        random = np.random.default_rng([seed, case])
        shape = tuple(int(n) for n in random.integers(*shapes, endpoint=True))
        image, labels = draw_organs(random, shape)
        labels[labels >= len(names)] = 0
        image = (random.uniform(100, 3000) * image).round().astype(np.float32)  # MR has no unit
        spacing = tuple(random.uniform(*spacing_mm, 3))
        turned, grid = as_stored_by_scanner(
            [image, labels], spacing, case % min(orientations, len(ORIENTATIONS))
        )
        for part, values in zip(("imagesTr", "labelsTr"), turned, strict=True):
            write_nifti(folder / part / f"{prefix}_{case:03d}.nii.gz", values, grid)
    stems = [f"{prefix}_{case:03d}.nii.gz" for case in range(1, cases + 1)]
    content = {
        "name": folder.name.split("_", 1)[-1],
        "licence": "CC-BY-SA 4.0",
        **(metadata or {}),
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {str(k): name for k, name in enumerate(names)},
        "numTraining": cases,
        "numTest": 0,
        "training": [{"image": f"./imagesTr/{s}", "label": f"./labelsTr/{s}"} for s in stems],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(content, indent=1))
