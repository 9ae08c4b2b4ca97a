"""Resampling: values of images and masks at given places.

R samples, C channels, *S spatial axes, n of them. Places are voxel indices, one tensor (R, *S)
for each axis; voxel i has its centre at i.

torch's `grid_sample` does the same, six times slower on a CPU (benchmarks/augment.py): its 3-D
kernels go point by point, and masks must become floats. Here, every step is one pass over all
voxels, image and mask share their places, and whole numbers stay whole.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

EXACT_FLOAT32 = 1 << 24
"""Up to here float32 counts voxels without a gap."""
PIECE = 1 << 17
"""Voxels to work on at a time on a CPU: few enough for its cache, and to reuse memory."""


def warp(
    image: Tensor, mask: Tensor | None, linear: Tensor, offset: Tensor, field: Tensor | None = None
) -> list[Tensor]:
    """Output voxel x shows what lay at linear @ (x + field(x)) + offset, in voxel indices.

    The image by linear interpolation, beyond its border as at its border; the mask, where there
    is one, by nearest neighbour, 0 beyond its border.

    Args:
        image: (R, C, *S).
        mask: (R, M, *S).
        linear: (R, n, n) float32.
        offset: (R, n) float32.
        field: (R, n, *S) float32 displacements.
    """
    shape = image.shape[2:]
    moved = [torch.empty_like(image)]
    if mask is not None:
        moved.append(torch.empty_like(mask))
        # A frame of zeros, where all places beyond the border end up.
        framed = pad(mask, (1, 1) * len(shape)).flatten(2)
    for rows, slab in _pieces(len(image), shape, image.device):
        bend = None if field is None else field[rows, :, slab]
        at = _places(linear[rows], offset[rows], shape, slab, bend)
        if mask is not None:
            _nearest(framed[rows], shape, at, moved[1][rows, :, slab])
        _linear(image[rows].flatten(2), shape, at, moved[0][rows, :, slab])
    return moved


def _pieces(
    count: int, shape: Sequence[int], device: torch.device
) -> Iterator[tuple[slice, slice]]:
    """Samples, and slabs of their first axis, small enough for a CPU's cache."""
    most = PIECE if device.type == "cpu" else count * math.prod(shape)
    together = max(1, most // math.prod(shape))
    thick = max(1, most // math.prod(shape[1:]))
    for row in range(0, count, together):
        for start in range(0, shape[0], thick):
            yield slice(row, row + together), slice(start, start + thick)


def _places(
    linear: Tensor, offset: Tensor, shape: Sequence[int], slab: slice, field: Tensor | None
) -> list[Tensor]:
    """For each axis, (R, slab, ...) places of the output voxels of a slab."""
    n = len(shape)
    axes = [
        torch.arange(size, dtype=linear.dtype, device=linear.device).view(-1, *(1,) * (n - 1 - a))
        for a, size in enumerate(shape)
    ]
    axes[0] = axes[0][slab]
    column = (-1, *(1,) * n)
    found = []
    for k in range(n):
        place = offset[:, k].view(column)
        for a in range(n):
            place = place + linear[:, k, a].view(column) * axes[a]
        if field is not None:
            for a in range(n):
                place.addcmul_(linear[:, k, a].view(column), field[:, a])
        found.append(place)
    return found


def _flat(corner: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """Where these voxels lie when all samples are laid end to end; (R * slab,) int64."""
    count = len(corner[0])
    index = corner[0]
    if count * math.prod(shape) > EXACT_FLOAT32:
        index = index.double()
    if count > 1:
        first = torch.arange(0, count * shape[0], shape[0], device=index.device)
        index = index + first.view(-1, *(1,) * len(shape))
    for axis, size in zip(corner[1:], shape[1:], strict=True):
        index = torch.add(axis, index, alpha=size)
    return index.long().flatten()


def _linear(voxels: Tensor, shape: Sequence[int], at: Sequence[Tensor], out: Tensor) -> None:
    """Fills `out` (R, C, slab, ...) and overwrites the places."""
    # Clamped to just before the last voxel, so that every place has a next one.
    last = [float(np.nextafter(np.float32(n - 1), np.float32(0))) for n in shape]
    at = [p.clamp_(0, end) for p, end in zip(at, last, strict=True)]
    low = [p.floor() for p in at]
    weight = [p.sub_(q).flatten() for p, q in zip(at, low, strict=True)]
    # The lower corner of the cell names all others: they lie at fixed distances behind it.
    steps = [math.prod(shape[a + 1 :]) if n > 1 else 0 for a, n in enumerate(shape)]
    base = _flat(low, shape)
    for c, channel in enumerate(voxels.unbind(1)):
        values = _cell(channel.float().flatten(), base, steps, weight)
        out[:, c] = values.view_as(low[0])


def _cell(voxels: Tensor, base: Tensor, steps: Sequence[int], weight: Sequence[Tensor]) -> Tensor:
    """Interpolate along the first axis between what the other axes give, down to one voxel."""
    if not steps:
        return voxels.index_select(0, base)
    low = _cell(voxels, base, steps[1:], weight[1:])
    high = _cell(voxels[steps[0] :], base, steps[1:], weight[1:])
    return low.lerp_(high, weight[0])


def _nearest(framed: Tensor, shape: Sequence[int], at: Sequence[Tensor], out: Tensor) -> None:
    """Fills `out` (R, M, slab, ...)."""
    corner = [(p + 1).round_().clamp_(0, size + 1) for p, size in zip(at, shape, strict=True)]
    base = _flat(corner, [size + 2 for size in shape])
    for c, channel in enumerate(framed.unbind(1)):
        out[:, c] = channel.flatten().index_select(0, base).view_as(at[0])


def along_axes(rows: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Multiply each spatial axis of rows (R, *S) by its matrix (R or 1, out, in): (R, *out)."""
    for axis, matrix in enumerate(matrices, start=1):
        square = matrix.view(len(matrix), *(1,) * (rows.ndim - 3), *matrix.shape[1:])
        rows = torch.matmul(square, rows.movedim(axis, -2)).movedim(-2, axis)
    return rows.contiguous()
