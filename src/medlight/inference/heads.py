"""How the channels of a net become labels, probabilities and uncertainty.

Shapes: K channels along `dim`, *S spatial axes. `log_probs` are logarithms of probabilities.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from medlight.core.labels import region_class_order


class Head(Protocol):
    """What is known of a net's output. Logits may be blended and interpolated before they come
    here; heads that compare equal answer together."""

    def labels(self, logits: Tensor) -> Tensor:
        """Decide on a label for each voxel.

        Args:
            logits: (K, *S).

        Returns:
            (*S) uint8.
        """

    def probabilities(self, logits: Tensor) -> Tensor:
        """Turn logits into probabilities.

        Args:
            logits: (K, *S).

        Returns:
            (K, *S) in [0, 1].
        """

    def log_probs(self, logits: Tensor, *, dim: int = 0) -> Tensor:
        """What the logarithm of a mean of probabilities is taken of: L entries along `dim`."""

    def logits(self, log_probs: Tensor, *, dim: int = 0) -> Tensor:
        """The opposite: L entries to K."""

    def max_entropy(self, channels: int) -> float:
        """The largest entropy there can be, in nats."""

    def center_(self, logits: Tensor) -> Tensor:
        """(K, *S) logits to others, in place, that say the same and are exact in half precision
        where it matters: near a decision."""

    def fill(self, channels: int) -> tuple[float, ...]:
        """K probabilities where the net saw nothing."""


@dataclass(frozen=True, slots=True)
class SoftmaxHead:
    """One class a voxel, the first of them the background: a softmax, and the largest."""

    def labels(self, logits: Tensor) -> Tensor:
        return logits.max(0).indices.to(torch.uint8)

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(0)

    def log_probs(self, logits: Tensor, *, dim: int = 0) -> Tensor:
        return logits.log_softmax(dim)

    def logits(self, log_probs: Tensor, *, dim: int = 0) -> Tensor:
        return log_probs

    def max_entropy(self, channels: int) -> float:
        return math.log(max(channels, 2))

    def center_(self, logits: Tensor) -> Tensor:
        return logits.sub_(logits.amax(0))

    def fill(self, channels: int) -> tuple[float, ...]:
        return (1.0, *[0.0] * (channels - 1))


@dataclass(frozen=True, slots=True)
class SigmoidHead:
    """A sigmoid for each region, of regions that may overlap; see `regions.regions_to_labels`.

    Where all neighbours of a point were painted with one label, so is every point between them:
    interpolated logits of a region are above 0 where those of all neighbours are.

    Attributes:
        regions: name to labels, in the order of the channels.
    """

    regions: Mapping[str, tuple[int, ...]] = field(hash=False)

    def __post_init__(self) -> None:
        region_class_order(self.regions)

    def labels(self, logits: Tensor) -> Tensor:
        return regions_to_labels(logits, self.regions, threshold=0)

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def log_probs(self, logits: Tensor, *, dim: int = 0) -> Tensor:
        return torch.cat([logsigmoid(logits), logsigmoid(-logits)], dim)

    def logits(self, log_probs: Tensor, *, dim: int = 0) -> Tensor:
        yes, no = log_probs.chunk(2, dim)
        return yes - no

    def max_entropy(self, channels: int) -> float:
        return channels * math.log(2)

    def center_(self, logits: Tensor) -> Tensor:
        return logits

    def fill(self, channels: int) -> tuple[float, ...]:
        return (0.0,) * channels


def entropy(log_probs: Tensor, *, dim: int = 0, keepdim: bool = False) -> Tensor:
    """Sum up the entropy of one question or of several.

    Args:
        log_probs: logarithms of probabilities, along `dim`.
        dim: dimension that is summed over.
        keepdim: leave it, with one entry.

    Returns:
        Entropy in nats, without `dim`.

    >>> round(entropy(torch.log(torch.tensor([0.5, 0.5]))).item(), 4)
    0.6931
    """
    return -(log_probs.exp() * log_probs).sum(dim, keepdim=keepdim)


def regions_to_labels(
    probabilities: Tensor, regions: Mapping[str, Sequence[int]], *, threshold: float = 0.5
) -> Tensor:
    """(R, *S) probabilities to (*S) uint8 labels: regions are painted in their order, each with
    its label wherever it is more likely than not, later ones over earlier ones (Isensee et al.
    2021, region-based training). Nothing is background.

    Args:
        regions: name to labels, in the order of the channels; see `region_class_order`.
        threshold: what counts as likely; 0 for logits.
    """
    if len(probabilities) != len(regions):
        raise ValueError(f"expected {len(regions)} channels, got {tuple(probabilities.shape)}")
    labels = probabilities.new_zeros(probabilities.shape[1:], dtype=torch.uint8)
    for channel, label in zip(probabilities, region_class_order(regions), strict=True):
        labels.masked_fill_(channel > threshold, label)
    return labels


class ForegroundEntropy:
    """Mean entropy of the voxels predicted as foreground, as a share of the largest there can be.

    If nothing is predicted it is the largest entropy of any voxel: what was nearly found counts,
    and an image without a trace of foreground is certain. The background is left out, since it
    would make large images certain.
    """

    def __init__(self, head: Head = SoftmaxHead()) -> None:  # it is frozen
        self.head = head
        self._sum = self._count = self._largest = 0.0

    def add(self, part: Tensor) -> None:
        """Take the logits of some planes; no map of the image is kept.

        Args:
            part: (K, *S).
        """
        logits = part.float()
        max_entropy = self.head.max_entropy(len(part))
        share = entropy(self.head.log_probs(logits)) / max_entropy
        foreground = self.head.labels(logits) > 0
        self._sum += float(share[foreground].sum())
        self._count += int(foreground.sum())
        self._largest = max(self._largest, float(share.max()))

    @property
    def value(self) -> float:
        """From 0, certain, to 1."""
        return self._sum / self._count if self._count else self._largest
