"""The voxels of a small data set in memory, in one array each for images and masks.

One array, so that worker processes share it: thousands of small ones would be copied.

Shapes: N cases, C channels, *S spatial axes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.io.store.stored_cases import StoredCases


class InMemoryCases:
    """Cases as they are stored, surrounded by their darkest value and background up to `min_shape`.

    Attributes:
        shapes: (N, ndim) int64, spatial, with what surrounds a case.
        pad_before: (N, ndim) int64, what of that comes before it.
    """

    def __init__(self, stored: StoredCases, *, min_shape: Sequence[int] | None) -> None:
        self.shapes, self.pad_before = padded_shapes(stored, min_shape)
        self._stored, self._starts = stored, _starts(self.shapes)
        images, masks = stored.dtypes
        self._images = np.empty(int(self._starts[-1]) * stored.channels, images)
        self._masks = np.zeros(int(self._starts[-1]) if stored.has_mask.any() else 0, masks)
        class_locations = [stored.class_locations(row) for row in range(len(stored))]
        self._class_locations = np.concatenate(class_locations)
        self._location_ends = np.cumsum([len(each) for each in class_locations])
        fill_value = stored.fill_value
        for row in range(len(stored)):
            image, mask = self._view(row)
            image[...] = fill_value[row].reshape(-1, *(1,) * len(self.pad_before[row]))
            inner = tuple(
                slice(int(margin), int(margin + n))
                for margin, n in zip(self.pad_before[row], stored.shapes[row], strict=True)
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
        starts = (int(m) + f for m, f in zip(self.pad_before[row], first, strict=True))
        part = (
            slice(None),
            *(slice(s, s + n) for s, n in zip(starts, image.shape[1:], strict=True)),
        )
        image[...] = held[tuple(part)]
        if mask is not None and labels is not None:
            mask[...] = labels[tuple(part)]

    def class_locations(self, row: int) -> NDArray[np.int32]:
        """As `StoredCases.class_locations`."""
        start = 0 if row == 0 else self._location_ends[row - 1]
        return self._class_locations[start : self._location_ends[row]]

    def stack(self) -> tuple[NDArray[Any], NDArray[Any] | None] | None:
        """(N, C, *S) images and (N, 1, *S) masks; None where shapes differ."""
        if (self.shapes != self.shapes[0]).any():
            return None
        count, shape = len(self.shapes), tuple(int(n) for n in self.shapes[0])
        masks = self._masks.reshape(count, 1, *shape) if self._stored.has_mask.all() else None
        return self._images.reshape(count, self._stored.channels, *shape), masks

    def _view(self, row: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        start, end = int(self._starts[row]), int(self._starts[row + 1])
        shape, channels = self.shapes[row], self._stored.channels
        image = self._images[start * channels : end * channels].reshape(channels, *shape)
        has_mask = bool(self._stored.has_mask[row])
        return image, self._masks[start:end].reshape(1, *shape) if has_mask else None


def padded_shapes(
    stored: StoredCases, min_shape: Sequence[int] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shapes that are at least `min_shape`, and the margins in front."""
    shapes = stored.shapes if min_shape is None else np.maximum(stored.shapes, np.array(min_shape))
    return shapes, (shapes - stored.shapes) // 2


def memory_bytes(stored: StoredCases, min_shape: Sequence[int] | None) -> int:
    """What `InMemoryCases` takes."""
    voxels = int(_starts(padded_shapes(stored, min_shape)[0])[-1])
    images, masks = stored.dtypes
    each = stored.channels * images.itemsize + bool(stored.has_mask.any()) * masks.itemsize
    return voxels * each


def _starts(shapes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(shapes.prod(axis=1), dtype=np.int64)])
