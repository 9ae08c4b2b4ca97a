"""The preprocessing of a well-known workshop: everything to one size, then to [0, 1].

Differs from it where it slips: masks keep their labels, by nearest neighbour. docs/transforms.md
tells more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from medlight.core.errors import ConfigError
from medlight.core.intensity import IntensityMap, IntensityStatistics
from medlight.core.sample import Sample
from medlight.transforms.resample import resize


class Workshop:
    """Resize as MONAI's `Resize` does by default (the mean over the area of a new voxel), masks by
    nearest neighbour; then scale intensities. Axes stay as they lie in the file.

    Args:
        size: S of every image; voxels become longer or shorter, not the image.
        window: intensities that become 0 and 1, and are clipped there; None: the lowest and the
            highest of each image, over all its channels.
    """

    def __init__(self, *, size: Sequence[int], window: Sequence[float] | None = None) -> None:
        self.size = tuple(map(int, size))
        self.window = None if window is None else tuple(map(float, window))
        if window is not None and (len(window) != 2 or window[0] >= window[1]):
            raise ConfigError(f"transforms.window must be [low, high], got {list(window)}")

    @property
    def recipe(self) -> Mapping[str, Any]:
        return {"preset": "workshop", "size": list(self.size)}

    def __call__(self, sample: Sample) -> Sample:
        """Both halves at once, for a case that is not in a store."""
        moved = self.geometry(sample)
        image = moved["image"].numpy().copy()
        self.intensity(IntensityStatistics.of(image), ()).apply(image)
        return {**moved, "image": torch.from_numpy(image)}

    def geometry(self, sample: Sample) -> Sample:
        if sample["image"].ndim != len(self.size) + 1:
            other = "workshop3d" if len(self.size) == 2 else "workshop2d"
            raise ConfigError(
                f"transforms.size={list(self.size)} is for {len(self.size)}-D images, but these "
                f"have {sample['image'].ndim - 1} axes; choose transforms={other}"
            )
        return resize(sample, self.size, mode="area")

    def intensity(self, statistics: IntensityStatistics, modality: tuple[str, ...]) -> IntensityMap:
        low = np.broadcast_to(statistics.minimum.min(-1, keepdims=True), statistics.minimum.shape)
        high = np.broadcast_to(statistics.maximum.max(-1, keepdims=True), statistics.maximum.shape)
        if self.window is not None:
            low, high = np.full_like(low, self.window[0]), np.full_like(high, self.window[1])
        width = np.where(high > low, high - low, 1.0)
        ends = np.zeros_like(width), np.ones_like(width)
        return IntensityMap(1 / width, -low / width, *ends)
