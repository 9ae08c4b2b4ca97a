"""What a task must know of the data, and all it may know."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from medlight.core.labels import Labels


@dataclass(frozen=True, slots=True)
class Facts:
    """Known once the index is read, handed from the data to the task that builds the net.

    Attributes:
        spatial_dims: 2 or 3.
        channels: channels of an image.
        labels: names and meaning of the targets; one output of the net each.
        patch: spatial shape S of a training image, which is also the window of inference;
            None where images keep a shape of their own and are taken whole.
        tolerance_mm: how far apart two borders may lie and still count as the same, in the
            normalised surface distance.
        shape: spatial shape S that all training images have, which is `patch` where there is one;
            None where they differ.
        counts: training cases of each class; None where the targets are no classes.
    """

    spatial_dims: int
    channels: int
    labels: Labels
    patch: tuple[int, ...] | None = None
    tolerance_mm: float = 1.0
    shape: tuple[int, ...] | None = None
    counts: tuple[int, ...] | None = None


@runtime_checkable
class NeedsFacts(Protocol):
    """A loss that depends on the data as a whole, and is told of it before training."""

    def meet(self, facts: Facts) -> None:
        """Raises ConfigError where loss and data do not fit."""
