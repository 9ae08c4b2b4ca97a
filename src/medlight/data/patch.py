"""How large a patch is and where it is cut, as windows: one slice for each spatial axis."""

from collections.abc import Sequence

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


def choose_patch(
    shape: Sequence[int], patch: Sequence[int], random: np.random.Generator | None
) -> tuple[Window, Window]:
    """What to read of an image, and where that lies in its patch: in the middle of what is too
    large for the image, else all of it. `random` may be None where nothing is to choose."""
    starts = [
        int(random.integers(0, max(n - p, 0) + 1)) if random else 0
        for n, p in zip(shape, patch, strict=True)
    ]
    window = tuple(
        slice(start, min(start + p, n)) for start, p, n in zip(starts, patch, shape, strict=True)
    )
    margins = [max(p - n, 0) // 2 for n, p in zip(shape, patch, strict=True)]
    inside = tuple(
        slice(margin, margin + part.stop - part.start)
        for margin, part in zip(margins, window, strict=True)
    )
    return window, inside


def shape_of(window: Window) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in window)
