"""Labels on a grid whose axes run in other directions: resampling that removed a shear."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from medlight.inference.heads import Head
from medlight.inference.sliding_window import Slabs


def resample_labels(
    slabs: Slabs,
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, ...],
    source_shape: tuple[int, ...],
    head: Head,
) -> NDArray[np.uint8]:
    """(*T) labels of logits interpolated at `matrix` @ voxel + `offset` of a grid of `shape`."""
    parts = [head.center_(part).half() for part in slabs.parts]
    return _sample_by_slab(torch.cat(parts, slabs.axis + 1), matrix, offset, source_shape, head)


def _sample_by_slab(
    logits: Tensor,
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, ...],
    head: Head,
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
        labels[start] = (head.labels(values).cpu() * inside).numpy()
    return labels
