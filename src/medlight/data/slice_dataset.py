"""Slices of volumes as samples of their own: what `data.slices` makes of cases."""

from collections.abc import Sequence
from typing import Any

from medlight.core.errors import ConfigError
from medlight.data.dataset import CaseDataset
from medlight.data.sampling import SampleIndex


class SliceDataset(CaseDataset):
    """Training samples are slices, each at a place that is a function of (seed, epoch, draw); a
    row gives a whole volume."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.stored.annotations is not None:
            raise ConfigError(
                "data.slices cuts images and masks, but these cases have boxes or points as well; "
                "leave data.slices out"
            )

    @property
    def epoch_length(self) -> int:
        return int(self.stored.shapes[:, 0].sum())

    def with_patch(self, patch: Sequence[int] | None) -> CaseDataset:
        """The same cases, cut to slices of this height and width."""
        return super().with_patch(None if patch is None else (1, *patch))

    def _read_batch(self, indices: Sequence[SampleIndex]) -> dict[str, Any]:
        batch = super()._read_batch(indices)
        thin = {key: batch[key].squeeze(2) for key in ("image", "mask") if key in batch}
        return batch | thin | {"spacing_mm": batch["spacing_mm"][:, 1:]}
