"""2-D images: one size, and grey or in colour."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from medlight.core.errors import ConfigError, DataError
from medlight.core.intensity import IntensityMap, IntensityStatistics
from medlight.core.sample import Sample
from medlight.transforms.resample import resize

GREY, COLOUR = 1, 3


class Radiograph:
    """Resize to `size` where an image has another: bilinear with anti-aliasing, masks by nearest
    neighbour. Readers already scale intensities to [0, 1] by the file's bit depth.

    Args:
        size: (height, width); None keeps each image's own.
        channels: 1 makes colours grey, 3 repeats grey three times; None keeps what the file has.
    """

    def __init__(self, *, size: Sequence[int] | None = None, channels: int | None = None) -> None:
        self.size = tuple(size) if size is not None else None
        self.channels = channels
        if channels not in (None, GREY, COLOUR):
            raise ConfigError(f"transforms.channels must be 1, 3 or null, got {channels!r}")

    @property
    def recipe(self) -> Mapping[str, Any]:
        recipe = {"preset": "radiograph", "size": None if self.size is None else list(self.size)}
        return recipe if self.channels is None else {**recipe, "channels": self.channels}

    def __call__(self, sample: Sample) -> Sample:
        return self.geometry(sample)

    def geometry(self, sample: Sample) -> Sample:
        if sample["image"].ndim != 3:
            raise ConfigError(
                f"transforms=radiograph is for pictures, but this image has "
                f"{sample['image'].ndim - 1} axes; type transforms=volume"
            )
        if self.channels is not None:
            sample = {**sample, "image": with_channels(sample["image"], self.channels)}
        if self.size is None or sample["image"].shape[1:] == self.size:
            return sample
        return resize(sample, self.size, mode="bilinear", anti_aliasing=True)

    def intensity(self, statistics: IntensityStatistics, modality: tuple[str, ...]) -> IntensityMap:
        return IntensityMap.identity(*statistics.mean.shape)


def with_channels(image: torch.Tensor, channels: int) -> torch.Tensor:
    """Turn a colour picture grey, or a grey one into three equal channels.

    Luminance is that of ITU-R 601, in the 8 bits that colours have: the numbers that Pillow gives.

    Args:
        image: (C, H, W) in [0, 1].
        channels: 1 or 3.

    Returns:
        (channels, H, W).

    Raises:
        DataError: the image has neither one nor three channels.
    """
    if len(image) == channels:
        return image
    if {len(image), channels} != {GREY, COLOUR}:
        raise DataError(f"an image of {len(image)} channels cannot become one of {channels}")
    if channels == COLOUR:
        return image.expand(COLOUR, *image.shape[1:]).contiguous()
    red, green, blue = (255 * image).round().to(torch.int32)
    grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    return (grey[None] / 255).to(image.dtype)
