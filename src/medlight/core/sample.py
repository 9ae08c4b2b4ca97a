"""The keys by which data and tasks meet: the only thing both of them know.

Shapes: B batch, C channels, *S spatial axes, K labels.
"""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import torch

    from medlight.core.grid import Grid


class Sample(TypedDict, total=False):
    """One image with what is known of it; a plain dict at run time. Batches add a leading B.

    Attributes:
        image: (C, *S) float32.
        mask: (1, *S) int64, index of the label of each voxel.
        label: () int64 index of the class, or (K,) float32 with nan where nobody looked.
        reference: (*source S) int64, the mask as it lies on disk; whole cases only, in tests.
        source: Grid of the file: what a prediction is written on.
        grid: Grid of `image`; with `source` it brings a prediction home.
        modality: name of the modality of each channel, for the deterministic transforms.
        case: id of the case.
        draw: () int64, position in the epoch's global order. Patch choice and augmentation are
            functions of (seed, epoch, draw), so that workers, ranks and a resume change nothing.
    """

    image: "torch.Tensor"
    mask: "torch.Tensor"
    label: "torch.Tensor"
    reference: "torch.Tensor"
    source: "Grid"
    grid: "Grid"
    modality: tuple[str, ...]
    case: str
    draw: "torch.Tensor"


LISTED = ("source", "grid", "modality", "case", "reference")
"""Keys that collate to a list: their values are no tensors, or differ in shape."""
