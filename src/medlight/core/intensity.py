"""Intensities: what is known of an image's, and the map that a net sees them through.

Shapes: *N any number of leading axes (cases, say), C channels, *S spatial axes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)
MAX_SAMPLED_VOXELS = 2**20
"""Voxels a channel that percentiles are taken from: a regular pick where there are more."""


@dataclass(frozen=True, slots=True, eq=False)
class IntensityStatistics:
    """Of each channel, over the whole image.

    Attributes:
        minimum, maximum, mean, std: (*N, C) float64; the deviation is that of all voxels.
        percentiles: (*N, C, 5) float64, see `PERCENTILES`.
    """

    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    percentiles: NDArray[np.float64]

    @classmethod
    def of(cls, image: NDArray[np.floating]) -> "IntensityStatistics":
        """Measure a (C, *S) image.

        >>> IntensityStatistics.of(np.array([[[1.0, 3.0]]])).mean
        array([2.])
        """
        flat = image.reshape(len(image), -1)
        step = max(1, flat.shape[1] // MAX_SAMPLED_VOXELS)
        mean = flat.mean(axis=1, dtype=np.float64)
        squares = np.zeros_like(mean)
        for start in range(0, flat.shape[1], MAX_SAMPLED_VOXELS):  # never all of it in float64
            apart = flat[:, start : start + MAX_SAMPLED_VOXELS] - mean[:, np.newaxis]
            squares += np.einsum("ij,ij->i", apart, apart)
        return cls(
            minimum=flat.min(axis=1).astype(np.float64),
            maximum=flat.max(axis=1).astype(np.float64),
            mean=mean,
            std=np.sqrt(squares / flat.shape[1]),
            percentiles=np.percentile(flat[:, ::step], PERCENTILES, axis=1).T.astype(np.float64),
        )


@dataclass(frozen=True, slots=True, eq=False)
class IntensityMap:
    """What every voxel goes through: times `scale`, plus `shift`, held within `low` and `high`.

    A map of this form is the same for a patch and for the whole, can be joined with the scale
    that an image is stored in, and never turns dark into bright.

    Attributes:
        scale, shift, low, high: (*N, C) float64; scale is positive, infinite bounds cut nothing.
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def identity(cls, *shape: int) -> "IntensityMap":
        ones = np.ones(shape)
        return cls(ones, 0 * ones, -np.inf * ones, np.inf * ones)

    def compose(self, scale: NDArray[np.floating], shift: NDArray[np.floating]) -> "IntensityMap":
        """This map of `x * scale + shift` as a map of `x`."""
        return IntensityMap(
            self.scale * scale, self.shift + self.scale * shift, self.low, self.high
        )

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a (*N, C, *S) image in place, and return it."""
        spatial = (1,) * (image.ndim - self.scale.ndim)
        scale, shift, low, high = (
            part.astype(np.float32).reshape(*part.shape, *spatial)
            for part in (self.scale, self.shift, self.low, self.high)
        )
        image *= scale
        image += shift
        if np.isfinite(low).any() or np.isfinite(high).any():
            np.clip(image, low, high, out=image)
        return image
