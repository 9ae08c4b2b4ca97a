"""The keys by which data and tasks meet: the only thing both of them know.

Shapes: B batch, C channels, *S spatial axes, n of them, K labels, N boxes, P points.

Boxes and points are in voxel indices of `image`: voxel i is centred at i and reaches from i - 0.5
to i + 0.5.
"""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import torch

    from medlight.core.grid import Grid


class Sample(TypedDict, total=False):
    """One image with what is known of it; a plain dict at run time. Batches add a leading B.

    Attributes:
        image: (C, *S) float32.
        mask: (1, *S) int64, index of the label of each voxel; in the small type it is stored in
            until a training batch is on its device and augmented.
        label: () int64 index of the class, or (K,) float32 with nan where nobody looked.
        boxes: (N, 2n) float32, low corner and high corner.
        box_labels: (N,) int64 index of the class of each box.
        points: (P, n) float32; row k is landmark k, nan where it is not to be seen.
        reference: (*source S) int64, the mask as it lies on disk; whole cases only, in tests.
        source_grid: Grid of the file: what a prediction is written on.
        spacing_mm: (n,) float32, voxel size of `image`; stands for `grid` in training samples.
        grid: Grid of `image`; with `source_grid` it brings a prediction home.
        modality: name of the modality of each channel, for the deterministic transforms.
        case: id of the case.
        position: () int64, position in the epoch's global order. Patch choice and augmentation are
            functions of (seed, epoch, draw), so that workers, ranks and a resume change nothing.
        padding: True where another rank has this case, so that it must not count here.
    """

    image: "torch.Tensor"
    mask: "torch.Tensor"
    label: "torch.Tensor"
    boxes: "torch.Tensor"
    box_labels: "torch.Tensor"
    points: "torch.Tensor"
    reference: "torch.Tensor"
    source_grid: "Grid"
    grid: "Grid"
    spacing_mm: "torch.Tensor"
    modality: tuple[str, ...]
    case: str
    position: "torch.Tensor"
    padding: bool


LIST_KEYS = (
    "source_grid",
    "grid",
    "modality",
    "case",
    "reference",
    "boxes",
    "box_labels",
    "points",
)
"""Keys that collate to a list: their values are no tensors, or differ in shape."""

HOST_KEYS = ("position", "spacing_mm")
"""Tensors that stay on the host: augmentation decides there which samples to change."""
