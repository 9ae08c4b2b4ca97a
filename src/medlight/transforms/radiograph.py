"""2-D images: one size."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Resize

from medlight.core.grid import Grid
from medlight.core.sample import Sample


class Radiograph:
    """Resize to `size` where an image has another: bilinear with anti-aliasing, masks by nearest
    neighbour. Readers already scale intensities to [0, 1] by the file's bit depth.

    Args:
        size: (height, width); None keeps each image's own.
    """

    def __init__(self, *, size: Sequence[int] | None = (64, 64)) -> None:
        self.size = tuple(size) if size is not None else None
        if self.size is not None:
            self._image = Resize(self.size, mode="bilinear", anti_aliasing=True)
            self._mask = Resize(self.size, mode="nearest")

    def __call__(self, sample: Sample) -> Sample:
        if self.size is None or sample["image"].shape[1:] == self.size:
            return sample
        image = self._resized(sample["image"], sample["grid"], self._image)
        grid = Grid(self.size, image.affine.numpy())
        resized: Sample = {**sample, "image": image.as_tensor(), "grid": grid}
        if "mask" in sample:
            mask = self._resized(sample["mask"].float(), sample["grid"], self._mask)
            resized["mask"] = mask.as_tensor().long()
        return resized

    @staticmethod
    def _resized(pixels: torch.Tensor, grid: Grid, resize: Callable[..., Any]) -> MetaTensor:
        moved: MetaTensor = resize(MetaTensor(pixels, affine=torch.from_numpy(grid.affine)))
        return moved
