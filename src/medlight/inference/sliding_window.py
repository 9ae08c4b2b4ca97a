"""Predict an image of any size with windows of the size the net was trained on."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad


class SlidingWindow:
    """Overlapping windows, their logits blended by a Gaussian that trusts their centres
    (Isensee et al. 2021).

    Args:
        overlap: share of a window that the next one covers, at least.
        batch_size: windows that go through the net at once.
    """

    def __init__(self, *, overlap: float = 0.5, batch_size: int = 4) -> None:
        if not 0 <= overlap < 1:
            raise ValueError(f"inference.overlap must be in [0, 1), got {overlap}")
        self.overlap, self.batch_size = overlap, batch_size

    def __call__(
        self, image: Tensor, net: Callable[[Tensor], Tensor], window: Sequence[int] | None
    ) -> Tensor:
        """(C, *S) image to (K, *S) logits. `window` None takes the image whole.

        An image smaller than the window is padded with its minimum, as in training.
        """
        shape = image.shape[1:]
        if window is None:
            return net(image[None])[0]
        padding = [
            side
            for n, w in zip(reversed(shape), reversed(window), strict=True)
            for side in (max(w - n, 0) // 2, max(w - n, 0) - max(w - n, 0) // 2)
        ]
        padded = pad(image, padding, value=float(image.min()))
        logits = self._blend(padded, net, window)
        starts = [max(w - n, 0) // 2 for n, w in zip(shape, window, strict=True)]
        return logits[(slice(None), *(slice(s, s + n) for s, n in zip(starts, shape, strict=True)))]

    def _blend(
        self, image: Tensor, net: Callable[[Tensor], Tensor], window: Sequence[int]
    ) -> Tensor:
        places = list(window_places(image.shape[1:], window, self.overlap))
        if len(places) == 1:
            return net(image[None])[0]
        weight = gaussian(window, image.device)
        total, weights = image.new_zeros(0), image.new_zeros(image.shape[1:])
        for start in range(0, len(places), self.batch_size):
            some = places[start : start + self.batch_size]
            outputs = net(torch.stack([image[(slice(None), *place)] for place in some]))
            if start == 0:
                total = outputs.new_zeros(outputs.shape[1], *image.shape[1:]).float()
            for place, output in zip(some, outputs, strict=True):
                total[(slice(None), *place)] += output * weight
                weights[place] += weight
        return total.div_(weights)


def window_places(
    shape: Sequence[int], window: Sequence[int], overlap: float
) -> Iterator[tuple[slice, ...]]:
    """Evenly spaced windows that cover the image and overlap by at least `overlap`.

    >>> [place[0].start for place in window_places((10,), (4,), 0.5)]
    [0, 2, 4, 6]
    """
    axes = []
    for n, w in zip(shape, window, strict=True):
        step = max(1, int(w * (1 - overlap)))
        count = -(-(n - w) // step) + 1
        starts = [round(i * (n - w) / max(1, count - 1)) for i in range(count)]
        axes.append([slice(s, s + w) for s in starts])
    return itertools.product(*axes)


def gaussian(window: Sequence[int], device: torch.device) -> Tensor:
    """(*window) weights: standard deviation an eighth of the window, at least a thousandth."""
    weight = torch.ones((), device=device)
    for size in window:
        offset = torch.arange(size, device=device) - (size - 1) / 2
        weight = weight[..., None] * torch.exp(-0.5 * (offset / (size / 8)) ** 2)
    return weight.clamp_(min=1e-3)
