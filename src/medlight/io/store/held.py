"""The voxels of a small data set in memory, in one array each for images and masks.

One array, so that worker processes share it: thousands of small ones would be copied.

Shapes: N cases, C channels, *S spatial axes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.io.store.table import Stored


class Held:
    """Cases as they are stored, surrounded by their darkest value and background up to `least`.

    Attributes:
        shapes: (N, ndim) int64, spatial, with what surrounds a case.
        margins: (N, ndim) int64, what of that comes before it.
    """

    def __init__(self, stored: Stored, *, least: Sequence[int] | None) -> None:
        self.shapes, self.margins = surrounded(stored, least)
        self._stored, self._starts = stored, _starts(self.shapes)
        images, masks = stored.dtypes
        self._images = np.empty(int(self._starts[-1]) * stored.channels, images)
        self._masks = np.zeros(int(self._starts[-1]) if stored.masked.any() else 0, masks)
        marks = [stored.marks(row) for row in range(len(stored))]
        self._marks = np.concatenate(marks)
        self._mark_ends = np.cumsum([len(each) for each in marks])
        darkest = stored.darkest
        for row in range(len(stored)):
            image, mask = self._view(row)
            image[...] = darkest[row].reshape(-1, *(1,) * len(self.margins[row]))
            inner = tuple(
                slice(int(margin), int(margin + n))
                for margin, n in zip(self.margins[row], stored.shapes[row], strict=True)
            )
            every = (slice(None),) * len(inner)
            part = None if mask is None else mask[(slice(None), *inner)]
            stored.read(row, every, image[(slice(None), *inner)], part)

    def read(
        self, row: int, first: Sequence[int], image: NDArray[Any], mask: NDArray[Any] | None
    ) -> None:
        """Fill arrays of any type, (C, *S) and (1, *S), with what starts at this voxel of a case:
        negative where it starts in what surrounds the case."""
        held, labels = self._view(row)
        starts = (int(m) + f for m, f in zip(self.margins[row], first, strict=True))
        part = (
            slice(None),
            *(slice(s, s + n) for s, n in zip(starts, image.shape[1:], strict=True)),
        )
        image[...] = held[tuple(part)]
        if mask is not None and labels is not None:
            mask[...] = labels[tuple(part)]

    def marks(self, row: int) -> NDArray[np.int32]:
        """As `Stored.marks`."""
        start = 0 if row == 0 else self._mark_ends[row - 1]
        return self._marks[start : self._mark_ends[row]]

    def stack(self) -> tuple[NDArray[Any], NDArray[Any] | None] | None:
        """(N, C, *S) images and (N, 1, *S) masks; None where shapes differ."""
        if (self.shapes != self.shapes[0]).any():
            return None
        count, shape = len(self.shapes), tuple(int(n) for n in self.shapes[0])
        masks = self._masks.reshape(count, 1, *shape) if self._stored.masked.all() else None
        return self._images.reshape(count, self._stored.channels, *shape), masks

    def _view(self, row: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        start, end = int(self._starts[row]), int(self._starts[row + 1])
        shape, channels = self.shapes[row], self._stored.channels
        image = self._images[start * channels : end * channels].reshape(channels, *shape)
        masked = bool(self._stored.masked[row])
        return image, self._masks[start:end].reshape(1, *shape) if masked else None


def surrounded(
    stored: Stored, least: Sequence[int] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shapes that are at least `least`, and the margins in front."""
    shapes = stored.shapes if least is None else np.maximum(stored.shapes, np.array(least))
    return shapes, (shapes - stored.shapes) // 2


def held_bytes(stored: Stored, least: Sequence[int] | None) -> int:
    """What `Held` takes."""
    voxels = int(_starts(surrounded(stored, least)[0])[-1])
    images, masks = stored.dtypes
    each = stored.channels * images.itemsize + bool(stored.masked.any()) * masks.itemsize
    return voxels * each


def _starts(shapes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(shapes.prod(axis=1), dtype=np.int64)])
