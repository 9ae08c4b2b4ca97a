"""Bring a prediction home: from the grid the net saw to the grid of the source file.

Shapes: K classes, *S spatial axes of the net's grid, *T those of the source.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medlight.core.grid import Grid
from medlight.inference.along import Along, Plane, labels_between
from medlight.inference.heads import Exclusive, Head
from medlight.inference.oblique import labels_through
from medlight.inference.sliding_window import Slabs

TOLERANCE_VOXELS = 1e-3


@dataclass(slots=True, eq=False)
class Restored:
    """A prediction on the grid of its source.

    Attributes:
        labels: (*T) uint8.
        probabilities: (K, *T) float32 in [0, 1]; outside the net's grid there is background.
        entropy: (*T) float32 of the probabilities, as a share of the largest there can be.
        disagreement: (*T) float32, what single answers disagree about, as a share of the same.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None = None
    entropy: NDArray[np.float32] | None = None
    disagreement: NDArray[np.float32] | None = None


def restore(logits: Tensor, grid: Grid, source: Grid) -> NDArray[np.uint8]:
    """(K, *S) logits on `grid` to (*T) label indices on `source`.

    Where the grids differ only by order and direction of axes and by whole voxels, every voxel
    is carried over exactly; otherwise logits are interpolated linearly before the label is
    chosen. Outside `grid` there is background.
    """
    return restored(Slabs(0, iter([logits])), grid, source).labels


def restored(
    slabs: Slabs,
    grid: Grid,
    source: Grid,
    *,
    probabilities: bool = False,
    uncertainty: bool = False,
    spread: bool = False,
    head: Head = Exclusive(),  # noqa: B008  # it is frozen
) -> Restored:
    """The same of logits that come part by part; no more than two planes are kept of them.

    Args:
        probabilities, uncertainty: what to tell beside the labels.
        spread: the last channel is no class but the mean entropy of single answers; see
            `medlight.inference.ensemble.combined`.
        head: what the other channels mean.

    Only where the axes of the two grids are not parallel, all logits are kept, in half precision.
    """
    ndim = grid.ndim
    to_grid = np.linalg.inv(grid.affine) @ source.affine
    matrix, offset = to_grid[:ndim, :ndim], to_grid[:ndim, 3]
    axis_of = np.abs(matrix).argmax(axis=1)
    scale = matrix[np.arange(ndim), axis_of]
    rest = matrix.copy()
    rest[np.arange(ndim), axis_of] = 0
    parallel = len(set(axis_of)) == ndim
    if not parallel or np.abs(rest).max() * max(source.shape) >= TOLERANCE_VOXELS:
        if probabilities or uncertainty:
            raise ValueError("probabilities need axes that are parallel to those of the source")
        return Restored(labels_through(slabs, matrix, offset, grid.shape, source.shape, head))
    steps = [
        Along.of(source.shape[axis], grid.shape[k], scale[k], offset[k], TOLERANCE_VOXELS)
        for k, axis in enumerate(axis_of)
    ]
    home = _Home(slabs.axis, steps, head, probabilities=probabilities, uncertainty=uncertainty)
    for part in slabs.parts:
        home.add(part, spread=spread)
    return home.finish(np.argsort(axis_of))


class _Home:
    """Source planes as soon as the planes of the net's grid beside them are there.

    Volumes are held as (stream, first other, second other) axes of the net's grid; an image has a
    second other axis of one voxel.
    """

    def __init__(
        self, axis: int, steps: list[Along], head: Head, *, probabilities: bool, uncertainty: bool
    ) -> None:
        self.axis, self.ndim, self.head = axis, len(steps), head
        if self.ndim == 2:
            steps = [*steps, Along.of(1, 1, 1.0, 0.0, TOLERANCE_VOXELS)]
        self.order = [axis, *(a for a in range(3) if a != axis)]
        self.stream, self.first, self.second = (steps[a] for a in self.order)
        shape = tuple(len(steps[a]) for a in self.order)
        self.labels = np.zeros(shape, np.uint8)
        self.shape, self.probabilities, self.uncertainty = shape, probabilities, uncertainty
        self.extras: dict[str, NDArray[np.float32]] = {}
        self.todo = iter(np.lexsort((self.stream.below, self.stream.above)).tolist())
        self.next = next(self.todo, None)
        self.have = 0
        self.last: Plane | None = None

    def add(self, part: Tensor, *, spread: bool) -> None:
        """Take (K, *S) with the next planes along the axis."""
        part = part[..., None] if self.ndim == 2 else part
        planes = part.permute(0, *(a + 1 for a in self.order))
        begin, self.have = self.have, self.have + planes.shape[1]
        classes = planes.shape[0] - int(spread)
        ready = {} if self.last is None else {begin - 1: self.last}

        def plane(i: int) -> Plane:
            if i not in ready:
                values = planes[:, i - begin].contiguous()
                ready[i] = Plane(values, classes, self.first, self.second, self.head)
            return ready[i]

        while self.next is not None and self.stream.above[self.next] < self.have:
            if self.stream.inside[self.next]:
                low, high = (int(s[self.next]) for s in (self.stream.below, self.stream.above))
                self._plane(plane(low), plane(high))
                for old in [i for i in ready if i < low]:
                    del ready[old]
            self.next = next(self.todo, None)
        values = planes[:, -1].clone()  # the part itself is overwritten
        self.last = Plane(values, classes, self.first, self.second, self.head)

    def _plane(self, low: Plane, high: Plane) -> None:
        row = self.next
        weight = float(self.stream.weight[row])
        inside = self.first.inside[:, None] & self.second.inside
        if not (self.probabilities or self.uncertainty):
            self.labels[row] = labels_between(low, high, weight).cpu().numpy() * inside
            return
        values = torch.lerp(low.spread, high.spread, weight) if weight else low.spread
        classes = len(low.logits)
        logits, head = values[:classes], self.head
        self.labels[row] = head.labels(logits).cpu().numpy() * inside
        told = {}
        if self.probabilities:
            told["probabilities"] = head.probabilities(logits)
        if self.uncertainty:
            most = head.most(classes)
            told["entropy"] = head.entropy(head.logs(logits)) / most
            if len(values) > classes:
                told["disagreement"] = told["entropy"] - values[classes] / most
        for name, extra in told.items():
            if name not in self.extras:
                self.extras[name] = np.zeros((*extra.shape[:-2], *self.shape), np.float32)
                if name == "probabilities":
                    self.extras[name].T[:] = head.outside(classes)
            target = self.extras[name][..., row, :, :]
            np.copyto(target, extra.clamp_(0, 1).cpu().numpy(), where=inside)

    def finish(self, home: NDArray[np.int_]) -> Restored:
        """Turn what was gathered to the axes of the source: its axis s is axis home[s] here."""

        def turned(volume: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.float32]:
            lead = volume.ndim - 3
            volume = volume.transpose(*range(lead), *(lead + a for a in np.argsort(self.order)))
            volume = volume[..., 0] if self.ndim == 2 else volume
            turn = (*range(lead), *(lead + int(a) for a in home))
            return np.ascontiguousarray(volume.transpose(turn))

        extras = {name: turned(volume) for name, volume in self.extras.items()}
        return Restored(turned(self.labels).astype(np.uint8, copy=False), **extras)
