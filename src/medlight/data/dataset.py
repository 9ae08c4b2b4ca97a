"""Cases to samples: read, transform, hold in memory, cut a patch."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from medlight.core.errors import DataError
from medlight.core.grid import Grid
from medlight.core.index import Index
from medlight.core.sample import LISTED, Sample
from medlight.data.sampling import Draw, generator
from medlight.io.read import read_image, read_mask

Transform = Callable[[Sample], Sample]
"""Deterministic: may move, resample and scale `image` and `mask`, and keeps `grid` true."""

MASK_ROLE = "mask"


class CaseDataset(Dataset[Sample]):
    """Samples of the cases of an index.

    A `Draw` gives a training sample: a patch, where `patch` is set, at a place that is a function
    of (seed, epoch, draw). A row gives the whole case, with its `reference` mask as on disk
    where `references` is set.

    Transformed cases stay in memory up to `memory_gb`; the rest is read again each time.
    """

    def __init__(
        self,
        index: Index,
        *,
        transforms: Transform | None = None,
        seed: int = 0,
        references: bool = False,
        modality: tuple[str, ...] = (),
        memory_gb: float = 0.0,
    ) -> None:
        self.modality = modality
        self.index, self.transforms, self.seed = index, transforms, seed
        self.patch: tuple[int, ...] | None = None
        self.references = references
        self._held: dict[int, Sample] = {}
        self._room = memory_gb * 2**30

    def with_patch(self, patch: Sequence[int] | None) -> "CaseDataset":
        """The same cases, held in the same memory, cut to `patch`."""
        twin = copy(self)
        twin.patch = tuple(patch) if patch is not None else None
        return twin

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: int | Draw) -> Sample:
        if isinstance(key, int):
            return self._whole(key)
        whole = self._whole(key.row)
        sample: Sample = {k: v for k, v in whole.items() if k not in LISTED}  # type: ignore[assignment]
        sample["draw"] = torch.tensor(key.draw)
        sample["spacing_mm"] = torch.tensor(whole["grid"].spacing_mm)
        if self.patch is not None:
            random = generator(self.seed, key.epoch, key.draw)
            cut_patch(sample, self.patch, random)
        return sample

    def _whole(self, row: int) -> Sample:
        if row in self._held:
            return self._held[row]
        sample = self._read(row)
        size = sum(v.nbytes for v in sample.values() if isinstance(v, torch.Tensor))
        if size <= self._room:
            self._room -= size
            self._held[row] = sample
        return sample

    def _read(self, row: int) -> Sample:
        case = self.index[row]
        image, grid = read_image(case.files["image"])
        sample: Sample = {"image": torch.from_numpy(image), "source": grid, "grid": grid}
        sample |= {"modality": self.modality, "case": case.id}
        if MASK_ROLE in case.files:
            mask, mask_grid = read_mask(case.files[MASK_ROLE])
            _check(case.id, grid, mask_grid, mask, len(self.index.labels))
            sample["mask"] = torch.from_numpy(mask)
            if self.references:
                sample["reference"] = torch.from_numpy(mask[0].copy())
        elif case.tags:
            sample["label"] = torch.as_tensor(self.index.labels.encode(case.tags))
        return self.transforms(sample) if self.transforms else sample


def _check(case: str, image: Grid, mask: Grid, values: np.ndarray, labels: int) -> None:
    if image.shape != mask.shape:
        raise DataError(
            f"case {case!r}: image and mask differ in shape, {image.shape} and {mask.shape}; "
            f"mend the files or leave the case out"
        )
    if values.size and not 0 <= values.min() <= values.max() < labels:
        raise DataError(
            f"case {case!r}: the mask holds values from {values.min()} to {values.max()}, but the "
            f"data set declares {labels} labels (0 to {labels - 1}); mend the mask or the labels"
        )


def cut_patch(sample: Sample, patch: Sequence[int], random: np.random.Generator) -> None:
    """Crop, or pad at both ends with the image's minimum and background, to `patch`, in place."""
    shape = sample["image"].shape[1:]
    starts = [int(random.integers(0, max(n - p, 0) + 1)) for n, p in zip(shape, patch, strict=True)]
    window = (slice(None), *(slice(s, s + p) for s, p in zip(starts, patch, strict=True)))
    padding = [
        side
        for n, p in zip(reversed(shape), reversed(patch), strict=True)
        for side in (max(p - n, 0) // 2, max(p - n, 0) - max(p - n, 0) // 2)
    ]
    for key, value in (("image", float(sample["image"].min())), ("mask", 0.0)):
        if key in sample:
            cut: torch.Tensor = sample[key][window]  # type: ignore[literal-required]
            padded = torch.nn.functional.pad(cut, padding, value=value)
            sample[key] = padded  # type: ignore[literal-required]


def collate(samples: Sequence[Sample]) -> dict[str, Any]:
    """Stack what stacks; keep `LISTED` keys as lists."""
    plain: list[dict[str, Any]] = [dict(sample) for sample in samples]
    listed = {key: [sample.pop(key) for sample in plain] for key in LISTED if key in plain[0]}
    return {**default_collate(plain), **listed}
