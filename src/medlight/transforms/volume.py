"""3-D volumes: one orientation, one spacing, intensities by modality."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, NormalizeIntensity, Orientation, ScaleIntensityRange, Spacing

from medlight.core.grid import Grid
from medlight.core.sample import Sample


class Volume:
    """Reorient, resample, normalise. Masks move with nearest neighbour.

    CT channels (by `modality`) are clipped to a window of Hounsfield units and scaled to [0, 1];
    all others are standardised by mean and standard deviation, volume by volume: MR has no unit.

    Args:
        orientation: axis codes, "RAS" for right, anterior, superior.
        spacing_mm: voxel size; None keeps each volume's own.
        window_hu: lower and upper end of the CT window.
    """

    def __init__(
        self,
        *,
        orientation: str = "RAS",
        spacing_mm: Sequence[float] | None = None,
        window_hu: Sequence[float] = (-200.0, 300.0),
    ) -> None:
        self._orient = Orientation(axcodes=orientation, labels=None)
        self._spacing = tuple(spacing_mm) if spacing_mm is not None else None
        low, high = window_hu
        self._window = ScaleIntensityRange(low, high, b_min=0.0, b_max=1.0, clip=True)
        self._standardise = NormalizeIntensity()

    def __call__(self, sample: Sample) -> Sample:
        image = self._move(sample["image"], sample["grid"], mode="bilinear")
        moved: Sample = {**sample, "grid": Grid(tuple(image.shape[1:]), image.affine.numpy())}
        if "mask" in sample:
            mask = self._move(sample["mask"], sample["grid"], mode="nearest")
            moved["mask"] = mask.as_tensor().long()
        modalities = sample.get("modality") or ("",) * len(image)
        channels = [
            self._window(channel) if is_ct(name) else self._standardise(channel)
            for channel, name in zip(image.as_tensor(), modalities, strict=True)
        ]
        moved["image"] = torch.stack([torch.as_tensor(channel) for channel in channels])
        return moved

    def _move(self, voxels: torch.Tensor, grid: Grid, *, mode: str) -> MetaTensor:
        steps: list[Callable[..., Any]] = [self._orient]
        if self._spacing is not None:
            steps.append(Spacing(self._spacing, mode=mode))
        moved: MetaTensor = Compose(steps)(MetaTensor(voxels, affine=torch.from_numpy(grid.affine)))
        return moved


def is_ct(modality: str) -> bool:
    """Whether a channel holds Hounsfield units.

    >>> is_ct("CT"), is_ct("MRI"), is_ct("T1w contrast")
    (True, False, False)
    """
    return re.fullmatch(r"(?i)ct|computed tomography", modality.strip()) is not None
