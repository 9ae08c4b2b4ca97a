"""Whether images have one size, where a net needs that, and which size would do."""

import logging

import numpy as np
from numpy.typing import ArrayLike

from medlight.core.errors import ConfigError
from medlight.core.labels import Labels
from medlight.io.store.stored_cases import StoredCases

log = logging.getLogger(__name__)

MULTIPLE = 16
_SEEN_SHARE = 0.25  # of the pixels, below which somebody should know
_SAMPLED = 100


def recommend_size(shapes: ArrayLike, *, most: int) -> tuple[int, ...]:
    """Choose one size for images: their median, in multiples of 16.

    Args:
        shapes: (N, ndim) voxels.
        most: voxels of the longest side; larger ones shrink to that.

    >>> recommend_size([[100, 200], [96, 210], [98, 190]], most=128)
    (64, 128)
    """
    middle = np.median(np.asarray(shapes), axis=0)
    share = min(1.0, most / middle.max())
    return tuple(max(MULTIPLE, int(MULTIPLE * np.rint(n * share / MULTIPLE))) for n in middle)


def check_sizes(stored: StoredCases, labels: Labels, *, whole: bool) -> None:
    """Refuse pictures of several sizes where a batch needs one, and warn where little is seen.

    Args:
        stored: the training cases, at least one.
        labels: of the data set.
        whole: no patches are cut.

    Raises:
        ConfigError: the pictures differ in size.
    """
    shapes = stored.shapes
    if shapes.shape[1] != 2:
        return
    if whole and (shapes != shapes[0]).any():
        low, high = shapes.min(axis=0), shapes.max(axis=0)
        size = ",".join(map(str, recommend_size(shapes, most=512 if labels.per_voxel else 224)))
        patches = "data.patch=auto, which cuts and pads, or " if labels.per_voxel else ""
        raise ConfigError(
            f"the pictures differ in size, from {low[0]} x {low[1]} to {high[0]} x {high[1]} "
            f"pixels, and a batch needs one: type {patches}transforms.size=[{size}]"
        )
    rows = np.unique(np.linspace(0, len(stored) - 1, _SAMPLED).astype(int))
    sources = np.array([stored.grids(int(row))[0].shape for row in rows])
    seen = np.median(shapes[rows].prod(axis=1) / sources.prod(axis=1))
    if seen < _SEEN_SHARE:
        before, after = (
            " x ".join(f"{n:.0f}" for n in np.median(s, axis=0)) for s in (sources, shapes[rows])
        )
        log.warning(
            "The net sees pictures of %s that are %s in their files: %.0f %% of the pixels. "
            "transforms.size chooses another size.",
            after, before, 100 * seen,
        )  # fmt: skip
