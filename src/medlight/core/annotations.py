"""Boxes and points, as arithmetic. N boxes, P points, n spatial axes.

Frame: voxel indices of the image, voxel i centred at i and reaching from i - 0.5 to i + 0.5.
Boxes are a low corner and a high corner.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from medlight.core.grid import Grid

Array = NDArray[np.float64]


def in_bounds(points: Array, shape: Sequence[int]) -> NDArray[np.bool_]:
    """(P,) whether they lie in an image of this shape; nan does not."""
    within = (points >= -0.5) & (points <= np.array(shape) - 0.5)
    found: NDArray[np.bool_] = np.asarray(within.all(axis=1), np.bool_)
    return found


def clip_points(points: Array, shape: Sequence[int]) -> Array:
    """(P, n). Row k stays landmark k: one outside of the image is nan."""
    return np.where(in_bounds(points, shape)[:, None], points, np.nan)


def clip_boxes(boxes: Array, shape: Sequence[int]) -> tuple[Array, NDArray[np.bool_]]:
    """Boxes clipped to the image; one whose centre lies outside is dropped.

    Returns:
        (N', 2n), and which were kept, (N,) bool.
    """
    low, high = np.split(boxes, 2, axis=1)
    kept = in_bounds((low + high) / 2, shape)
    edge = np.array(shape) - 0.5
    return np.concatenate([low.clip(-0.5, edge), high.clip(-0.5, edge)], axis=1)[kept], kept


def transform_boxes(boxes: Array, move: Callable[[Array], Array]) -> Array:
    """(N, 2n) hulls of the corners, moved as points are: (M, n) to (M, n)."""
    n = boxes.shape[1] // 2
    ends = boxes.reshape(-1, 2, n)
    picks = np.array(list(product((0, 1), repeat=n)))
    corners = ends[:, picks, np.arange(n)]  # (N, 2^n, n)
    moved = move(corners.reshape(-1, n)).reshape(corners.shape)
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)


def points_to_grid(points: Array, old: Grid, new: Grid) -> Array:
    """(P, n) voxel indices of one grid as those of another."""
    flat = np.zeros((len(points), 3 - old.ndim))  # a picture lies in the plane of its axes
    moved = new.to_voxel(old.to_world(np.concatenate([points, flat], axis=1)))
    return moved[:, : new.ndim]
