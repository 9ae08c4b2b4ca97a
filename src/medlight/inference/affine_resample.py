"""Labels on a grid whose axes run in other directions: resampling that removed a shear."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from medlight.inference.heads import Head


class AffineResampler:
    """Keeps all logits, in half precision, and interpolates them at the end.

    Args:
        axis: along which the parts come.
        matrix, offset: voxel of the source to voxel of the net's grid.
        source_shape: (*T) of the source.
        head: what the channels mean.
    """

    def __init__(
        self,
        axis: int,
        matrix: NDArray[np.float64],
        offset: NDArray[np.float64],
        source_shape: tuple[int, ...],
        head: Head,
    ) -> None:
        self.axis, self.matrix, self.offset = axis, matrix, offset
        self.source_shape, self.head = source_shape, head
        self._parts: list[Tensor] = []

    def add(self, part: Tensor) -> None:
        """Take (K, *S) logits of the next planes; they are centred in place."""
        self._parts.append(self.head.center_(part).half())

    def labels(self) -> NDArray[np.uint8]:
        """(*T) labels, once all parts have come."""
        logits = torch.cat(self._parts, self.axis + 1)
        return _sample_by_slab(logits, self.matrix, self.offset, self.source_shape, self.head)


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
