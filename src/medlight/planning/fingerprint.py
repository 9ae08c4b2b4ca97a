"""What a plan is made from: measured on training cases, so that no test case has a say.

Shapes: N cases, C channels, K labels, *S spatial axes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from medlight.core.labels import Labels
from medlight.data.datamodule import DataModule
from medlight.io.store.stored_cases import StoredCases

MAX_VOXELS_PER_CASE = 10_000
"""Foreground voxels a case whose intensities are looked at (as nnU-Net's fingerprint)."""
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, slots=True, eq=False)
class DatasetFingerprint:
    """Training cases in figures.

    Attributes:
        name: of the data set; `cases`: how many were measured.
        labels: what is to be told apart.
        modality: name of each channel's modality; empty where the data set does not say.
        channels: of every image.
        shapes: (N, *S) voxels, and spacings_mm: (N, *S), in the orientation a net will see; of
            slices, where it sees these.
        source_shapes: (N, *S) voxels, as on disk; of slices as `shapes`.
        foreground_percentiles: (C, 2) the 0.5th and 99.5th percentile of intensities within masks;
            None where there are no masks.
        volumes_ml: (N, K - 1) of each foreground label; (0, K - 1) where there are no masks, and
            for images, which have no volume.
        slices: plane of the slices that a net sees; empty where it sees cases whole.
        pictures: cases, or slices of all of them; 0: as cases.
    """

    name: str
    cases: int
    labels: Labels
    modality: tuple[str, ...]
    channels: int
    shapes: NDArray[np.int64]
    spacings_mm: NDArray[np.float64]
    source_shapes: NDArray[np.int64]
    foreground_percentiles: NDArray[np.float64] | None
    volumes_ml: NDArray[np.float64]
    slices: str = ""
    pictures: int = 0

    @property
    def spatial_dims(self) -> int:
        return int(self.shapes.shape[1])

    @property
    def images(self) -> int:
        """How many a net can see."""
        return self.pictures or self.cases

    @property
    def shape(self) -> NDArray[np.float64]:
        """(*S) the median shape."""
        middle: NDArray[np.float64] = np.median(self.shapes, axis=0)
        return middle

    def describe(self) -> list[str]:
        """The figures in words, a line each."""
        middle, spacing = self.shape, np.median(self.spacings_mm, axis=0)
        lines = [
            f"{self.name}: {self.cases} training cases, {self.channels} channel"
            + ("s" if self.channels > 1 else "")
            + (f" ({', '.join(self.modality)})" if any(self.modality) else ""),
            *([f"{self.slices} slices: {self.pictures}"] if self.slices else []),
            f"shape: {_range_text(self.shapes)}, median {_dimensions(middle)} voxels",
            f"spacing: {_range_text(self.spacings_mm)}, median {_dimensions(spacing)} mm",
        ]
        for place, name in enumerate(self.labels.foreground if len(self.volumes_ml) else ()):
            there = self.volumes_ml[:, place] > 0
            size = np.median(self.volumes_ml[there, place]) if there.any() else 0.0
            lines.append(f"{name}: in {there.mean():.0%} of cases, median {size:.3g} mL")
        return lines


def extract_fingerprint(data: DataModule) -> DatasetFingerprint:
    """Prepare the training cases of the fold, and look at each once.

    Args:
        data: the data set.
    """
    cases = data.cases.subset(data.split.train)
    data.setup()
    stored = data.train_cases
    grids = [stored.grids(row) for row in range(len(stored))]
    labels, dims = data.target_labels, data.net_dims
    inside: list[NDArray[np.float32]] = []
    volumes: list[NDArray[np.float64]] = []
    if stored.has_mask.all() and labels.per_voxel:
        for (_, grid), (picked, counts) in zip(
            grids, _foreground_samples(stored, len(labels)), strict=True
        ):
            inside.append(picked)
            if grid.ndim == 3:
                volumes.append(counts * float(np.prod(grid.spacing_mm)) / 1000)
    found = np.concatenate(inside, axis=1) if inside else np.empty((stored.channels, 0))
    return DatasetFingerprint(
        name=cases.name,
        cases=len(cases),
        labels=labels,
        modality=data.modalities,
        channels=stored.channels,
        shapes=np.array([grid.shape[-dims:] for _, grid in grids], np.int64),
        spacings_mm=np.array([grid.spacing_mm[-dims:] for _, grid in grids]),
        source_shapes=np.array(
            [(grid if data.slices else source).shape[-dims:] for source, grid in grids], np.int64
        ),
        foreground_percentiles=np.percentile(found, PERCENTILES, axis=1).T.astype(np.float64)
        if found.size
        else None,
        volumes_ml=np.array(volumes).reshape(-1, len(labels) - 1),
        slices=data.slices or "",
        pictures=data.train_set.epoch_length,
    )


def _foreground_samples(
    stored: StoredCases, labels: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Of each case (C, n) intensities within the mask, evenly picked, and (K - 1,) voxels."""
    for row in track(range(len(stored)), description="measuring", transient=True):
        shape = tuple(int(n) for n in stored.shapes[row])
        image = np.empty((stored.channels, *shape), np.float32)
        mask = np.empty((1, *shape), np.int64)
        stored.read(row, tuple(slice(0, n) for n in shape), image, mask)
        places = np.flatnonzero(mask)
        places = places[:: max(1, len(places) // MAX_VOXELS_PER_CASE)]
        picked = image.reshape(len(image), -1)[:, places]
        scale, shift = (part[row][:, np.newaxis] for part in (stored.scale, stored.shift))
        counts = np.bincount(mask.ravel(), minlength=labels)[1:labels]
        yield (picked * scale + shift).astype(np.float32), counts


def _range_text(values: NDArray[np.float64] | NDArray[np.int64]) -> str:
    low, high = values.min(axis=0), values.max(axis=0)
    return _dimensions(low) if (low == high).all() else f"{_dimensions(low)} to {_dimensions(high)}"


def _dimensions(values: NDArray[np.float64] | NDArray[np.int64]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
