"""Stored cases as one table: columns in memory, voxels on the disk or, of a small data set, in
memory as well.

Shapes: N cases, C channels, *S spatial axes.
"""

import mmap
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlight.core.errors import DataError
from medlight.core.grid import Grid
from medlight.core.intensity import IntensityStatistics
from medlight.io.store.case_file import (
    LOCATIONS_ROLE,
    STATISTICS_FIELDS,
    CaseHeader,
    DamagedError,
    map_file,
    read_case_header,
    verify_checksums,
)

Slices = tuple[slice, ...]


class StoredCases:
    """Cases of a store, in the order they were asked for.

    Attributes:
        cases: their ids.
        shapes: (N, ndim) int64, spatial.
        channels: of every image.
        scale, shift: (N, C) float64; stored values times scale plus shift are the image.
        statistics: of the images, (N, C) each.
        spacing_mm: (N, ndim) float64, voxel size of the images.
        label_range: (N, 2) int64, smallest and largest label of the mask's file.
        has_mask: (N,) bool, whether there is a mask.
        annotations: of each case, as in `PreparedCase`; None where no case has any.
    """

    def __init__(
        self, cases: Sequence[str], paths: Sequence[Path], headers: Sequence[CaseHeader]
    ) -> None:
        self.cases, self.paths = tuple(cases), tuple(paths)
        images = [header.arrays["image"] for header in headers]
        self._images, self._masks = images, [header.arrays.get("mask") for header in headers]
        self._class_locations = [header.arrays.get(LOCATIONS_ROLE) for header in headers]
        self.channels = images[0].shape[0] if images else 0
        for case, image in zip(self.cases, images, strict=True):
            if (image.shape[0], len(image.shape)) != (self.channels, len(images[0].shape)):
                colours = {image.shape[0], self.channels} == {1, 3}
                advice = "type transforms.channels=1 or 3, or " if colours else ""
                raise DataError(
                    f"case {case!r}: its image has the shape {image.shape} (channels first), but "
                    f"that of {self.cases[0]!r} has {images[0].shape}; {advice}leave one of them "
                    f"out"
                )
        self.shapes = np.array([image.shape[1:] for image in images], np.int64)
        self.scale = np.array([header.metadata["scale"] for header in headers])
        self.shift = np.array([header.metadata["shift"] for header in headers])
        self.statistics = IntensityStatistics(
            **{
                name: np.array([header.metadata[name] for header in headers])
                for name in STATISTICS_FIELDS
            }
        )
        affines = np.array([header.metadata["grid"]["affine"] for header in headers]).reshape(
            -1, 4, 4
        )
        self.spacing_mm = np.linalg.norm(affines[:, :3, : self.shapes.shape[-1]], axis=1)
        self.label_range = np.array([header.metadata["labels"] for header in headers], np.int64)
        noted = [header.metadata.get("annotations", {}) for header in headers]
        self.annotations = noted if any(noted) else None
        self.has_mask = np.array([mask is not None for mask in self._masks], bool)
        # Shared with the processes that this one forks: what one has compared, all have.
        self._verified = np.frombuffer(mmap.mmap(-1, len(headers) + 1), np.uint8)

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def image_keys(self) -> list[tuple[object, ...] | None]:
        """Of each case what images of the same voxels share; None of one that is of one value."""
        percentiles = self.statistics.percentiles.reshape(len(self), -1).tolist()
        return [
            (place.crc, place.dtype, place.shape, *row) if max(row) > min(row) else None
            for place, row in zip(self._images, percentiles, strict=True)
        ]

    @property
    def fill_value(self) -> NDArray[np.float64]:
        """(N, C) smallest value of each channel, in the units it is stored in."""
        values = (self.statistics.minimum - self.shift) / self.scale
        whole = np.array([place.dtype.kind in "iu" for place in self._images])[:, np.newaxis]
        smallest: NDArray[np.float64] = np.where(whole, np.rint(values), values)
        return smallest

    @cached_property
    def dtypes(self) -> tuple[np.dtype[Any], np.dtype[Any]]:
        """Types that hold the images and the masks of all cases."""
        masks = [place.dtype for place in self._masks if place is not None]
        images = np.result_type(*(place.dtype for place in self._images))
        return images, np.result_type(*masks) if masks else np.dtype(np.uint8)

    def class_locations(self, row: int) -> NDArray[np.int32]:
        """(M, 1 + n) label and position of some voxels of a case's mask."""
        place = self._class_locations[row]
        if place is None:
            return np.zeros((0, 1 + self.shapes.shape[1]), np.int32)
        found: NDArray[np.int32] = place.read_from(self._content(row))
        return found

    def grids(self, row: int) -> tuple[Grid, Grid]:
        """Of the source file, and of the image."""
        return read_case_header(self.paths[row]).grids

    def read(
        self, row: int, window: Slices, image: NDArray[Any], mask: NDArray[Any] | None
    ) -> None:
        """Copy part of a case, in the units it is stored in, to arrays of any type.

        Args:
            window: a slice for each spatial axis; nothing outside of it is read, but for the
                checksum of the whole case, once.
            image: (C, *S of the window).
            mask: (1, *S of the window), or None to leave it.

        Raises:
            FileNotFoundError: another process made room in the store.
            DamagedError: the voxels are not what was stored.
        """
        every = (slice(None), *window)
        content = self._content(row)
        image[...] = self._images[row].read_from(content)[every]
        place = self._masks[row]
        if mask is not None and place is not None:
            mask[...] = place.read_from(content)[every]

    def mask(self, row: int) -> NDArray[Any] | None:
        """(1, *S) labels of a whole case; None where it has no mask."""
        place = self._masks[row]
        return None if place is None else place.read_from(self._content(row))

    def _content(self, row: int) -> memoryview:
        """The file of a case, compared with its checksums when it is read for the first time."""
        if not self._verified[row]:
            arrays = self._images[row], self._masks[row], self._class_locations[row]
            try:
                verify_checksums(
                    self.paths[row],
                    dict(zip(("image", "mask", LOCATIONS_ROLE), arrays, strict=True)),
                )
            except DamagedError as error:
                raise DamagedError(
                    f"case {self.cases[row]!r}: {error}; type medlight prepare with the same data, "
                    f"and job.check=true, which makes it again"
                ) from error
            self._verified[row] = 1
        return map_file(self.paths[row])


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
