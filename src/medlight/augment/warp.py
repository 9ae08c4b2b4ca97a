"""Resampling: values of images and masks at given places.

R samples, C channels, *S spatial axes, n of them. Places are voxel indices, one tensor (R, *S)
for each axis; voxel i has its centre at i.

torch's `grid_sample` has vector code for images and for GPUs. Its code for volumes on a CPU goes
voxel by voxel, several times slower than gathering corners one after another, which keeps whole
numbers whole besides (benchmarks/augment.py). Both give the same values.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

MODES = (("bilinear", "border"), ("nearest", "zeros"))
"""Of the image and of the mask: how to interpolate, and what lies beyond the border."""
EXACT_FLOAT32 = 1 << 24
"""Up to here float32 counts voxels without a gap."""
CPU_CHUNK_VOXELS = 1 << 18
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
    sources, shape = [image] if mask is None else [image, mask], image.shape[2:]
    vectorised = image.ndim == 4 or image.device.type != "cpu"
    interpolate = _grid_sample if vectorised else _gather
    if vectorised:
        # torch counts from -1 to 1 between the outer edges, and axes from the last.
        size = torch.tensor(shape, dtype=linear.dtype, device=linear.device)
        linear, offset = linear * (2 / size[:, None]), (2 * offset + 1) / size - 1
        linear, offset = linear.flip(1), offset.flip(1)
    moved: list[Tensor] = []
    for rows, slab in _chunks(len(image), shape, image.device):
        bent = None if field is None else field[rows, :, slab]
        places = _sampling_positions(linear[rows], offset[rows], shape, slab, bent)
        parts = interpolate([source[rows] for source in sources], places)
        if len(places) == len(image) and places.shape[2:] == shape:
            return [_as(part, source.dtype) for part, source in zip(parts, sources, strict=True)]
        moved = moved or [torch.empty_like(source) for source in sources]
        for whole, part in zip(moved, parts, strict=True):
            whole[rows, :, slab] = _as(part, whole.dtype)
    return moved


def _as(part: Tensor, dtype: torch.dtype) -> Tensor:
    """Whole numbers by way of int32, for which torch has vector code."""
    if part.is_floating_point() and not dtype.is_floating_point:
        part = part.int()
    return part.to(dtype)


def _chunks(
    count: int, shape: Sequence[int], device: torch.device
) -> Iterator[tuple[slice, slice]]:
    """Samples, and slabs of their first axis, small enough for a CPU's cache."""
    most = CPU_CHUNK_VOXELS if device.type == "cpu" else count * math.prod(shape)
    together = max(1, most // math.prod(shape))
    thick = max(1, most // math.prod(shape[1:]))
    for row in range(0, count, together):
        for start in range(0, shape[0], thick):
            yield slice(row, row + together), slice(start, start + thick)


def _sampling_positions(
    linear: Tensor, offset: Tensor, shape: Sequence[int], slab: slice, field: Tensor | None
) -> Tensor:
    """(R, n, slab, ...) places of the output voxels of a slab, axis by axis."""
    n = len(shape)
    axes = [
        torch.arange(size, dtype=linear.dtype, device=linear.device).view(-1, *(1,) * (n - 1 - a))
        for a, size in enumerate(shape)
    ]
    axes[0] = axes[0][slab]
    column = (-1, *(1,) * n)
    places = torch.empty(
        len(linear), n, len(axes[0]), *shape[1:], dtype=linear.dtype, device=linear.device
    )
    for k in range(n):
        place = offset[:, k].view(column)
        for a in range(n - 1):
            place = place + linear[:, k, a].view(column) * axes[a]
        # Only the last of these sums is as large as the slab.
        torch.add(place, linear[:, k, -1].view(column) * axes[-1], out=places[:, k])
        if field is not None:
            for a in range(n):
                places[:, k].addcmul_(linear[:, k, a].view(column), field[:, a])
    return places


def _grid_sample(sources: Sequence[Tensor], places: Tensor) -> list[Tensor]:
    """The image and the mask at places in torch's numbers; (R, C, slab, ...) each."""
    # Each axis lies in one piece, which torch reads as fast as its own order.
    grid = places.movedim(1, -1)
    return [
        grid_sample(source.float(), grid, mode=mode, padding_mode=beyond, align_corners=False)
        for source, (mode, beyond) in zip(sources, MODES, strict=False)
    ]


def _gather(sources: Sequence[Tensor], places: Tensor) -> list[Tensor]:
    """As `_grid_sample`; places are voxel indices, and overwritten."""
    shape, axes = sources[0].shape[2:], places.unbind(1)
    nearest = [_nearest(mask.flatten(2), shape, axes) for mask in sources[1:]]
    return [_linear(sources[0].flatten(2), shape, axes), *nearest]


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


def _linear(voxels: Tensor, shape: Sequence[int], at: Sequence[Tensor]) -> Tensor:
    """(R, C, slab, ...); overwrites the places."""
    # Clamped to just before the last voxel, so that every place has a next one.
    last = [float(np.nextafter(np.float32(n - 1), np.float32(0))) for n in shape]
    at = [p.clamp_(0, end) for p, end in zip(at, last, strict=True)]
    low = [p.floor() for p in at]
    weight = [p.sub_(q).flatten() for p, q in zip(at, low, strict=True)]
    # The lower corner of the cell names all others: they lie at fixed distances behind it.
    steps = [math.prod(shape[a + 1 :]) if n > 1 else 0 for a, n in enumerate(shape)]
    base = _flat(low, shape)
    channels = [_cell(c.float().flatten(), base, steps, weight) for c in voxels.unbind(1)]
    return torch.stack([values.view_as(low[0]) for values in channels], dim=1)


def _cell(voxels: Tensor, base: Tensor, steps: Sequence[int], weight: Sequence[Tensor]) -> Tensor:
    """Interpolate along the first axis between what the other axes give, down to one voxel."""
    if not steps:
        return voxels.index_select(0, base)
    low = _cell(voxels, base, steps[1:], weight[1:])
    high = _cell(voxels[steps[0] :], base, steps[1:], weight[1:])
    return low.lerp_(high, weight[0])


def _nearest(voxels: Tensor, shape: Sequence[int], at: Sequence[Tensor]) -> Tensor:
    """(R, M, slab, ...)."""
    near = [p.round() for p in at]
    inside = [p.clamp(0, size - 1) for p, size in zip(near, shape, strict=True)]
    base = _flat(inside, shape)
    beyond = torch.zeros_like(at[0], dtype=torch.bool)
    for p, q in zip(near, inside, strict=True):
        beyond |= p != q
    channels = [c.flatten().index_select(0, base).view_as(at[0]) for c in voxels.unbind(1)]
    return torch.stack([values.masked_fill_(beyond, 0) for values in channels], dim=1)


def apply_along_axes(rows: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Multiply rows by a matrix along each of their axes.

    Args:
        rows: (R, *S).
        matrices: for each axis (R, new size, size), or (1, ...) for all rows.

    Returns:
        (R, *new sizes).
    """
    for axis, matrix in enumerate(matrices, start=1):
        square = matrix.view(len(matrix), *(1,) * (rows.ndim - 3), *matrix.shape[1:])
        rows = torch.matmul(square, rows.movedim(axis, -2)).movedim(-2, axis)
    return rows.contiguous()
