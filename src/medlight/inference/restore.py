"""Bring a prediction home: from the grid the net saw to the grid of the source file."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from medlight.core.grid import Grid

TOLERANCE_VOXELS = 1e-3


def restore(logits: Tensor, grid: Grid, source: Grid) -> NDArray[np.uint8]:
    """(K, *S) logits on `grid` to (*source S) label indices on `source`.

    Where the grids differ only by order and direction of axes and by whole voxels, every voxel
    is carried over exactly; otherwise logits are interpolated linearly before the label is
    chosen. Outside `grid` there is background.
    """
    ndim = grid.ndim
    to_grid = np.linalg.inv(grid.affine) @ source.affine
    matrix, offset = to_grid[:ndim, :ndim], to_grid[:ndim, 3]
    whole = np.rint(matrix), np.rint(offset)
    if (
        np.abs(matrix - whole[0]).max() * max(source.shape) < TOLERANCE_VOXELS
        and np.abs(offset - whole[1]).max() < TOLERANCE_VOXELS
        and np.all(np.abs(whole[0]).sum(axis=0) == 1)
    ):
        labels = logits.argmax(dim=0).to(torch.uint8).cpu().numpy()
        return _carry(labels, whole[0].astype(int), whole[1].astype(int), source.shape)
    return _interpolate(logits, matrix, offset, source.shape)


def _carry(
    labels: NDArray[np.uint8],
    matrix: NDArray[np.int_],
    offset: NDArray[np.int_],
    shape: tuple[int, ...],
) -> NDArray[np.uint8]:
    """Look up `labels` at matrix @ voxel + offset, for a signed permutation."""
    axis_of = np.abs(matrix).argmax(axis=1)
    index, inside = [], []
    for row, axis in enumerate(axis_of):
        place = matrix[row, axis] * np.arange(shape[axis]) + offset[row]
        inside.append((axis, (place >= 0) & (place < labels.shape[row])))
        index.append(np.clip(place, 0, labels.shape[row] - 1))
    carried = labels[np.ix_(*index)].transpose(np.argsort(axis_of))
    for axis, keep in inside:
        carried = carried * keep.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.ascontiguousarray(carried, dtype=np.uint8)


def _interpolate(
    logits: Tensor, matrix: NDArray[np.float64], offset: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """A slab at a time along the first axis, so that memory stays small."""
    sizes = torch.tensor(logits.shape[1:], dtype=torch.float64)
    linear, shift = torch.from_numpy(matrix), torch.from_numpy(offset)
    rest = torch.stack(
        torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape[1:]), indexing="ij"),
        -1,
    )
    whole = logits[None].float()
    labels = np.empty(shape, np.uint8)
    for start in range(shape[0]):
        first = torch.full((*rest.shape[:-1], 1), float(start), dtype=torch.float64)
        place = torch.cat([first, rest], -1) @ linear.T + shift
        inside = ((place > -0.5) & (place < sizes - 0.5)).all(-1)
        unit = ((2 * place + 1) / sizes - 1).flip(-1)[None, None].to(whole)
        values = grid_sample(whole, unit, padding_mode="border", align_corners=False)[0, :, 0]
        labels[start] = (values.argmax(0).cpu() * inside).numpy()
    return labels
