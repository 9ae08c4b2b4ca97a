"""2-D images: one size."""

from collections.abc import Mapping, Sequence
from typing import Any

from medlight.core.intensity import IntensityMap, IntensityStatistics
from medlight.core.sample import Sample
from medlight.transforms.resample import resize


class Radiograph:
    """Resize to `size` where an image has another: bilinear with anti-aliasing, masks by nearest
    neighbour. Readers already scale intensities to [0, 1] by the file's bit depth.

    Args:
        size: (height, width); None keeps each image's own.
    """

    def __init__(self, *, size: Sequence[int] | None = (64, 64)) -> None:
        self.size = tuple(size) if size is not None else None

    @property
    def recipe(self) -> Mapping[str, Any]:
        return {"preset": "radiograph", "size": None if self.size is None else list(self.size)}

    def __call__(self, sample: Sample) -> Sample:
        return self.geometry(sample)

    def geometry(self, sample: Sample) -> Sample:
        if self.size is None or sample["image"].shape[1:] == self.size:
            return sample
        return resize(sample, self.size, mode="bilinear", anti_aliasing=True)

    def intensity(self, statistics: IntensityStatistics, modality: tuple[str, ...]) -> IntensityMap:
        return IntensityMap.identity(*statistics.mean.shape)
