"""Resample a prediction from the grid the net saw to the grid of the source file.

Shapes: K classes, *S spatial axes of the net's grid, *T those of the source.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from medlight.core.grid import Grid
from medlight.inference.axis_resample import AxisInterp, LogitPlane, interpolate_labels
from medlight.inference.heads import Head, SoftmaxHead, entropy
from medlight.inference.sliding_window import Slabs

TOLERANCE_VOXELS = 1e-3


@dataclass(slots=True, eq=False)
class SourcePrediction:
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


def resample_to_source(
    slabs: Slabs,
    grid: Grid,
    source: Grid,
    *,
    probabilities: bool = False,
    uncertainty: bool = False,
    with_entropy: bool = False,
    head: Head = SoftmaxHead(),  # noqa: B008  # it is frozen
) -> SourcePrediction:
    """Logits that come part by part on the grid of their source; see `SourceResampler`."""
    resampler = SourceResampler(
        slabs.axis, grid, source, head,
        probabilities=probabilities, uncertainty=uncertainty, with_entropy=with_entropy,
    )  # fmt: skip
    for part in slabs.parts:
        resampler.add(part)
    return resampler.finish()


class SourceResampler:
    """Logits that come part by part on the grid of their source; at most two planes are kept.

    Only if the axes of the two grids are not parallel, all logits are kept, in half precision.

    Args:
        axis: spatial axis along which the parts come.
        grid, source: of the logits, and of the result.
        head: what the channels mean.
        probabilities, uncertainty: what to give beside the labels.
        with_entropy: the last channel is no class but the mean entropy of single answers; see
            `medlight.inference.ensemble.ensemble_predictor`.

    Raises:
        ValueError: probabilities were asked for, and the axes are not parallel.
    """

    def __init__(
        self,
        axis: int,
        grid: Grid,
        source: Grid,
        head: Head = SoftmaxHead(),  # noqa: B008  # it is frozen
        *,
        probabilities: bool = False,
        uncertainty: bool = False,
        with_entropy: bool = False,
    ) -> None:
        ndim = grid.ndim
        to_grid = np.linalg.inv(grid.affine) @ source.affine
        matrix, offset = to_grid[:ndim, :ndim], to_grid[:ndim, 3]
        self._axis_of = np.abs(matrix).argmax(axis=1)
        scale = matrix[np.arange(ndim), self._axis_of]
        rest = matrix.copy()
        rest[np.arange(ndim), self._axis_of] = 0
        parallel = len(set(self._axis_of)) == ndim
        self._with_entropy = with_entropy
        self._by_plane: _SlabResampler | None = None
        self._whole: AffineResampler | None = None
        if not parallel or np.abs(rest).max() * max(source.shape) >= TOLERANCE_VOXELS:
            if probabilities or uncertainty:
                raise ValueError(
                    "probabilities need axes that are parallel to those of the source, but this "
                    "header is sheared, or oblique to the net's grid; type probabilities=false "
                    "uncertainty=false for the mask alone"
                )
            self._whole = AffineResampler(axis, matrix, offset, source.shape, head)
            return
        interps = [
            AxisInterp.from_affine(
                source.shape[axis], grid.shape[k], scale[k], offset[k], TOLERANCE_VOXELS
            )
            for k, axis in enumerate(self._axis_of)
        ]
        self._by_plane = _SlabResampler(
            axis, interps, head, probabilities=probabilities, uncertainty=uncertainty
        )

    def add(self, part: Tensor) -> None:
        """Take (K, *S) logits of the next planes."""
        if self._by_plane is not None:
            self._by_plane.add(part, with_entropy=self._with_entropy)
        elif self._whole is not None:
            self._whole.add(part)

    def finish(self) -> SourcePrediction:
        """The prediction, once all parts have come."""
        if self._by_plane is not None:
            return self._by_plane.finish(np.argsort(self._axis_of))
        assert self._whole is not None
        return SourcePrediction(self._whole.labels())


class _SlabResampler:
    """Source planes as soon as the planes of the net's grid beside them are there.

    Volumes are held as (stream, first other, second other) axes of the net's grid; an image has a
    second other axis of one voxel.
    """

    def __init__(
        self,
        axis: int,
        interps: list[AxisInterp],
        head: Head,
        *,
        probabilities: bool,
        uncertainty: bool,
    ) -> None:
        self.axis, self.ndim, self.head = axis, len(interps), head
        if self.ndim == 2:
            interps = [*interps, AxisInterp.from_affine(1, 1, 1.0, 0.0, TOLERANCE_VOXELS)]
        self.order = [axis, *(a for a in range(3) if a != axis)]
        self.stream, self.first, self.second = (interps[a] for a in self.order)
        shape = tuple(len(interps[a]) for a in self.order)
        self.labels = np.zeros(shape, np.uint8)
        self.shape, self.probabilities, self.uncertainty = shape, probabilities, uncertainty
        self.extras: dict[str, NDArray[np.float32]] = {}
        self.todo = iter(np.lexsort((self.stream.below, self.stream.above)).tolist())
        self.next = next(self.todo, None)
        self.have = 0
        self.last: LogitPlane | None = None

    def add(self, part: Tensor, *, with_entropy: bool) -> None:
        """Take (K, *S) with the next planes along the axis."""
        part = part[..., None] if self.ndim == 2 else part
        planes = part.permute(0, *(a + 1 for a in self.order))
        begin, self.have = self.have, self.have + planes.shape[1]
        classes = planes.shape[0] - int(with_entropy)
        ready = {} if self.last is None else {begin - 1: self.last}

        def plane(i: int) -> LogitPlane:
            if i not in ready:
                values = planes[:, i - begin].contiguous()
                ready[i] = LogitPlane(values, classes, self.first, self.second, self.head)
            return ready[i]

        while self.next is not None and self.stream.above[self.next] < self.have:
            if self.stream.inside[self.next]:
                low, high = (int(s[self.next]) for s in (self.stream.below, self.stream.above))
                self._plane(plane(low), plane(high))
                for old in [i for i in ready if i < low]:
                    del ready[old]
            self.next = next(self.todo, None)
        values = planes[:, -1].clone()  # the part itself is overwritten
        self.last = LogitPlane(values, classes, self.first, self.second, self.head)

    def _plane(self, low: LogitPlane, high: LogitPlane) -> None:
        row = self.next
        weight = float(self.stream.weight[row])
        inside = self.first.inside[:, None] & self.second.inside
        if not (self.probabilities or self.uncertainty):
            self.labels[row] = interpolate_labels(low, high, weight).cpu().numpy() * inside
            return
        values = (
            torch.lerp(low.interpolated, high.interpolated, weight) if weight else low.interpolated
        )
        classes = len(low.logits)
        logits, head = values[:classes], self.head
        self.labels[row] = head.labels(logits).cpu().numpy() * inside
        extras = {}
        if self.probabilities:
            extras["probabilities"] = head.probabilities(logits)
        if self.uncertainty:
            max_entropy = head.max_entropy(classes)
            extras["entropy"] = entropy(head.log_probs(logits)) / max_entropy
            if len(values) > classes:
                extras["disagreement"] = extras["entropy"] - values[classes] / max_entropy
        for name, extra in extras.items():
            if name not in self.extras:
                self.extras[name] = np.zeros((*extra.shape[:-2], *self.shape), np.float32)
                if name == "probabilities":
                    self.extras[name].T[:] = head.fill(classes)
            target = self.extras[name][..., row, :, :]
            np.copyto(target, extra.clamp_(0, 1).cpu().numpy(), where=inside)

    def finish(self, source_axes: NDArray[np.int_]) -> SourcePrediction:
        """Turn what was gathered to the axes of the source: its axis s is axis home[s] here."""

        def turned(volume: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.float32]:
            lead = volume.ndim - 3
            volume = volume.transpose(*range(lead), *(lead + a for a in np.argsort(self.order)))
            volume = volume[..., 0] if self.ndim == 2 else volume
            turn = (*range(lead), *(lead + int(a) for a in source_axes))
            return np.ascontiguousarray(volume.transpose(turn))

        extras = {name: turned(volume) for name, volume in self.extras.items()}
        return SourcePrediction(turned(self.labels).astype(np.uint8, copy=False), **extras)


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
