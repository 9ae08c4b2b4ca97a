"""2-D images: one size."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from medlight.core.grid import Grid
from medlight.core.intensity import IntensityMap, IntensityStatistics
from medlight.core.sample import Sample


class Radiograph:
    """Resize to `size` where an image has another: bilinear with anti-aliasing, masks by nearest
    neighbour. Readers already scale intensities to [0, 1] by the file's bit depth.

    Args:
        size: (height, width); None keeps each image's own.
    """

    def __init__(self, *, size: Sequence[int] | None = (64, 64)) -> None:
        self.size = tuple(size) if size is not None else None
        self._resizers: dict[str, Callable[..., Any]] = {}

    @property
    def recipe(self) -> Mapping[str, Any]:
        return {"preset": "radiograph", "size": None if self.size is None else list(self.size)}

    def __call__(self, sample: Sample) -> Sample:
        return self.geometry(sample)

    def geometry(self, sample: Sample) -> Sample:
        if self.size is None or sample["image"].shape[1:] == self.size:
            return sample
        image, grid = self._resized(sample["image"], sample["grid"], "bilinear")
        resized: Sample = {**sample, "image": image, "grid": grid}
        if "mask" in sample:
            mask, _ = self._resized(sample["mask"].float(), sample["grid"], "nearest")
            resized["mask"] = mask.long()
        return resized

    def intensity(self, statistics: IntensityStatistics, modality: tuple[str, ...]) -> IntensityMap:
        return IntensityMap.identity(*statistics.mean.shape)

    def _resized(self, pixels: torch.Tensor, grid: Grid, mode: str) -> tuple[torch.Tensor, Grid]:
        from monai.data import MetaTensor  # takes seconds, and images of the right size need none
        from monai.transforms import Resize

        if self.size is not None and mode not in self._resizers:
            smooth = mode == "bilinear"
            self._resizers[mode] = Resize(self.size, mode=mode, anti_aliasing=smooth)
        moved = self._resizers[mode](MetaTensor(pixels, affine=torch.from_numpy(grid.affine)))
        return moved.as_tensor(), Grid(tuple(moved.shape[1:]), moved.affine.numpy())
