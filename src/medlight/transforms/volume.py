"""3-D volumes: one orientation, one spacing, intensities by modality."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from medlight.core.errors import ConfigError
from medlight.core.grid import Grid
from medlight.core.intensity import IntensityMap, IntensityStatistics
from medlight.core.sample import Sample
from medlight.transforms.resample import reorient, resample_to_spacing


class Volume:
    """Reorient, resample, normalise. Masks move with nearest neighbour.

    CT channels (by `modality`) are clipped to a window of Hounsfield units and scaled to [0, 1];
    all others are standardised by mean and standard deviation, volume by volume: MR has no unit.

    Args:
        orientation: axis codes, "RAS" for right, anterior, superior.
        spacing_mm: voxel size; None, of all axes or of one, keeps each volume's own.
        window_hu: lower and upper end of the CT window.

    Raises:
        ConfigError: there are more or fewer numbers, or the window's are in the wrong order.
    """

    def __init__(
        self,
        *,
        orientation: str = "RAS",
        spacing_mm: Sequence[float | None] | None = None,
        window_hu: Sequence[float] = (-200.0, 300.0),
    ) -> None:
        self.orientation = orientation
        self.spacing_mm = None if spacing_mm is None else numbers("spacing_mm", spacing_mm, 3)
        self.window_hu = ascending("window_hu", window_hu)

    @property
    def recipe(self) -> Mapping[str, Any]:
        spacing = None if self.spacing_mm is None else list(self.spacing_mm)
        return {"preset": "volume", "orientation": self.orientation, "spacing_mm": spacing}

    def __call__(self, sample: Sample) -> Sample:
        """Both halves at once, for a case that is not in a store."""
        moved = self.geometry(sample)
        image = moved["image"].numpy().copy()
        names = sample.get("modality") or ()
        self.intensity(IntensityStatistics.of(image), names).apply(image)
        return {**moved, "image": torch.from_numpy(image)}

    def geometry(self, sample: Sample) -> Sample:
        if sample["grid"].ndim != 3:
            raise ConfigError(
                f"transforms=volume is for volumes, but these images have {sample['grid'].ndim} "
                f"axes; type transforms=radiograph"
            )
        image, grid = self._reorient_and_resample(sample["image"], sample["grid"], nearest=False)
        moved: Sample = {**sample, "image": image, "grid": grid}
        if "mask" in sample:
            moved["mask"], _ = self._reorient_and_resample(
                sample["mask"], sample["grid"], nearest=True
            )
        return moved

    def _reorient_and_resample(
        self, voxels: torch.Tensor, grid: Grid, *, nearest: bool
    ) -> tuple[torch.Tensor, Grid]:
        voxels, grid = reorient(voxels, grid, self.orientation)
        if self.spacing_mm is not None:
            voxels, grid = resample_to_spacing(voxels, grid, self.spacing_mm, nearest=nearest)
        return voxels, grid

    def intensity(self, statistics: IntensityStatistics, modality: tuple[str, ...]) -> IntensityMap:
        std = np.where(statistics.std > 0, statistics.std, 1.0)
        scale, shift = 1 / std, -statistics.mean / std
        low, high = np.full_like(std, -np.inf), np.full_like(std, np.inf)
        channels = std.shape[-1]
        for channel, name in zip(range(channels), modality or ("",) * channels, strict=True):
            if is_ct(name):
                bottom, top = self.window_hu
                scale[..., channel] = 1 / (top - bottom)
                shift[..., channel] = -bottom / (top - bottom)
                low[..., channel], high[..., channel] = 0.0, 1.0
        return IntensityMap(scale, shift, low, high)


def numbers(name: str, given: Any, count: int) -> tuple[Any, ...]:
    """Check that a setting holds so many numbers, or None for some; ConfigError if not."""
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != count:
        raise ConfigError(f"transforms.{name} must be {count} numbers, got {given}")
    return tuple(None if each is None else float(each) for each in given)


def ascending(name: str, given: Any) -> tuple[float, ...]:
    """Check that a setting holds a lower and an upper end; ConfigError if not."""
    low, high = numbers(name, given, 2)
    if low is None or high is None or not low < high:
        raise ConfigError(f"transforms.{name} must be [lower, upper], got {list(given)}")
    return low, high


def is_ct(modality: str) -> bool:
    """Whether a channel holds Hounsfield units.

    >>> is_ct("CT"), is_ct("MRI"), is_ct("T1w contrast")
    (True, False, False)
    """
    return re.fullmatch(r"(?i)ct|computed tomography", modality.strip()) is not None
