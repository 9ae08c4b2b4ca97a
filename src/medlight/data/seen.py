"""From what is stored to what a net sees: one multiplication, one addition, and bounds.

Shapes: N cases, B batch, C channels, *S spatial axes.
"""

import numpy as np
from numpy.typing import NDArray

from medlight.core.intensity import Intensity
from medlight.io.store.table import Stored
from medlight.transforms.preset import Preset


class Seen:
    """The intensity map of every case of a table, joined with the scale it is stored in.

    Attributes:
        darkest: (N, C, 1, ...) float32 smallest value of each channel, as it is stored: what
            surrounds a case where a patch is larger.
    """

    def __init__(
        self, stored: Stored, transforms: Preset | None, modality: tuple[str, ...]
    ) -> None:
        seen = Intensity.unchanged(*stored.scale.shape)
        if transforms is not None:
            seen = transforms.intensity(stored.statistics, modality)
        seen = seen.after(stored.scale, stored.shift)
        spatial = (1,) * stored.shapes.shape[1]

        def ready(part: NDArray[np.float64]) -> NDArray[np.float32]:
            return part.astype(np.float32).reshape(*part.shape, *spatial)

        self.darkest = ready(stored.darkest)
        self._scale, self._shift = ready(seen.scale), ready(seen.shift)
        self._low, self._high = ready(seen.low), ready(seen.high)
        self._scales = bool((self._scale != 1).any())
        self._shifts = bool((self._shift != 0).any())
        self._cuts = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def __call__(self, image: NDArray[np.float32], rows: NDArray[np.int64] | int) -> None:
        """Map (B, C, *S) images of these rows, or the (C, *S) image of one, in place."""
        if self._scales:
            image *= self._scale[rows]
        if self._shifts:
            image += self._shift[rows]
        if self._cuts:
            np.clip(image, self._low[rows], self._high[rows], out=image)
