"""Flips and affine maps of a batch: image and mask move together."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from medlight.augment.random import Draws

MODES: Mapping[str, tuple[str, str]] = {
    "image": ("bilinear", "border"),
    "mask": ("nearest", "zeros"),
}
"""For each key that moves: interpolation, and what lies outside."""


def flip(
    batch: dict[str, Tensor], draws: Draws, probability: float, axes: Sequence[int]
) -> dict[str, Tensor]:
    """Mirror each of these spatial axes of each sample with this probability."""
    moved = {key: batch[key].clone() for key in MODES.keys() & batch.keys()}
    for axis in axes:
        chosen = draws.chance(probability)
        for value in moved.values():
            value[chosen] = value[chosen].flip(2 + axis)
    return {**batch, **moved}


def affine(batch: dict[str, Tensor], matrices: Tensor, chosen: Tensor) -> dict[str, Tensor]:
    """Resample the chosen samples: output voxel x, measured from the centre in voxels, is taken
    from matrices[b, :, :n] @ x + matrices[b, :, n].

    Args:
        matrices: (B, n, n + 1) for n spatial axes, in the order of the image's axes.
        chosen: (B,) bool.
    """
    if not bool(chosen.any()):
        return batch
    shape = batch["image"].shape[2:]
    theta = _normalised(matrices[chosen], shape)
    grid = affine_grid(theta, [len(theta), 1, *shape], align_corners=False)
    moved = dict(batch)
    for key, (mode, outside) in MODES.items():
        if key not in batch:
            continue
        some = batch[key][chosen]
        sampled = grid_sample(
            some.float(), grid, mode=mode, padding_mode=outside, align_corners=False
        )
        moved[key] = batch[key].clone()
        moved[key][chosen] = sampled.to(batch[key].dtype)
    return moved


def _normalised(matrices: Tensor, shape: Sequence[int]) -> Tensor:
    """Voxel matrices to torch's: axes reversed, each in units of half its size."""
    half = torch.tensor(list(shape), dtype=matrices.dtype, device=matrices.device) / 2
    linear = matrices[:, :, :-1] * half[None, None, :] / half[None, :, None]
    shift = matrices[:, :, -1] / half
    return torch.cat([linear.flip(1, 2), shift.flip(1)[:, :, None]], dim=2)


def random_affine(
    draws: Draws, shape: Sequence[int], *, rotate_degrees: float, scale: float, shift: float
) -> Tensor:
    """(B, n, n + 1) matrices: rotation by up to `rotate_degrees` about each axis, zoom by up to
    1 + `scale` or its inverse, shift by up to `shift` of the image's size along each axis."""
    n = len(shape)
    angles = draws.between(-rotate_degrees, rotate_degrees, 1 if n == 2 else 3) * (math.pi / 180)
    zoom = torch.exp(draws.between(-1, 1) * math.log1p(scale))
    linear = torch.eye(n, device=zoom.device).expand(len(zoom), n, n)
    planes = [(0, 1)] if n == 2 else [(1, 2), (0, 2), (0, 1)]
    for k, (a, b) in enumerate(planes):
        turn = torch.eye(n, device=zoom.device).repeat(len(zoom), 1, 1)
        cosine, sine = torch.cos(angles[:, k]), torch.sin(angles[:, k])
        turn[:, a, a], turn[:, a, b] = cosine, -sine
        turn[:, b, a], turn[:, b, b] = sine, cosine
        linear = linear @ turn
    size = torch.tensor(list(shape), device=zoom.device, dtype=zoom.dtype)
    offset = draws.between(-shift, shift, n) * size
    return torch.cat([linear * zoom[:, None, None], offset[:, :, None]], dim=2)
