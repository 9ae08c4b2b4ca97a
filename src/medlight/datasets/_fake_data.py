"""Pictures and volumes drawn from numbers, and the layouts of data sets written with them.

Shapes: *S spatial axes, 2 or 3 of them; n = len(S). Deterministic in the generator handed in.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from medlight.core.grid import Grid
from medlight.io.nifti import write_nifti

Random = np.random.Generator
FloatImage = NDArray[np.float32]
Labels = NDArray[np.uint8]

ORGANS = ("background", "liver", "kidneys", "nodule")
ORIENTATIONS = (((0, 1, 2), (1, 1, 1)), ((0, 1, 2), (-1, -1, 1)), ((1, 2, 0), (-1, -1, 1)))
"""RAS, LPS and PIR: for each stored axis its world axis and direction."""


def draw_organs(
    random: Random, shape: Sequence[int], *, noise: float = 0.05
) -> tuple[FloatImage, Labels]:
    """A body with the organs of `ORGANS`, (*S) with values around 0 to 1, and their labels.

    The liver is large and dented, the kidneys are a dark pair, the nodule is small and about
    as bright as the spine, which is not labelled. A smooth field of some 20 % lies over the image.
    """
    n = len(shape)
    at = _coordinates(shape) / 0.95
    turn = _turn(random, n)
    image, labels = np.zeros(shape), np.zeros(shape, np.uint8)

    def paint(
        centre: Sequence[float],
        radii: Sequence[float],
        value: float,
        label: int | None,
        bite: float = 0,
    ) -> None:
        place = np.array(centre[:n]) + random.uniform(-0.04, 0.04, n)
        size = np.array(radii[:n]) * random.uniform(0.88, 1.12, n)
        inside = _ellipsoid(at, place, size, turn)
        if bite:
            inside &= ~_ellipsoid(at, place + bite * size, 0.7 * size, turn)
        image[inside] = value * random.uniform(0.94, 1.06)
        if label is not None:
            labels[inside] = label

    paint((0, 0, 0), (0.95, 0.92, 0.97), 0.42, None)
    paint((0.02, -0.66, 0), (0.15, 0.15, 9), 0.85, None)
    paint((0.4, 0.2, 0.05), (0.44, 0.52, 0.5), 0.62, 1, bite=-0.75)
    for side in (-1, 1):
        paint((side * 0.46, -0.42, -0.1), (0.22, 0.26, 0.36), 0.18, 2)
    nodule = (random.uniform(-0.5, -0.2), random.uniform(0.15, 0.5), random.uniform(-0.4, 0.4))
    paint(nodule, (0.26, 0.26, 0.26), 1.1, 3)

    image = gaussian_filter(image, 0.5) * _field(random, at)
    image += random.normal(0, noise, shape)
    return image.astype(np.float32), labels


def draw_pattern(random: Random, kind: int, size: int = 64) -> Labels:
    """(size, size) grey picture of one of six kinds: disc, ring, cross, stripes, square, pair."""
    at = _coordinates((size, size)) - random.uniform(-0.2, 0.2, (2, 1, 1))
    y, x = np.tensordot(_turn(random, 2, most=0.4), at, 1) / random.uniform(0.85, 1.15)
    radius = np.hypot(x, y)
    inside = (
        radius < 0.5,
        (radius > 0.35) & (radius < 0.6),
        (np.minimum(abs(x), abs(y)) < 0.13) & (np.maximum(abs(x), abs(y)) < 0.65),
        (np.sin(14 * x) > 0) & (radius < 0.7),
        np.maximum(abs(x), abs(y)) < 0.45,
        np.hypot(abs(x) - 0.4, y) < 0.25,
    )[kind]
    light = np.where(inside, random.uniform(0.55, 0.85), random.uniform(0.1, 0.3))
    light = gaussian_filter(light, 0.7) + random.normal(0, 0.07, light.shape)
    return np.asarray(np.clip(255 * light, 0, 255).round(), dtype=np.uint8)


def as_stored_by_scanner(
    values: Sequence[NDArray[np.generic]], spacing_mm: Sequence[float], orientation: int
) -> tuple[list[NDArray[np.generic]], Grid]:
    """RAS volumes as a scanner might have stored them, and where their voxels lie.

    Args:
        values: (X, Y, Z) arrays in RAS order, all of one shape.
        orientation: row of `ORIENTATIONS`.
    """
    axes, signs = ORIENTATIONS[orientation]
    turned = [
        array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)] for array in values
    ]
    affine = np.eye(4)
    affine[:3, 3] = -0.5 * np.array(values[0].shape) * spacing_mm
    for axis, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[:3, axis] = 0
        affine[world, axis] = sign * spacing_mm[world]
        if sign < 0:
            affine[world, 3] += (values[0].shape[world] - 1) * spacing_mm[world]
    return [np.ascontiguousarray(array) for array in turned], Grid(turned[0].shape, affine)


def _coordinates(shape: Sequence[int]) -> NDArray[np.float64]:
    """(n, *S) from -1 to 1 along each axis."""
    return np.stack(np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij"))


def _ellipsoid(
    at: NDArray[np.float64],
    centre: NDArray[np.float64],
    radii: NDArray[np.float64],
    turn: NDArray[np.float64],
) -> NDArray[np.bool_]:
    n = len(at)
    away = np.tensordot(turn, at, 1) - centre.reshape(n, *[1] * n)
    return np.asarray(((away / radii.reshape(n, *[1] * n)) ** 2).sum(0) < 1)


def _turn(random: Random, n: int, most: float = 0.12) -> NDArray[np.float64]:
    """(n, n) small random rotation."""
    skew = np.triu(random.uniform(-most, most, (n, n)), 1)
    turn, r = np.linalg.qr(np.eye(n) + skew - skew.T)
    return np.asarray(turn * np.sign(np.diag(r)))


def _field(random: Random, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """(*S) smooth factor around 1: a coil that hears one side better."""
    n = len(at)
    linear, curved = random.uniform(-0.15, 0.15, n), random.uniform(-0.1, 0.1, n)
    return np.asarray(1 + np.tensordot(linear, at, 1) + np.tensordot(curved, at**2, 1))


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


def write_nnunet_dataset(folder: Path, *, cases: int, seed: int) -> None:
    """Write `cases` drawn volumes of two channels as nnU-Net v2 keeps them: `ignore` is the highest
    label, and splits_final.json deals its own five folds."""
    names = [f"case_{case:02d}" for case in range(cases)]
    for case, name in enumerate(names):
        random = np.random.default_rng([seed, case])
        shape = tuple(int(n) for n in random.integers((22, 26, 20), (26, 30, 24), endpoint=True))
        image, labels = draw_organs(random, shape)
        labels[:, :, : shape[2] // 5] = len(ORGANS)
        second = 1 - image + random.normal(0, 0.05, shape)
        channels = [(500 * each).round().astype(np.float32) for each in (image, second)]
        (*turned, mask), grid = as_stored_by_scanner([*channels, labels], (1.0, 1.0, 1.2), case % 3)
        for number, values in enumerate(turned):
            write_nifti(folder / "imagesTr" / f"{name}_{number:04d}.nii.gz", values, grid)
        write_nifti(folder / "labelsTr" / f"{name}.nii.gz", mask, grid)
    content = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {**{name: k for k, name in enumerate(ORGANS)}, "ignore": len(ORGANS)},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    folds = [
        {"train": [n for n in names if n not in names[k::5]], "val": names[k::5]} for k in range(5)
    ]
    for file, what in (("dataset.json", content), ("splits_final.json", folds)):
        (folder / file).write_text(json.dumps(what, indent=1))
