"""Cases to samples: from the store, through the intensity map, cut to a patch.

Shapes: B batch, C channels, *S spatial axes.
"""

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, default_collate

from medlight.core.case import MASK_ROLE
from medlight.core.errors import ConfigError
from medlight.core.index import Index
from medlight.core.intensity import IntensityMap
from medlight.core.sample import LIST_KEYS, Sample
from medlight.data.cases import open_cases
from medlight.data.patch import ForegroundSampler, clip_to_case, crop_annotations, patch_starts
from medlight.data.sampling import PaddingRow, SampleIndex, rng_of
from medlight.io.read import read_mask
from medlight.io.store.case_file import DamagedError
from medlight.io.store.store import Store
from medlight.io.store.stored_cases import InMemoryCases, StoredCases
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
            if len(modality) not in (0, stored.channels):
                raise ConfigError(
                    f"there are names for {len(modality)} channels ({', '.join(modality)}), but "
                    f"images have {stored.channels}; type data.modality=[one for each channel]"
                )
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


class CaseDataset(Dataset[Sample]):
    """Samples of the cases of an index, which are prepared first if they are not yet.

    A `SampleIndex` gives a training sample: a patch, if `patch` is set, at a place that is a
    function of (seed, epoch, draw). Of a patch, only the patch is read. A row gives the whole
    case, with its `reference` mask as on disk if `references` is set.
    """

    def __init__(
        self,
        index: Index,
        *,
        store: Store,
        transforms: Preprocessor | None = None,
        seed: int = 0,
        references: bool = False,
        modality: tuple[str, ...] = (),
        foreground_sampler: ForegroundSampler | None = None,
        ignore: int | None = None,
        slices: str | None = None,
    ) -> None:
        self.index, self.store, self.transforms, self.seed = index, store, transforms, seed
        self.modality, self.references, self.foreground_sampler = (
            modality,
            references,
            foreground_sampler,
        )
        self.patch: tuple[int, ...] | None = None
        self.slices, self.ignore = slices, ignore
        self._open = partial(
            open_cases, store=store, transforms=transforms, ignore=ignore, slices=slices
        )
        self.stored: StoredCases = self._open(index)
        self.in_memory: InMemoryCases | None = None

    def with_patch(self, patch: Sequence[int] | None) -> "CaseDataset":
        """The same cases, cut to `patch`."""
        clone = copy(self)
        clone.in_memory = None  # what surrounds a case depends on the patch
        clone.patch = tuple(patch) if patch is not None else None
        return clone

    def load_into_memory(self) -> None:
        """Hold the voxels in memory, if there is room; once.

        To be called before worker processes start, which then share them.
        """
        if self.in_memory is None:
            self.in_memory = self._read_or_rebuild(
                None, self.store.load_into_memory, self.stored, self.patch
            )

    @cached_property
    def _normalise(self) -> IntensityNorm:
        return IntensityNorm(self.stored, self.transforms, self.modality)

    @cached_property
    def targets(self) -> torch.Tensor | None:
        """(N,) int64 where one of the labels holds, else (N, K) float32; None without tags."""
        if self.index.tags is None:
            return None
        if not self.index.labels.exclusive:
            return torch.from_numpy(self.index.tags)
        positive = self.index.tags == 1
        for row in np.flatnonzero(positive.sum(axis=1) != 1):
            self.index.labels.encode(self.index[int(row)].tags)  # raises, and says why
        return torch.from_numpy(positive.argmax(axis=1))

    def __len__(self) -> int:
        return len(self.index)

    @property
    def epoch_length(self) -> int:
        """Samples that show all of the data about once."""
        return len(self)

    def __getitem__(self, key: int | SampleIndex) -> Sample:
        if isinstance(key, int):
            return self._read_case(key)
        batch = self._read_batch([key])
        sample: Sample = {name: value[0] for name, value in batch.items()}  # type: ignore[assignment]
        return sample

    def __getitems__(self, keys: Sequence[int] | Sequence[SampleIndex]) -> Any:
        """A batch at once, which `collate` passes on; samples where they do not stack."""
        indices = [key for key in keys if isinstance(key, SampleIndex)]
        shapes = self.stored.shapes[[position.row for position in indices]]
        if len(indices) < len(keys) or (self.patch is None and (shapes != shapes[0]).any()):
            return [self[key] for key in keys]
        return self._read_batch(indices)

    def _read_case(self, row: int) -> Sample:
        case = self.index[row]
        source_grid, grid = self._read_or_rebuild(row, self.stored.grids, row)
        shape = tuple(int(n) for n in self.stored.shapes[row])
        image, mask = self._allocate(1, shape, masks=bool(self.stored.has_mask[row]))
        self._read_patch(row, (0,) * len(shape), image[0], None if mask is None else mask[0])
        sample: Sample = {
            "image": torch.from_numpy(image[0]),
            "source_grid": source_grid,
            "grid": grid,
        }
        sample |= {"modality": self.modality, "case": case.id}
        if isinstance(row, PaddingRow):
            sample["padding"] = True
        if mask is not None:
            sample["mask"] = torch.from_numpy(mask[0]).long()
            if self.references:
                sample["reference"] = torch.from_numpy(read_mask(case.files[MASK_ROLE])[0][0])
        elif self.targets is not None:
            sample["label"] = self.targets[row]
        noted = self._annotations([row], np.zeros((1, len(shape))), shape)
        return cast(Sample, sample | {key: values[0] for key, values in noted.items()})

    def _read_batch(self, indices: Sequence[SampleIndex]) -> dict[str, Any]:
        rows = np.array([position.row for position in indices])
        first = self._patch_starts(rows, indices)
        image, mask = self._stack_from_memory(rows) or self._read_patches(rows, first)
        batch: dict[str, Any] = {"image": torch.from_numpy(image)}
        if mask is not None:
            batch["mask"] = torch.from_numpy(mask)
        elif self.targets is not None:
            batch["label"] = self.targets[torch.from_numpy(rows)]
        batch["position"] = torch.tensor([position.position for position in indices])
        batch["spacing_mm"] = torch.from_numpy(self.stored.spacing_mm[rows].astype(np.float32))
        return batch | self._annotations(rows.tolist(), first, image.shape[2:])

    def _annotations(
        self, rows: Sequence[int], first: NDArray[Any], shape: Sequence[int]
    ) -> dict[str, list[torch.Tensor]]:
        known = self.stored.annotations
        return {} if known is None else crop_annotations([known[r] for r in rows], first, shape)

    def _stack_from_memory(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.integer] | None] | None:
        """Whole images from memory in one step, where they have the shape that is wanted."""
        stack = None if self.in_memory is None else self.in_memory.stack()
        if stack is None or (self.patch is not None and self.patch != stack[0].shape[2:]):
            return None
        images, masks = stack
        image = images[rows].astype(np.float32)
        self._normalise(image, rows)
        return image, None if masks is None else masks[rows]

    def _patch_starts(
        self, rows: NDArray[np.int64], indices: Sequence[SampleIndex]
    ) -> NDArray[np.int64]:
        def random(place: int) -> np.random.Generator:
            return rng_of(self.seed, indices[place].epoch, indices[place].position)

        def pick_centre(place: int, numbers: np.random.Generator) -> NDArray[Any] | None:
            if self.foreground_sampler is None:
                return None
            read = partial(self._class_locations, int(rows[place]))
            return self.foreground_sampler.sample_centre(read, indices[place].position, numbers)

        shapes = self.stored.shapes[rows]
        return patch_starts(shapes, self.patch or shapes[0], random, pick_centre)

    def _class_locations(self, row: int) -> NDArray[np.int32]:
        if self.in_memory is not None:
            return self.in_memory.class_locations(row)
        class_locations: NDArray[np.int32] = self._read_or_rebuild(
            row, self.stored.class_locations, row
        )
        return class_locations

    def _read_patches(
        self, rows: NDArray[np.int64], first: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.integer] | None]:
        patch = self.patch or tuple(self.stored.shapes[rows[0]].tolist())
        image, mask = self._allocate(len(rows), patch, masks=bool(self.stored.has_mask[rows].all()))
        for place, (row, corner) in enumerate(zip(rows.tolist(), first.tolist(), strict=True)):
            self._read_patch(row, corner, image[place], None if mask is None else mask[place])
        return image, mask

    def _allocate(
        self, count: int, shape: tuple[int, ...], *, masks: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.integer] | None]:
        """Masks in the type they are stored in: an eighth of what tasks get."""
        image = np.empty((count, self.stored.channels, *shape), np.float32)
        return image, np.empty((count, 1, *shape), self.stored.dtypes[1]) if masks else None

    def _read_patch(
        self, row: int, first: Sequence[int], image: NDArray[Any], mask: NDArray[Any] | None
    ) -> None:
        """Fill a patch that starts at this voxel of a case, as a net sees it."""
        if self.in_memory is not None:
            self.in_memory.read(row, first, image, mask)
        else:
            patch = image.shape[1:]
            window, inside = clip_to_case(first, patch, self.stored.shapes[row].tolist())
            every = (slice(None), *inside)
            if image[every].shape != image.shape:
                image[...] = self._normalise.fill_value[row]
                if mask is not None:
                    mask[...] = 0
            part = None if mask is None else mask[every]
            self._read_or_rebuild(row, self.stored.read, row, window, image[every], part)
        self._normalise(image, row)  # now, while it is in the cache

    def _read_or_rebuild(self, row: int | None, read: Callable[..., Any], *what: Any) -> Any:
        """Read from a stored case, or all; made again where another run has let it go, or where
        it is no longer what was stored."""
        try:
            return read(*what)
        except (FileNotFoundError, DamagedError) as error:
            index = self.index if row is None else self.index.subset([self.index.ids[row]])
            self._open(index, check=isinstance(error, DamagedError))
            return read(*what)


def collate(samples: Any) -> dict[str, Any]:
    """Stack what stacks; keep `LIST_KEYS` keys as lists. What is a batch already stays."""
    if isinstance(samples, dict):
        return samples
    plain: list[dict[str, Any]] = [dict(sample) for sample in samples]
    listed = {key: [sample.pop(key) for sample in plain] for key in LIST_KEYS if key in plain[0]}
    return {**default_collate(plain), **listed}
