"""From regions that may overlap to one label a voxel.

Shapes: R regions, *S spatial axes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from medlight.core.errors import ConfigError


def painted(regions: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """The label that each region paints: the smallest of its labels that no later region holds.

    ConfigError where a region has none, since those after it would cover it wherever it is.

    >>> painted({"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)})
    (2, 1, 4)
    """
    labels, later = [], set[int]()
    for name, region in reversed(list(regions.items())):
        own = set(region) - later
        if not own:
            raise ConfigError(
                f"region {name!r} has no label of its own: those after it hold {sorted(region)}; "
                f"name larger regions before the ones they contain"
            )
        labels.append(min(own))
        later |= set(region)
    return tuple(reversed(labels))


def paint(
    probabilities: Tensor, regions: Mapping[str, Sequence[int]], *, above: float = 0.5
) -> Tensor:
    """(R, *S) probabilities to (*S) uint8 labels: regions are painted in their order, each with
    its label wherever it is more likely than not, later ones over earlier ones (Isensee et al.
    2021, region-based training). Nothing is background.

    Args:
        regions: name to labels, in the order of the channels; see `painted`.
        above: what counts as likely; 0 for logits.
    """
    if len(probabilities) != len(regions):
        raise ValueError(f"expected {len(regions)} channels, got {tuple(probabilities.shape)}")
    labels = probabilities.new_zeros(probabilities.shape[1:], dtype=torch.uint8)
    for channel, label in zip(probabilities, painted(regions), strict=True):
        labels.masked_fill_(channel > above, label)
    return labels
