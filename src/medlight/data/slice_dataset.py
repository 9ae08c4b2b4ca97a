"""Slices of volumes as samples of their own: what `data.slices` makes of cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medlight.core.errors import ConfigError
from medlight.core.index import Index
from medlight.core.sample import Sample
from medlight.data.dataset import CaseDataset
from medlight.data.sampling import PaddingRow, SampleIndex
from medlight.data.slice_labels import BY_MASK, SliceLabels, slice_id
from medlight.transforms.slices import slice_numbers


class SliceDataset(CaseDataset):
    """Training samples are slices, each at a place that is a function of (seed, epoch, draw); a
    row gives a whole volume."""

    @property
    def epoch_length(self) -> int:
        return int(self.stored.shapes[:, 0].sum())

    def with_patch(self, patch: Sequence[int] | None) -> CaseDataset:
        """The same cases, cut to slices of this height and width."""
        if self.stored.annotations is not None:
            raise ConfigError(
                "data.slices cuts images and masks, but these cases have boxes or points as well; "
                "leave data.slices out"
            )
        return super().with_patch(None if patch is None else (1, *patch))

    def _read_batch(self, indices: Sequence[SampleIndex]) -> dict[str, Any]:
        batch = super()._read_batch(indices)
        thin = {key: batch[key].squeeze(2) for key in ("image", "mask") if key in batch}
        return batch | thin | {"spacing_mm": batch["spacing_mm"][:, 1:]}


@dataclass(frozen=True, slots=True)
class _SliceIndex(SampleIndex):
    """Attributes:
    place: of the slice in its volume, which `row` names.
    """

    place: int


class LabelledSlices(SliceDataset):
    """Slices with a label each: a row of it is a slice, in training and in tests.

    Attributes:
        ids: of the slices.
    """

    ids: list[str]
    _volumes: list[int]
    _places: list[int]
    _targets: torch.Tensor

    @classmethod
    def labelled(cls, index: Index, *, labels: SliceLabels, **options: Any) -> "LabelledSlices":
        """Open the volumes of an index, and give their slices labels; ConfigError where that
        cannot be."""
        made = cls(index, **options | {"foreground_sampler": None})  # it would move the slice
        made.ids, made._volumes, made._places = [], [], []
        targets: list[int] = []
        for row, case in enumerate(index.ids):
            source, grid = made._read_or_rebuild(row, made.stored.grids, row)
            numbers = slice_numbers(grid, source, str(made.slices)).tolist()
            mask = np.zeros((1, *grid.shape), np.uint8)
            if labels.table is None:
                mask = made._read_or_rebuild(row, made._mask, row)
            found = labels.of_volume(case, numbers, mask, made.ignore)
            made.ids += [slice_id(case, numbers[place]) for place in found]
            made._volumes += [row] * len(found)
            made._places += found
            targets += found.values()
        made._targets = torch.tensor(targets)
        return made

    def _mask(self, row: int) -> NDArray[Any]:
        mask = self.stored.mask(row)
        if mask is None:
            raise ConfigError(
                f"data.slice_labels={BY_MASK}: {self.index.ids[row]!r} has no mask; name a table"
            )
        return mask

    @property
    def targets(self) -> torch.Tensor:  # of slices, not of volumes
        """(N,) class of each slice."""
        return self._targets

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def epoch_length(self) -> int:
        return len(self)

    def __getitems__(self, keys: Sequence[int] | Sequence[SampleIndex]) -> Any:
        indices = [key for key in keys if isinstance(key, SampleIndex)]
        return self._read_batch(indices) if len(indices) == len(keys) else [self[k] for k in keys]

    def _read_case(self, row: int) -> Sample:
        volume, place = self._volumes[row], self._places[row]
        shape = tuple(self.stored.shapes[volume, 1:].tolist())
        image, _ = self._allocate(1, (1, *shape), masks=False)
        self._read_patch(volume, (place, 0, 0), image[0], None)
        sample: Sample = {
            "image": torch.from_numpy(image[0, :, 0]),
            "label": self._targets[row],
            "modality": self.modality,
            "case": self.ids[row],
        }
        return sample | {"padding": True} if isinstance(row, PaddingRow) else sample

    def _read_batch(self, indices: Sequence[SampleIndex]) -> dict[str, Any]:
        rows = [index.row for index in indices]
        of_volumes = [
            _SliceIndex(self._volumes[i.row], i.epoch, i.position, self._places[i.row])
            for i in indices
        ]
        batch = super()._read_batch(of_volumes)
        batch.pop("mask", None)
        return batch | {"label": self._targets[rows]}

    def _patch_starts(
        self, rows: NDArray[np.int64], indices: Sequence[SampleIndex]
    ) -> NDArray[np.int64]:
        first = super()._patch_starts(rows, indices)
        first[:, 0] = [index.place for index in indices if isinstance(index, _SliceIndex)]
        return first
