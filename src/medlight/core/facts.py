"""What a task must know of the data, and all it may know."""

from dataclasses import dataclass

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
    """

    spatial_dims: int
    channels: int
    labels: Labels
    patch: tuple[int, ...] | None = None
    tolerance_mm: float = 1.0
