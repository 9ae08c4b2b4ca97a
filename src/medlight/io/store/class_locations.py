"""Voxels of each label, drawn once from a mask, so that training can aim patches at them without
searching the mask.

Shapes: *S spatial axes, n of them.
"""

import numpy as np
from numpy.typing import NDArray

MAX_PER_CLASS = 256
"""Voxels of one label that are kept, at most: 4 kB."""
_TRIES = 16 * MAX_PER_CLASS


def class_locations(mask: NDArray[np.integer]) -> NDArray[np.int32]:
    """A random choice of the voxels of every label, the same each time.

    Args:
        mask: (1, *S).

    Returns:
        (M, 1 + n): label and position, ordered by label. Of the background, which nearly every
        voxel belongs to, only a few random voxels are asked; a crowded mask may give none.
    """
    labels, random = mask[0], np.random.default_rng(0)
    places = np.flatnonzero(labels)
    values = labels.reshape(-1)[places]
    chosen = [_background(labels, random)]
    for label in np.unique(values):
        own = places[values == label]
        chosen.append(
            random.choice(own, MAX_PER_CLASS, replace=False) if len(own) > MAX_PER_CLASS else own
        )
    every = np.concatenate(chosen)
    positions = np.stack(np.unravel_index(every, labels.shape), axis=1)
    return np.column_stack([labels.reshape(-1)[every], positions]).astype(np.int32)


def _background(labels: NDArray[np.integer], random: np.random.Generator) -> NDArray[np.int64]:
    tried = random.integers(0, labels.size, _TRIES)
    background: NDArray[np.int64] = np.unique(tried[labels.reshape(-1)[tried] == 0])
    return random.permutation(background)[:MAX_PER_CLASS]
