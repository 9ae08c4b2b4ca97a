"""Boxes and points move with the image they lie on. They stay on the host: they are few.

P points, N boxes, n spatial axes; see `medlight.core.annotations` for the frame.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from medlight.augment.motion import Motion
from medlight.core.annotations import moved_boxes, seen_boxes, seen_points


def carry(batch: Mapping[str, Any], motion: Motion) -> dict[str, list[Tensor]]:
    """New values of `points`, `boxes` and `box_labels`, lists with a tensor for each sample."""
    moved: dict[str, list[Tensor]] = {}
    if "points" in batch:
        moved["points"] = [
            move_points(points, motion, sample) for sample, points in enumerate(batch["points"])
        ]
    if "boxes" in batch:
        pairs = [move_boxes(boxes, motion, sample) for sample, boxes in enumerate(batch["boxes"])]
        moved["boxes"] = [boxes for boxes, _ in pairs]
        if "box_labels" in batch:
            moved["box_labels"] = [
                labels[kept] for labels, (_, kept) in zip(batch["box_labels"], pairs, strict=True)
            ]
    return moved


def move_points(points: Tensor, motion: Motion, sample: int) -> Tensor:
    """(P, n). Row k stays landmark k: one that leaves the image becomes nan."""
    moved = seen_points(motion.follow(sample, points.double().numpy()), motion.shape)
    return torch.from_numpy(moved).to(points.dtype)


def move_boxes(boxes: Tensor, motion: Motion, sample: int) -> tuple[Tensor, Tensor]:
    """The hull of the moved corners, clipped to the image.

    A box whose centre leaves the image is dropped.

    Returns:
        Boxes (N', 2n), and which were kept, (N,) bool.
    """
    flat = boxes.double().numpy().reshape(-1, 2 * len(motion.shape))
    hulls, kept = seen_boxes(moved_boxes(flat, partial(motion.follow, sample)), motion.shape)
    return torch.from_numpy(hulls).to(boxes.dtype), torch.from_numpy(kept)
