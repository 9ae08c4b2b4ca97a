"""Stored cases as one table: columns in memory, voxels on the disk or in one array.

Shapes: N cases, C channels, *S spatial axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.core.grid import Grid
from medlight.core.intensity import Statistics
from medlight.io.store.entry import STATISTICS, Head, Place, mapped, read_head

Window = tuple[slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The voxels of all cases, one after another in one array of each role.

    One array, so that worker processes share it: thousands of small ones would be copied.
    """

    images: NDArray[Any]
    masks: NDArray[Any]
    image_starts: NDArray[np.int64]
    mask_starts: NDArray[np.int64]


class Stored:
    """Cases of a store, in the order they were asked for.

    Attributes:
        cases: their ids.
        shapes: (N, ndim) int64, spatial.
        channels: of every image.
        scale, shift: (N, C) float64; stored values times scale plus shift are the image.
        statistics: of the images, (N, C) each.
        labels: (N, 2) int64, smallest and largest label of the mask's file.
        masked: (N,) bool, whether there is a mask.
    """

    def __init__(self, cases: Sequence[str], paths: Sequence[Path], heads: Sequence[Head]) -> None:
        self.cases, self.paths = tuple(cases), tuple(paths)
        images = [head.arrays["image"] for head in heads]
        self._images, self._masks = images, [head.arrays.get("mask") for head in heads]
        self.channels = images[0].shape[0] if images else 0
        for case, image in zip(self.cases, images, strict=True):
            if (image.shape[0], len(image.shape)) != (self.channels, len(images[0].shape)):
                raise DataError(
                    f"case {case!r}: its image has the shape {image.shape} (channels first), but "
                    f"that of {self.cases[0]!r} has {images[0].shape}; leave one of them out"
                )
        self.shapes = np.array([image.shape[1:] for image in images], np.int64)
        self.scale = np.array([head.about["scale"] for head in heads])
        self.shift = np.array([head.about["shift"] for head in heads])
        self.statistics = Statistics(
            **{name: np.array([head.about[name] for head in heads]) for name in STATISTICS}
        )
        self.labels = np.array([head.about["labels"] for head in heads], np.int64)
        self.masked = np.array([mask is not None for mask in self._masks], bool)
        self._held: Held | None = None

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def nbytes(self) -> int:
        """What all voxels take when they are held in memory."""
        return sum(
            int(np.prod(place.shape)) * place.dtype.itemsize
            for place in (*self._images, *self._masks)
            if place is not None
        )

    @property
    def uniform(self) -> bool:
        """Whether all images have one shape."""
        return bool(len(self)) and bool((self.shapes == self.shapes[0]).all())

    def grids(self, row: int) -> tuple[Grid, Grid]:
        """Of the source file, and of the image."""
        return read_head(self.paths[row]).grids

    def read(
        self, row: int, window: Window, image: NDArray[Any], mask: NDArray[Any] | None
    ) -> None:
        """Copy part of a case, in the units it is stored in, to arrays of any type.

        Args:
            window: a slice for each spatial axis; nothing outside of it is read.
            image: (C, *S of the window).
            mask: (1, *S of the window), or None to leave it.
        """
        every = (slice(None), *window)
        if self._held is not None:
            image[...] = self._view("image", row)[every]
            if mask is not None:
                mask[...] = self._view("mask", row)[every]
            return
        content = mapped(self.paths[row])
        image[...] = self._images[row].within(content)[every]
        place = self._masks[row]
        if mask is not None and place is not None:
            mask[...] = place.within(content)[every]

    def stack(self) -> tuple[NDArray[Any], NDArray[Any] | None] | None:
        """(N, C, *S) images and (N, 1, *S) masks, as stored; None unless held and of one shape."""
        if self._held is None or not self.uniform:
            return None
        shape = tuple(int(n) for n in self.shapes[0])
        images = self._held.images.reshape(len(self), self.channels, *shape)
        masks = self._held.masks.reshape(len(self), 1, *shape) if self.masked.all() else None
        return images, masks

    def hold(self) -> None:
        """Read all voxels into memory."""
        images, image_starts = _joined(self._images)
        masks, mask_starts = _joined(self._masks)
        for row, path in enumerate(self.paths):
            content = mapped(path)
            for places, flat, starts in (
                (self._images, images, image_starts),
                (self._masks, masks, mask_starts),
            ):
                place = places[row]
                if place is not None:
                    flat[starts[row] : starts[row + 1]] = place.within(content)[...].reshape(-1)
        self._held = Held(images, masks, image_starts, mask_starts)

    def _view(self, role: str, row: int) -> NDArray[Any]:
        held = self._held
        if held is None:
            raise ValueError("no voxels are held")
        flat, starts, place = (
            (held.images, held.image_starts, self._images[row])
            if role == "image"
            else (held.masks, held.mask_starts, self._masks[row])
        )
        if place is None:
            raise ValueError(f"case {self.cases[row]!r} has no {role}")
        return flat[starts[row] : starts[row + 1]].reshape(place.shape)


def _joined(places: Sequence[Place | None]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Room for arrays one after another, in a type that holds them all, and where each starts."""
    sizes = [0 if place is None else int(np.prod(place.shape)) for place in places]
    types = [place.dtype for place in places if place is not None]
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return np.empty(int(starts[-1]), np.result_type(*types) if types else np.uint8), starts
