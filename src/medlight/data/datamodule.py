"""A data set as Lightning wants it: one abstract method, everything else here."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import BatchSampler, DataLoader

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError, SplitError
from medlight.core.file_ref import as_path
from medlight.core.index import Index
from medlight.core.sample import Sample
from medlight.core.split import Split, make_split
from medlight.data.cases import check_ignored, open_cases, seen_ranges, store_name
from medlight.data.dataset import CaseDataset
from medlight.data.exclusions import Exclusions, find_exclusions, withdrawal_lists
from medlight.data.hooks import AugmentFn, CaseLoader, TrainerHooks
from medlight.data.patch import ForegroundSampler, shared_shape, training_patch
from medlight.data.patients import group_by_patient
from medlight.data.sampling import EvalSampler, TrainBatchSampler
from medlight.data.sizes import check_sizes
from medlight.data.sliced import SlicedByPlane, check_every_class
from medlight.data.stated import StatedByData
from medlight.data.targets import choose_target
from medlight.io.manifest import DataVersion, find_version
from medlight.io.store.store import Store
from medlight.io.store.stored_cases import StoredCases
from medlight.transforms.preprocessor import Preprocessor


@dataclass(kw_only=True, eq=False)
class DataModule(TrainerHooks, SlicedByPlane, StatedByData, ABC):
    """Splits, reads, transforms, batches and augments the cases that a subclass finds.

    A data set is one subclass with `index()`. One that is shipped has a class method `fake(root,
    cases, seed)` as well, which writes its layout in miniature.

    Attributes:
        root: the data set's folder, its parent, an archive of it, or a folder with that archive.
        cache: folder for what is made from the source: unpacked archives.
        download: fetch the official archive into `cache` when `root` does not hold the data.
        transforms: deterministic preset; see `medlight.transforms`.
        augment: random, batched, training only; see `medlight.augment`.
        slices: "axial", "coronal" or "sagittal": nets see volumes slice by slice, in two
            dimensions; cases stay volumes. None: nets see images as they are.
        slice_labels: with `slices`, what makes each slice a picture with a class: "mask", whether
            its mask is empty; or a csv file with the columns case, slice and label.
        patch: spatial shape of a training image; "auto": the median shape of the training cases,
            rounded up to multiples of 8, capped at 96^3 voxels; None: images are taken whole.
        foreground_oversampling: share of the patches that are centred on a voxel of the
            foreground, of each label equally often; the others lie anywhere.
        batch_size: samples in a training batch, on each device.
        eval_batch_size: whole cases in a batch; above 1 only where they share a shape.
        epoch_samples: training samples in an epoch; None: as many as there are cases, or slices.
        fold, folds: fold `fold` of `folds` is the test set; fold "all" trains on everything;
            None: fold 0, or the split the data set comes with.
        val_fraction: share of the other patients that validates.
        num_workers: processes that read; 0 reads in the main process.
        store: where prepared cases are kept; see `medlight.io.store`. None: below `cache`.
        seed: of the order of cases, of patches and augmentation. Splits do not depend on it.
        exclude: ids or patterns of cases to leave out, or a file of them; the others stay on their
            side of the folds.
        withdrawn: a list of patients who withdrew, besides the `withdrawn.txt` beside the data.
        patient: whose image a case is, where ids tell: a regular expression with one group, or a
            csv file with the columns case and patient; None: as the data set has it.
        manifest: what the data should be; None: the newest `manifest_*.jsonl` beside them.
        check: look for missing, damaged and leaking files before training.
        tolerance_mm: of the normalised surface distance; None: the data set's own, else 1 mm.
        regions: name to label numbers of what is scored, where it overlaps; None: the data's own.
        ignore: number of a label that is neither learnt nor scored, if it has a name or not.
    """

    root: str | Path = "data"
    cache: str | Path = "~/.cache/medlight"
    download: bool = False
    transforms: Preprocessor | None = None
    augment: AugmentFn | None = None
    slices: str | None = None
    slice_labels: str | None = None
    patch: Sequence[int] | Literal["auto"] | None = None
    foreground_oversampling: float = 0.33
    batch_size: int = 4
    eval_batch_size: int = 1
    epoch_samples: int | None = None
    fold: int | str | None = None
    folds: int = 5
    val_fraction: float = 0.1
    num_workers: int = 0
    store: Store | None = None
    seed: int = 0
    exclude: Sequence[str] | str = ()
    withdrawn: str | Path | None = None
    patient: str | None = None
    manifest: str | Path | None = None
    check: bool = True
    tolerance_mm: float | None = None
    regions: Mapping[str, Sequence[int]] | None = None
    ignore: int | None = None
    target: str | None = None

    spatial_dims: ClassVar[int]

    def __post_init__(self) -> None:
        super().__init__()
        self._train_set: CaseDataset | None = None
        self._val_set: CaseDataset | None = None
        self.root = as_path(self.root).expanduser()
        self.cache = Path(self.cache).expanduser()
        if self.batch_size < 1:
            raise ConfigError(f"data.batch_size must be at least 1, got {self.batch_size}")
        if self.ignore is not None and self.ignore not in range(256):
            raise ConfigError(f"data.ignore must be a label, 0 to 255, got {self.ignore}")
        share = self.foreground_oversampling
        if not 0 <= share <= 1:
            raise ConfigError(f"data.foreground_oversampling is a share, from 0 to 1, got {share}")

    @abstractmethod
    def index(self) -> Index:
        """Find the cases. Called once; raises DataNotFoundError where there are none."""

    @cached_property
    def full_index(self) -> Index:
        """The index as the data set has it, read on first use, with the patients of `patient`."""
        index = self.index()
        return index if self.patient is None else group_by_patient(index, str(self.patient))

    @cached_property
    def exclusions(self) -> Exclusions:
        """The cases that no run sees, by choice or by right."""
        lists = withdrawal_lists(self.full_index, as_path(self.root), self.withdrawn)
        return find_exclusions(self.full_index, self.exclude, lists)

    @cached_property
    def cases(self) -> Index:
        """The cases that may be used."""
        return self.full_index.without(self.exclusions.cases)

    @cached_property
    def targets(self) -> Index:
        """The cases with the one mask they are learnt and scored by."""
        return choose_target(self.cases, self.target)

    @cached_property
    def version(self) -> DataVersion | None:
        """Which version the data are, and whether they still are; None where nobody noted it."""
        return find_version(self.cases, self.manifest, self.exclusions.cases)

    @cached_property
    def split(self) -> Split:
        """Who is on which side; of a run that goes on, set to what its split.json says."""
        return self.split_of(self.fold)

    def split_of(self, fold: int | str | None) -> Split:
        """Who is on which side in one of the folds. SplitError where there is no such fold."""
        dealt = not any(self.full_index.column("split"))  # then nobody changes sides
        try:
            return make_split(
                self.full_index if dealt else self.cases,
                fold=fold,
                folds=self.folds,
                val_fraction=self.val_fraction,
                stated=self.stated_folds,
            ).without(self.exclusions.cases)
        except SplitError as error:
            raise SplitError(f"{error}{self.split_hint}") from error

    def setup(self, stage: str | None = None) -> None:
        """Prepare the training cases that the store lacks, after which `spec` is known.

        Lightning calls it, too; what is prepared stays.
        """
        if self._train_set is None:
            self.check_slices()
            pick_centre = ForegroundSampler(self.foreground_oversampling, self.ignored_label)
            self._train_set = self._dataset(self.split.train, foreground_sampler=pick_centre)
            check_ignored(self.ignore, self.cases.labels, self._train_set.stored, self.prepare)
            check_sizes(self._train_set.stored, self.cases.labels, whole=self.patch is None)
            check_every_class(self.slice_labels, self._class_counts(), self.target_labels)

    @cached_property
    def spec(self) -> DataSpec:
        """What the task must know.

        Raises:
            ConfigError: the training cases have not been prepared.
        """
        steps: list[Any] = list(self.random_steps)  # one of a user's own may lack mirror_axes
        mirror_axes = [e.mirror_axes(self.net_dims) for e in steps if hasattr(e, "mirror_axes")]
        return DataSpec(
            spatial_dims=self.net_dims,
            slices=self.slices or "",
            channels=self.train_cases.channels,
            labels=self.target_labels,
            patch=self._patch(),
            shape=self._patch() or shared_shape(self._shapes),
            class_counts=self._class_counts(),
            tolerance_mm=1.0 if self.tolerance_mm is None else self.tolerance_mm,
            regions=tuple((name, tuple(those)) for name, those in self.scored_regions.items()),
            ignore=self.ignored_label,
            mirror_axes=tuple(sorted({axis for axes in mirror_axes for axis in axes})),
            modality=tuple(self.modalities),
            **seen_ranges(self.train_cases, self.transforms, tuple(self.modalities), self.net_dims),
        )

    @cached_property
    def _store(self) -> Store:
        return self.store or Store(folder=Path(self.cache) / "store")

    def _patch(self) -> tuple[int, ...] | None:
        return training_patch(self.patch, self._shapes, self.slices)

    @property
    def _shapes(self) -> NDArray[np.int64]:
        """(N, n) of what nets see whole: cases, or their slices."""
        return self.train_cases.shapes[:, -self.net_dims :]

    def delete_withdrawn(self) -> int:
        """Remove from the store what was made of patients who withdrew; how many files."""
        return self._store.delete(store_name(self.full_index), self.exclusions.withdrawn)

    def _class_counts(self) -> tuple[int, ...] | None:
        targets = self.train_set.targets
        if targets is None or not self.target_labels.exclusive:
            return None
        return tuple(np.bincount(targets.numpy(), minlength=len(self.target_labels)).tolist())

    def prepare(self, *, check: bool = False) -> StoredCases:
        """All cases of the index, prepared where they are not yet; see `Store.open`."""
        return open_cases(
            self.targets, self._store, self.transforms,
            slices=self.slices, ignore=self.ignored_label, check=check,
        )  # fmt: skip

    def _dataset(self, cases: Sequence[str], **options: Any) -> CaseDataset:
        return self.dataset_class(
            self.targets.subset(cases),
            store=self._store,
            transforms=self.transforms,
            seed=self.seed,
            modality=self.modalities,
            ignore=self.ignored_label,
            slices=self.slices,
            **options,
        )

    @property
    def train_cases(self) -> StoredCases:
        """The prepared training cases; ConfigError if they are not prepared."""
        return self.train_set.stored

    @property
    def train_set(self) -> CaseDataset:
        """The samples of the training cases; ConfigError if they are not prepared."""
        if self._train_set is None:
            raise ConfigError("the training cases are not prepared: call setup() of the data first")
        return self._train_set

    def train_dataloader(self) -> DataLoader[Sample]:
        self.setup()
        rank, world_size = self._rank_and_world_size()
        epoch, skip = self._resume_point()
        batches = TrainBatchSampler(
            len(self.train_set),
            batch_size=self._rank_batch_size(world_size),
            samples=self.epoch_samples or self.train_set.epoch_length,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            epoch=epoch,
            skip=skip,
        )
        return CaseLoader(self._patch_set, batches, workers=self.num_workers)

    @cached_property
    def _patch_set(self) -> CaseDataset:
        return self.train_set.with_patch(self.spec.patch)

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        if not self.split.val:
            return []
        if self._val_set is None:
            self._val_set = self._dataset(self.split.val)
        return self._eval_loader(self._val_set)

    def test_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        if not self.split.test:
            return []
        return self._eval_loader(self._dataset(self.split.test, references=True))

    def _eval_loader(self, dataset: CaseDataset) -> DataLoader[Sample]:
        rank, world_size = self._rank_and_world_size()
        cases = EvalSampler(len(dataset), rank=rank, world_size=world_size)
        batches = BatchSampler(cases, self.eval_batch_size, drop_last=False)
        return CaseLoader(dataset, batches, workers=self.num_workers)
