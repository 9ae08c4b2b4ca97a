"""From what is stored to what a net sees: one multiplication, one addition, and bounds.

Shapes: N cases, B batch, C channels, *S spatial axes.
"""

import numpy as np
from numpy.typing import NDArray

from medlight.core.intensity import IntensityMap
from medlight.io.store.stored_cases import StoredCases
from medlight.transforms.preprocessor import Preprocessor


class IntensityNorm:
    """The intensity map of every case of a table, joined with the scale it is stored in.

    Attributes:
        fill_value: (N, C, 1, ...) float32 smallest value of each channel, as it is stored: what
            surrounds a case where a patch is larger.
    """

    def __init__(
        self, stored: StoredCases, transforms: Preprocessor | None, modality: tuple[str, ...]
    ) -> None:
        intensity = IntensityMap.identity(*stored.scale.shape)
        if transforms is not None:
            intensity = transforms.intensity(stored.statistics, modality)
        intensity = intensity.compose(stored.scale, stored.shift)
        spatial = (1,) * stored.shapes.shape[1]

        def as_float32(part: NDArray[np.float64]) -> NDArray[np.float32]:
            return part.astype(np.float32).reshape(*part.shape, *spatial)

        self.fill_value = as_float32(stored.fill_value)
        self._scale, self._shift = as_float32(intensity.scale), as_float32(intensity.shift)
        self._low, self._high = as_float32(intensity.low), as_float32(intensity.high)
        self._has_scale = bool((self._scale != 1).any())
        self._has_shift = bool((self._shift != 0).any())
        self._has_bounds = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def __call__(self, image: NDArray[np.float32], rows: NDArray[np.int64] | int) -> None:
        """Map (B, C, *S) images of these rows, or the (C, *S) image of one, in place."""
        if self._has_scale:
            image *= self._scale[rows]
        if self._has_shift:
            image += self._shift[rows]
        if self._has_bounds:
            np.clip(image, self._low[rows], self._high[rows], out=image)
