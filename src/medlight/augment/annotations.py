"""Boxes and points move with the image they lie on. They stay on the host: they are few.

Frame: voxel indices of the image, voxel i centred at i and reaching from i - 0.5 to i + 0.5.
P points, N boxes, n spatial axes.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medlight.augment.motion import Array, Motion


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


def inside(points: Array, shape: Sequence[int]) -> Any:
    """(P,) bool."""
    return ((points >= -0.5) & (points <= np.array(shape) - 0.5)).all(axis=1)


def move_points(points: Tensor, motion: Motion, sample: int) -> Tensor:
    """(P, n). Row k stays landmark k: one that leaves the image becomes nan."""
    moved = motion.follow(sample, points.double().numpy())
    moved[~inside(moved, motion.shape)] = np.nan
    return torch.from_numpy(moved).to(points.dtype)


def move_boxes(boxes: Tensor, motion: Motion, sample: int) -> tuple[Tensor, Tensor]:
    """The hull of the moved corners, clipped to the image.

    A box (low corner, high corner) whose centre leaves the image is dropped.

    Returns:
        Boxes (N', 2n), and which were kept, (N,) bool.
    """
    n = len(motion.shape)
    ends = boxes.double().numpy().reshape(-1, 2, n)
    picks = np.array(list(product((0, 1), repeat=n)))
    corners = ends[:, picks, np.arange(n)]  # (N, 2^n, n)
    moved = motion.follow(sample, corners.reshape(-1, n)).reshape(corners.shape)
    low, high = moved.min(axis=1), moved.max(axis=1)
    kept = inside((low + high) / 2, motion.shape)
    edge = np.array(motion.shape) - 0.5
    hull = np.concatenate([low.clip(-0.5, edge), high.clip(-0.5, edge)], axis=1)[kept]
    return torch.from_numpy(hull).to(boxes.dtype), torch.from_numpy(kept)
