"""How large a patch is and where it is cut. B of them, n spatial axes; a window is one slice for
each axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlight.io.store.table import Window

AUTO_PATCH_VOXELS = 96**3
"""Largest patch that `patch="auto"` chooses: what trains on a CPU or a small GPU."""
PATCH_MULTIPLE = 8


def auto_patch(shape: NDArray[np.floating]) -> tuple[int, ...]:
    """Round up to multiples of 8, then shorten the longest axis until the patch fits the cap.

    >>> auto_patch(np.array([36.0, 50.0, 35.0]))
    (40, 56, 40)
    """
    patch = [PATCH_MULTIPLE * int(np.ceil(n / PATCH_MULTIPLE)) for n in shape]
    while np.prod(patch) > AUTO_PATCH_VOXELS:
        patch[int(np.argmax(patch))] -= PATCH_MULTIPLE
    return tuple(patch)


Aim = Callable[[int, np.random.Generator], NDArray[np.integer] | None]


@dataclass(frozen=True, slots=True)
class Foreground:
    """Which patches are centred on a voxel of the foreground (Isensee et al. 2021).

    Attributes:
        share: of the draws; they are spread evenly, so that every batch has its part of them.
        ignore: label that is not learnt: every patch is then centred on a voxel that is.
    """

    share: float
    ignore: int | None = None

    def centre(
        self, read: Callable[[], NDArray[np.int32]], draw: int, random: np.random.Generator
    ) -> NDArray[np.int32] | None:
        """A voxel of the foreground, of each label equally often; None where any place will do.

        Args:
            read: what gives the (M, 1 + n) label and position of voxels to choose from; asked
                where there is something to choose.
            draw: place in the epoch's order.
        """
        aimed = int((draw + 1) * self.share) > int(draw * self.share)
        if not aimed and self.ignore is None:
            return None
        marks = read()
        marks = marks[marks[:, 0] != self.ignore] if self.ignore is not None else marks
        found = marks[marks[:, 0] > 0]
        if aimed and len(found):
            labels = np.unique(found[:, 0])
            marks = found[found[:, 0] == labels[random.integers(len(labels))]]
        elif self.ignore is None or not len(marks):
            return None
        voxel: NDArray[np.int32] = marks[random.integers(len(marks)), 1:]
        return voxel


def corners(
    shapes: NDArray[np.int64],
    patch: Sequence[int],
    random: Callable[[int], np.random.Generator],
    aim: Aim | None = None,
) -> NDArray[np.int64]:
    """The first voxel of each patch, in voxels of its case: negative where the patch is larger,
    so that the case lies in its middle.

    Args:
        shapes: (B, n) of the cases.
        random: numbers for the patch with this place in the batch; asked for where there is
            something to choose.
        aim: place in the batch and its numbers to the voxel that its patch is centred on, as far
            as the case reaches; None for anywhere.
    """
    room = shapes - np.array(patch)
    first: NDArray[np.int64] = -(np.maximum(-room, 0) // 2)
    room = np.maximum(room, 0)
    for place in np.flatnonzero(room.any(axis=1)).tolist():
        numbers = random(place)
        centre = None if aim is None else aim(place, numbers)
        first[place] += (
            [int(numbers.integers(0, most + 1)) for most in room[place].tolist()]
            if centre is None
            else np.clip(centre - np.array(patch) // 2, 0, room[place])
        )
    return first


def overlap(
    first: Sequence[int], patch: Sequence[int], shape: Sequence[int]
) -> tuple[Window, Window]:
    """What a case has of the patch that starts at `first`, and where in the patch that lies."""
    ends = [(max(f, 0), min(f + p, n)) for f, p, n in zip(first, patch, shape, strict=True)]
    window = tuple(slice(start, stop) for start, stop in ends)
    inside = tuple(slice(a - f, b - f) for (a, b), f in zip(ends, first, strict=True))
    return window, inside
