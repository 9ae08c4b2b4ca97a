"""How the channels of a net become labels, probabilities and doubt.

Shapes: K channels along `dim`, *S spatial axes. `logs` are logarithms of probabilities.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from medlight.inference.regions import paint, painted


class Head(Protocol):
    """What is known of a net's output. Logits may be blended and interpolated before they come
    here; heads that compare equal answer together."""

    def labels(self, logits: Tensor) -> Tensor:
        """(K, *S) to (*S) uint8."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """(K, *S) in [0, 1]."""

    def logs(self, logits: Tensor, *, dim: int = 0) -> Tensor:
        """What the logarithm of a mean of probabilities is taken of: L entries along `dim`."""

    def logits(self, logs: Tensor, *, dim: int = 0) -> Tensor:
        """The opposite: L entries to K."""

    def entropy(self, logs: Tensor, *, dim: int = 0, keepdim: bool = False) -> Tensor:
        """Of L entries along `dim`, in nats."""

    def most(self, channels: int) -> float:
        """The largest entropy there can be, in nats."""

    def steady_(self, logits: Tensor) -> Tensor:
        """(K, *S) logits to others, in place, that say the same and are exact in half precision
        where it matters: near a decision."""

    def outside(self, channels: int) -> tuple[float, ...]:
        """K probabilities where the net saw nothing."""


@dataclass(frozen=True, slots=True)
class Exclusive:
    """One class a voxel, the first of them the background: a softmax, and the largest."""

    def labels(self, logits: Tensor) -> Tensor:
        return logits.max(0).indices.to(torch.uint8)

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(0)

    def logs(self, logits: Tensor, *, dim: int = 0) -> Tensor:
        return logits.log_softmax(dim)

    def logits(self, logs: Tensor, *, dim: int = 0) -> Tensor:
        return logs

    def entropy(self, logs: Tensor, *, dim: int = 0, keepdim: bool = False) -> Tensor:
        return entropy(logs, dim=dim, keepdim=keepdim)

    def most(self, channels: int) -> float:
        return math.log(max(channels, 2))

    def steady_(self, logits: Tensor) -> Tensor:
        return logits.sub_(logits.amax(0))

    def outside(self, channels: int) -> tuple[float, ...]:
        return (1.0, *[0.0] * (channels - 1))


@dataclass(frozen=True, slots=True)
class Regions:
    """A sigmoid for each region, of regions that may overlap; see `regions.paint`.

    Where all neighbours of a point were painted with one label, so is every point between them:
    interpolated logits of a region are above 0 where those of all neighbours are.

    Attributes:
        regions: name to labels, in the order of the channels.
    """

    regions: Mapping[str, tuple[int, ...]] = field(hash=False)

    def __post_init__(self) -> None:
        painted(self.regions)

    def labels(self, logits: Tensor) -> Tensor:
        return paint(logits, self.regions, above=0)

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def logs(self, logits: Tensor, *, dim: int = 0) -> Tensor:
        return torch.cat([logsigmoid(logits), logsigmoid(-logits)], dim)

    def logits(self, logs: Tensor, *, dim: int = 0) -> Tensor:
        yes, no = logs.chunk(2, dim)
        return yes - no

    def entropy(self, logs: Tensor, *, dim: int = 0, keepdim: bool = False) -> Tensor:
        return entropy(logs, dim=dim, keepdim=keepdim)

    def most(self, channels: int) -> float:
        return channels * math.log(2)

    def steady_(self, logits: Tensor) -> Tensor:
        return logits

    def outside(self, channels: int) -> tuple[float, ...]:
        return (0.0,) * channels


def entropy(logs: Tensor, *, dim: int, keepdim: bool = False) -> Tensor:
    """Of log-probabilities along `dim`, in nats; of several questions, added up.

    >>> entropy(torch.log(torch.tensor([0.5, 0.5])), dim=0).item() == math.log(2)
    True
    """
    return -(logs.exp() * logs).sum(dim, keepdim=keepdim)
