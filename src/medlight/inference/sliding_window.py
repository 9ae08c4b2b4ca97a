"""Predict an image of any size with windows of the size the net was trained on.

Shapes: B windows, C channels, K classes, *S spatial axes of the image.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from medlight.inference.heads import Head, SoftmaxHead

Predictor = Callable[[Tensor], Tensor]
"""(B, C, *window) to (B, K, *window) logits."""
SIGMA_SCALE, MIN_WEIGHT = 1 / 8, 1e-3
"""Of the Gaussian that weights a window: its standard deviation as a share of each side, and the
smallest weight."""
CPU_BATCH_SIZE, GPU_BATCH_SIZE = 1, 4
"""Windows at once: a CPU is no faster with more, and needs the memory of all of them."""


@dataclass(frozen=True, slots=True)
class Slabs:
    """Logits as they become final: parts of the image along one spatial axis, in order.

    Attributes:
        axis: the spatial axis.
        parts: (K, *S) float32 tensors with some planes of `axis`, the others whole. Each is a
            view that the next one overwrites.
    """

    axis: int
    parts: Iterator[Tensor]


class LabelMap:
    """The label of each voxel, from logits as they come.

    Args:
        shape: (*S) of the image.
        axis: along which the parts come.
        head: what the channels of the logits mean.

    Attributes:
        labels: (*S) uint8, as far as parts have come.
    """

    def __init__(
        self,
        shape: Sequence[int],
        axis: int,
        head: Head = SoftmaxHead(),  # noqa: B008  # it is frozen
    ) -> None:
        self.labels = np.empty(tuple(shape), np.uint8)
        self._axis, self._head, self._done = axis, head, 0

    def add(self, part: Tensor) -> None:
        """Take (K, *S) logits of the next planes."""
        planes = part.shape[self._axis + 1]
        at = (*[slice(None)] * self._axis, slice(self._done, self._done + planes))
        self.labels[at] = self._head.labels(part).cpu().numpy()
        self._done += planes


class SlidingWindow:
    """Overlapping windows, their logits blended by a Gaussian that trusts their centres
    (Isensee et al. 2021). Windows lie where MONAI's `sliding_window_inference` lays them.

    Args:
        overlap: share of a window that the next one covers, at least.
        batch_size: windows that go through the net at once; None: 1 on a CPU, 4 on a GPU.
        tta: average over reflections along the axes that training mirrored.
    """

    def __init__(
        self, *, overlap: float = 0.5, batch_size: int | None = None, tta: bool = False
    ) -> None:
        if not 0 <= overlap < 1:
            raise ValueError(f"inference.overlap must be in [0, 1), got {overlap}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"inference.batch_size must be at least 1, got {batch_size}")
        self.overlap, self.batch_size, self.tta = overlap, batch_size, tta

    def slabs(
        self,
        image: Tensor,
        net: Predictor,
        window: Sequence[int] | None,
        *,
        device: torch.device | None = None,
        axis: int | None = None,
    ) -> Slabs:
        """Predict an image part by part: memory holds one window's thickness of logits.

        Args:
            image: (C, *S).
            net: from windows to logits.
            window: shape of a window; None: the image is taken whole. Where it has an axis less
                than the image, the net sees slices along the image's first axis.
            device: that of the net, where the sums are taken; None: that of the image.
            axis: along which the parts come; None: where they are smallest.
        """
        device = device or image.device
        if window is None:
            return Slabs(axis or 0, (net(image[None].to(device))[0].float() for _ in range(1)))
        if len(window) == image.ndim - 2:
            net, window = _see_slices(net), (1, *window)
        padded, inside = pad_to_window(image, window)
        starts = [
            window_starts(n, w, self.overlap) for n, w in zip(padded.shape[1:], window, strict=True)
        ]
        if axis is None:
            axis = max(range(len(starts)), key=lambda a: padded.shape[a + 1] / window[a])
        blend = _WindowBlender(padded, net, tuple(window), starts, axis, inside, device)
        blend.batch_size = self.batch_size or (
            CPU_BATCH_SIZE if device.type == "cpu" else GPU_BATCH_SIZE
        )
        return Slabs(axis, blend.parts())


def _see_slices(net: Predictor) -> Predictor:
    """A net of slices for windows that are one slice thick."""
    return lambda windows: net(windows.squeeze(2)).unsqueeze(2)


class _WindowBlender:
    """One pass of windows over a padded image, row after row along `axis`."""

    batch_size: int

    def __init__(
        self,
        image: Tensor,
        net: Predictor,
        window: tuple[int, ...],
        starts: Sequence[Sequence[int]],
        axis: int,
        inside: tuple[slice, ...],
        device: torch.device,
    ) -> None:
        self.image, self.net, self.window = image, net, window
        self.starts, self.axis, self.inside = starts, axis, inside
        self.weight = importance_map(window, device)

    def parts(self) -> Iterator[Tensor]:
        rows, size = self.starts[self.axis], self.window[self.axis]
        total = weights = self.image.new_zeros(0)
        for number, first in enumerate(rows):
            for places, outputs in self._row(first):
                if not total.numel():
                    shape = list(self.image.shape[1:])
                    shape[self.axis] = size
                    total = outputs.new_zeros(outputs.shape[1], *shape, dtype=torch.float32)
                    weights = self.weight.new_zeros(shape)
                for place, output in zip(places, outputs, strict=True):
                    at = list(place)
                    at[self.axis] = slice(0, size)
                    total[(slice(None), *at)].addcmul_(output.float(), self.weight)
                    weights[tuple(at)] += self.weight
                del outputs, output  # else they are held while the net is at work on the next
            last = number == len(rows) - 1
            done = size if last else rows[number + 1] - first
            part = total.narrow(self.axis + 1, 0, done)
            part /= weights.narrow(self.axis, 0, done)
            yield part[(slice(None), *self._inside(done))]
            if not last:
                _shift_planes(total, self.axis + 1, done)
                _shift_planes(weights, self.axis, done)

    def _row(self, first: int) -> Iterator[tuple[list[tuple[slice, ...]], Tensor]]:
        starts = [[first] if a == self.axis else each for a, each in enumerate(self.starts)]
        corners = list(itertools.product(*starts))
        for number in range(0, len(corners), self.batch_size):
            places = [
                tuple(slice(s, s + w) for s, w in zip(corner, self.window, strict=True))
                for corner in corners[number : number + self.batch_size]
            ]
            windows = torch.stack([self.image[(slice(None), *place)] for place in places])
            yield places, self.net(windows.to(self.weight.device))

    def _inside(self, done: int) -> tuple[slice, ...]:
        """Where the image lies in a part: padding goes. An axis that is padded has one row."""
        inside = list(self.inside)
        if len(self.starts[self.axis]) > 1:
            inside[self.axis] = slice(0, done)
        return tuple(inside)


def _shift_planes(sums: Tensor, axis: int, by: int) -> None:
    """Move planes down by so many, and clear those that come free. In steps, as they overlap."""
    planes = sums.shape[axis]
    for start in range(0, planes - by, by):
        count = min(by, planes - by - start)
        sums.narrow(axis, start, count).copy_(sums.narrow(axis, start + by, count))
    sums.narrow(axis, planes - by, by).zero_()


def pad_to_window(image: Tensor, window: Sequence[int]) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad an image to the window, with the smallest value of each channel as in training.

    Args:
        image: (C, *S).
        window: shape it must have at least.

    Returns:
        The padded image, and where the image lies in it.
    """
    shape = image.shape[1:]
    short = [max(w - n, 0) for n, w in zip(shape, window, strict=True)]
    inside = tuple(slice(s // 2, s // 2 + n) for s, n in zip(short, shape, strict=True))
    if not any(short):
        return image, inside
    sides = [side for s in reversed(short) for side in (s // 2, s - s // 2)]
    return torch.stack([pad(each, sides, value=float(each.min())) for each in image]), inside


def window_starts(n: int, window: int, overlap: float) -> list[int]:
    """Place windows along an axis: a fixed step, the last one moved back to the edge.

    Args:
        n: voxels of the axis.
        window: voxels of a window.
        overlap: share of a window that the next one covers, at least.

    >>> window_starts(11, 4, 0.5)
    [0, 2, 4, 6, 7]
    """
    step = max(1, int(window * (1 - overlap)))
    return [min(start, n - window) for start in range(0, n - window + step, step)]


def importance_map(window: Sequence[int], device: torch.device) -> Tensor:
    """Weigh the voxels of a window by a Gaussian; see `SIGMA_SCALE`.

    Args:
        window: its shape.
        device: where the weights are made.

    Returns:
        (*window), 1 in the middle.
    """
    weight = torch.ones((), device=device)
    for size in window:
        offset = torch.arange(size, device=device) - (size - 1) / 2
        weight = weight[..., None] * torch.exp(-0.5 * (offset / (size * SIGMA_SCALE)) ** 2)
    return weight.clamp_(min=MIN_WEIGHT)
