"""Where each sample moves: the random part of flips, affine maps and deformations, composed.

B samples, n spatial axes. Known on the host, before any voxel is touched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medlight.core.annotations import clip_boxes, clip_points, transform_boxes

Array = NDArray[np.float64]

FIXED_POINT_STEPS = 30
"""Each brings the error down by the steepness of the displacement, which is well below one."""


@dataclass(frozen=True, kw_only=True)
class SpatialTransform:
    """Output voxel x shows what lay at linear @ (x + d(x)) + shift; x and what it maps to are
    measured from the centre of the image, in voxels.

    Attributes:
        shape: *S of the images.
        spacing_mm: (B, n) of the images; only its ratios matter.
        linear: (B, n, n).
        shift: (B, n).
        control_points: (B, n, K, ..., K) control points of the displacement d, in voxels; see
            `spline`.
        interpolated: (B,) whether voxels must be interpolated; without, the map is a flip at most.
    """

    shape: tuple[int, ...]
    spacing_mm: Array
    linear: Array
    shift: Array
    control_points: Array | None = None
    interpolated: NDArray[np.bool_]

    @classmethod
    def identity(cls, shape: Sequence[int], spacing_mm: Array) -> "SpatialTransform":
        """Nothing moves."""
        count, n = spacing_mm.shape
        return cls(
            shape=tuple(shape),
            spacing_mm=spacing_mm,
            linear=np.tile(np.eye(n), (count, 1, 1)),
            shift=np.zeros((count, n)),
            interpolated=np.zeros(count, np.bool_),
        )

    @property
    def centre(self) -> Array:
        """(n,) voxel index of the centre."""
        return (np.array(self.shape) - 1) / 2

    @property
    def offset(self) -> Array:
        """(B, n): linear @ x + offset, where x and the result are voxel indices."""
        return self.centre + self.shift - self.linear @ self.centre

    def compose(self, linear: Array, shift: Array) -> "SpatialTransform":
        """Follow this motion by a map of the image as it has become.

        Args:
            linear: (B, n, n).
            shift: (B, n) voxels.
        """
        return replace(
            self,
            linear=self.linear @ linear,
            shift=self.shift + np.einsum("bij,bj->bi", self.linear, shift),
        )

    def mirror_axes(self, sample: int) -> tuple[int, ...]:
        """Axes that a sample which is not blended is flipped along."""
        return tuple(int(a) for a in np.flatnonzero(np.diagonal(self.linear[sample]) < 0))

    def apply_to_points(self, sample: int, points: Array) -> Array:
        """Where points (P, n) of the input, in voxel indices, lie in the output.

        The map says where an output voxel comes from, so points take its inverse.
        """
        there = points - self.offset[sample]
        there = np.linalg.solve(self.linear[sample], there.T).T
        if self.control_points is None or not self.control_points[sample].any():
            return there
        found = there
        for _ in range(FIXED_POINT_STEPS):
            found = there - displacement(self.control_points[sample], found, self.shape)
        return found


def spline(places: Array, size: int, cells: int) -> Array:
    """Weights (P, cells + 3) of the uniform cubic B-spline at voxel indices (P,) on an axis of
    `size` voxels, cut into `cells`: the free-form deformation of Rueckert et al. (1999).

    Displacements stay free of folds while control points move less than 0.40 of a cell in 3-D,
    0.48 in 2-D (Choi and Lee 2000).
    """
    u = (places + 0.5) * cells / size
    cell = np.clip(np.floor(u), 0, cells - 1).astype(int)
    t = np.clip(u - cell, 0.0, 1.0)
    basis = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    weights = np.zeros((len(places), cells + 3))
    for k, value in enumerate(basis):
        weights[np.arange(len(places)), cell + k] = value / 6
    return weights


def displacement(control_points: Array, points: Array, shape: Sequence[int]) -> Array:
    """(P, n) displacements at points (P, n) of one sample's control points (n, K, ..., K)."""
    values = control_points[None]
    for axis, size in enumerate(shape):
        weights = spline(points[:, axis], size, control_points.shape[1 + axis] - 3)
        values = np.einsum(
            "pk,pnk...->pn...", weights, np.broadcast_to(values, (len(points), *values.shape[1:]))
        )
    return values


def apply_to_annotations(
    batch: Mapping[str, Any], transform: SpatialTransform
) -> dict[str, list[Tensor]]:
    """New values of `points`, `boxes` and `box_labels`, lists with a tensor for each sample."""
    moved: dict[str, list[Tensor]] = {}
    if "points" in batch:
        moved["points"] = [
            transform_points(points, transform, sample)
            for sample, points in enumerate(batch["points"])
        ]
    if "boxes" in batch:
        pairs = [
            transform_box_hulls(boxes, transform, sample)
            for sample, boxes in enumerate(batch["boxes"])
        ]
        moved["boxes"] = [boxes for boxes, _ in pairs]
        if "box_labels" in batch:
            moved["box_labels"] = [
                labels[kept] for labels, (_, kept) in zip(batch["box_labels"], pairs, strict=True)
            ]
    return moved


def transform_points(points: Tensor, transform: SpatialTransform, sample: int) -> Tensor:
    """Move landmarks. Row k stays landmark k: one that leaves the image becomes nan.

    Args:
        points: (P, n) voxel indices.
        transform: of the batch.
        sample: position in the batch.
    """
    moved = clip_points(transform.apply_to_points(sample, points.double().numpy()), transform.shape)
    return torch.from_numpy(moved).to(points.dtype)


def transform_box_hulls(
    boxes: Tensor, transform: SpatialTransform, sample: int
) -> tuple[Tensor, Tensor]:
    """Move boxes to the hull of their corners, clipped to the image.

    A box whose centre leaves the image is dropped.

    Args:
        boxes: (N, 2n) low and high corners, in voxel indices.
        transform: of the batch.
        sample: position in the batch.

    Returns:
        Boxes (N', 2n), and which were kept, (N,) bool.
    """
    flat = boxes.double().numpy().reshape(-1, 2 * len(transform.shape))
    hulls, kept = clip_boxes(
        transform_boxes(flat, partial(transform.apply_to_points, sample)), transform.shape
    )
    return torch.from_numpy(hulls).to(boxes.dtype), torch.from_numpy(kept)
