"""A perceptual hash: images that look alike have hashes that differ in few bits.

Blind to brightness, contrast, resolution, noise and, in 3-D, to the order in which axes are stored.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medlight.core.grid import Grid

THUMBNAIL_CELLS = {2: 16, 3: 8}
"""Cells along each axis of the thumbnail that is compared."""
N_FREQUENCIES = {2: 8, 3: 4}
"""Frequencies along each axis that the hash keeps: 64 in both cases."""
HASH_BITS = 64


def thumbnail(values: NDArray[np.generic], grid: Grid) -> NDArray[np.float32]:
    """(cells, ...) block means of an (*S) or (*S, C) array, first channel, without mean and of
    unit length; volumes turned to R, A, S. Zeros where the image is constant."""
    thumb = np.asarray(values if values.ndim == grid.ndim else values[..., 0])
    cells = THUMBNAIL_CELLS[thumb.ndim]
    if thumb.ndim == 3:  # before anything is rounded, so that no turn shows
        axes = grid.axes
        thumb = np.transpose(thumb, np.argsort(axes[:, 0]))
        thumb = np.flip(thumb, tuple(world for world, sign in axes.tolist() if sign < 0))
    for axis, size in enumerate(thumb.shape):
        starts, widths = _blocks(size, cells)
        thumb = np.add.reduceat(thumb, starts, axis=axis, dtype=np.float32)
        thumb /= widths.reshape([-1 if k == axis else 1 for k in range(thumb.ndim)])
    thumb = np.nan_to_num(thumb - thumb.mean(), posinf=0, neginf=0)
    length = float(np.linalg.norm(thumb))
    if length < 1e-3 * cells:
        return np.zeros(thumb.shape, np.float32)
    return np.ascontiguousarray(thumb / length, dtype=np.float32)


def perceptual_hash(thumb: NDArray[np.float32]) -> int:
    """64 bits of a thumbnail: which of its low frequencies (DCT-II) are above their median."""
    low = thumb
    transform = _dct(thumb.shape[0], N_FREQUENCIES[thumb.ndim])
    for _ in range(thumb.ndim):  # the axis in front is transformed and goes to the back
        low = np.tensordot(low, transform, axes=(0, 1))
    flat = low.ravel()[1:]  # without the mean
    return int.from_bytes(np.packbits(flat > np.median(flat)).tobytes(), "big")


@lru_cache(maxsize=1024)
def _blocks(size: int, cells: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Where each cell starts, and its width; a cell repeats a voxel where there are too few."""
    edges = np.linspace(0, size, cells + 1).astype(np.intp)
    return edges[:-1], np.maximum(np.diff(edges), 1).astype(np.float32)


@lru_cache(maxsize=4)
def _dct(cells: int, low: int) -> NDArray[np.float32]:
    """(low, cells): the first rows of the DCT-II."""
    k, n = np.arange(low)[:, None], np.arange(cells)[None, :]
    return np.cos(np.pi * k * (2 * n + 1) / (2 * cells)).astype(np.float32)
