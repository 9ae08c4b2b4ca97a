"""What a deterministic preset is: geometry, which is done once and stored, then intensities."""

from collections.abc import Mapping
from typing import Any, Protocol

from medlight.core.intensity import IntensityMap, IntensityStatistics
from medlight.core.sample import Sample


class Preprocessor(Protocol):
    """The same for training and for prediction."""

    @property
    def recipe(self) -> Mapping[str, Any]:
        """All that decides what `geometry` gives, as plain JSON: what is stored is stored under
        it. A new algorithm needs a new number in it."""

    def geometry(self, sample: Sample) -> Sample:
        """Move and resample `image` and `mask`; `grid` stays true.

        Args:
            sample: with `image` (C, *S), `grid` and, if there is one, `mask` (1, *S).
        """

    def intensity(self, statistics: IntensityStatistics, modality: tuple[str, ...]) -> IntensityMap:
        """Give the map from stored intensities to what a net sees.

        Args:
            statistics: of the images; cases along the leading axes.
            modality: name of each channel's modality; empty if unknown.
        """
