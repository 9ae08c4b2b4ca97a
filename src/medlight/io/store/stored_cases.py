"""Stored cases as one table: columns in memory, voxels on the disk.

Shapes: N cases, C channels, *S spatial axes.
"""

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
    map_file,
    read_case_header,
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
                raise DataError(
                    f"case {case!r}: its image has the shape {image.shape} (channels first), but "
                    f"that of {self.cases[0]!r} has {images[0].shape}; leave one of them out"
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

    def __len__(self) -> int:
        return len(self.cases)

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
        found: NDArray[np.int32] = place.read_from(map_file(self.paths[row]))
        return found

    def grids(self, row: int) -> tuple[Grid, Grid]:
        """Of the source file, and of the image."""
        return read_case_header(self.paths[row]).grids

    def read(
        self, row: int, window: Slices, image: NDArray[Any], mask: NDArray[Any] | None
    ) -> None:
        """Copy part of a case, in the units it is stored in, to arrays of any type.

        Args:
            window: a slice for each spatial axis; nothing outside of it is read.
            image: (C, *S of the window).
            mask: (1, *S of the window), or None to leave it.
        """
        every = (slice(None), *window)
        content = map_file(self.paths[row])
        image[...] = self._images[row].read_from(content)[every]
        place = self._masks[row]
        if mask is not None and place is not None:
            mask[...] = place.read_from(content)[every]
