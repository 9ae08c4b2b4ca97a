"""Boxes and points move with the image they lie on. They stay on the host: they are few.

P points, N boxes, n spatial axes; see `medlight.core.annotations` for the frame.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from medlight.augment.spatial_transform import SpatialTransform
from medlight.core.annotations import clip_boxes, clip_points, transform_boxes


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
    """(P, n). Row k stays landmark k: one that leaves the image becomes nan."""
    moved = clip_points(transform.apply_to_points(sample, points.double().numpy()), transform.shape)
    return torch.from_numpy(moved).to(points.dtype)


def transform_box_hulls(
    boxes: Tensor, transform: SpatialTransform, sample: int
) -> tuple[Tensor, Tensor]:
    """The hull of the moved corners, clipped to the image.

    A box whose centre leaves the image is dropped.

    Returns:
        Boxes (N', 2n), and which were kept, (N,) bool.
    """
    flat = boxes.double().numpy().reshape(-1, 2 * len(transform.shape))
    hulls, kept = clip_boxes(
        transform_boxes(flat, partial(transform.apply_to_points, sample)), transform.shape
    )
    return torch.from_numpy(hulls).to(boxes.dtype), torch.from_numpy(kept)
