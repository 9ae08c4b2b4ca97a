"""How large a patch is and where it is cut. B of them, n spatial axes; a window is one slice for
each axis."""

from collections.abc import Callable, Sequence

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


def corners(
    shapes: NDArray[np.int64], patch: Sequence[int], random: Callable[[int], np.random.Generator]
) -> NDArray[np.int64]:
    """The first voxel of each patch, in voxels of its case: negative where the patch is larger,
    so that the case lies in its middle.

    Args:
        shapes: (B, n) of the cases.
        random: numbers for the patch with this place in the batch; asked for where there is
            something to choose.
    """
    room = shapes - np.array(patch)
    first: NDArray[np.int64] = -(np.maximum(-room, 0) // 2)
    room = np.maximum(room, 0)
    for place in np.flatnonzero(room.any(axis=1)).tolist():
        numbers = random(place)
        first[place] += [int(numbers.integers(0, most + 1)) for most in room[place].tolist()]
    return first


def overlap(
    first: Sequence[int], patch: Sequence[int], shape: Sequence[int]
) -> tuple[Window, Window]:
    """What a case has of the patch that starts at `first`, and where in the patch that lies."""
    ends = [(max(f, 0), min(f + p, n)) for f, p, n in zip(first, patch, shape, strict=True)]
    window = tuple(slice(start, stop) for start, stop in ends)
    inside = tuple(slice(a - f, b - f) for (a, b), f in zip(ends, first, strict=True))
    return window, inside
