"""Motions carried out, on the device of the images: exactly where they only flip, by one
interpolation where they do more."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medlight.augment.motion import Array, Motion, spline
from medlight.augment.warp import along_axes, warp


def move(batch: Mapping[str, Tensor], motion: Motion) -> dict[str, Tensor]:
    """Image and mask of each sample, moved together: their new values."""
    moved = {key: batch[key] for key in ("image", "mask") if batch.get(key) is not None}
    flips: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for sample in np.flatnonzero(~motion.blended).tolist():
        flips[motion.mirrored(sample)].append(sample)
    flips.pop((), None)
    blended = np.flatnonzero(motion.blended)
    if len(blended) == len(motion.blended):
        return _blend(moved, motion, blended)
    if flips or len(blended):
        moved = {key: value.clone() for key, value in moved.items()}
    for axes, samples in flips.items():
        for value in moved.values():
            value[samples] = value[samples].flip([2 + axis for axis in axes])
    if len(blended):
        rows = torch.from_numpy(blended).to(batch["image"].device)
        some = {key: batch[key].index_select(0, rows) for key in moved}
        for key, value in _blend(some, motion, blended).items():
            moved[key].index_copy_(0, rows, value)
    return moved


def _blend(some: dict[str, Tensor], motion: Motion, samples: Any) -> dict[str, Tensor]:
    device = some["image"].device
    linear = torch.from_numpy(motion.linear[samples]).float().to(device)
    offset = torch.from_numpy(motion.offset[samples]).float().to(device)
    field = None
    if motion.control is not None and motion.control[samples].any():
        field = _field(motion.control[samples], motion.shape, device)
    values = warp(some["image"], some.get("mask"), linear, offset, field)
    return dict(zip(some, values, strict=True))


def _field(control: Array, shape: Sequence[int], device: torch.device) -> Tensor:
    """(R, n, *S) displacements of every voxel."""
    count, n = control.shape[:2]
    basis = [
        torch.from_numpy(spline(np.arange(float(size)), size, cells - 3)).float().to(device)[None]
        for size, cells in zip(shape, control.shape[2:], strict=True)
    ]
    rows = torch.from_numpy(control.reshape(count * n, *control.shape[2:])).float().to(device)
    return along_axes(rows, basis).view(count, n, *shape)
