"""A data set as nnU-Net keeps it in its nnUNet_raw folder, of version 2 or 1."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medlight.core.errors import ConfigError
from medlight.core.file_ref import ref_text
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.core.split import Split
from medlight.data.datamodule import DataModule
from medlight.datasets._dataset_json import (
    DATASET_JSON,
    find_folds,
    read_patients,
    warn_of_lost_cases,
)
from medlight.datasets._fake_data import write_nnunet_dataset
from medlight.datasets._listing import case_id, folders
from medlight.datasets._nnunet_files import PREPROCESSED, NNUNetFolder, is_nnunet_folder
from medlight.io.locate import is_archive, local_root, locate_dataset
from medlight.io.read import RASTER_SUFFIXES, is_volume, read_place


@dataclass(kw_only=True, eq=False)
class NNUNetDataModule(DataModule):
    """A data set of nnU-Net, as it lies in nnUNet_raw.

    Source, licence: your own.
    Layout: `Dataset007_Name/` with `dataset.json`, `imagesTr/<case>_0000.nii.gz` and on for each
    channel, `labelsTr/<case>.nii.gz`, in one format for all; or paths for each case under `dataset`
    in dataset.json; or version 1, `Task007_Name/`, with `modality` and a list `training`.
    Classes: `labels` of dataset.json. Regions and the label `ignore` are taken from there unless
    `regions` and `ignore` say otherwise.
    Split: the folds of `splits_final.json`, here or in $nnUNet_preprocessed; else nnU-Net's five
    over the sorted names. The `val` of a fold is the test set, and `val_fraction` of its `train`
    validates. Each case is its own patient.
    Caveats: channel_names mean CT or not; nnU-Net's other schemes (noNorm, rescale_to_0_1) have no
    counterpart. `regions_class_order` is not used: a region paints the smallest label of its own.
    Citation: Isensee et al., doi 10.1038/s41592-020-01008-z.

    Attributes:
        task: name of the data set's folder in `root`; None: `root` is that folder, or holds one.
    """

    task: str | None = None

    @cached_property
    def folder(self) -> Path:
        """Where the data set lies; found or unpacked on first use."""
        root = local_root(self.root)
        name = self.task or self._only_one(root)
        found = locate_dataset(root, name=name, is_dataset=is_nnunet_folder, cache=Path(self.cache))
        if (
            self.task is not None
            and re.match(r"(Dataset|Task)\d+_", found.name)
            and (found.name != self.task)
        ):
            raise ConfigError(
                f"data.root={self.root} holds {found.name}, but data.task={self.task}; "
                f"type data.task={found.name}"
            )
        return found

    @staticmethod
    def _only_one(root: Path) -> str:
        """The name of the data set in a root; ConfigError where it holds several."""
        if is_archive(root) or is_nnunet_folder(root):
            return root.name.split(".")[0]
        inside = [name for name in folders(root) if is_nnunet_folder(root / name)]
        if len(inside) > 1:
            raise ConfigError(
                f"data.root={root} holds {len(inside)} data sets; type data.task= with one of "
                f"{', '.join(inside)}"
            )
        return inside[0] if inside else "Dataset001_Name"

    @cached_property
    def _stated(self) -> NNUNetFolder:
        return NNUNetFolder(self.folder)

    @property
    def modalities(self) -> tuple[str, ...]:
        return self._stated.channels

    @property
    def ignored_label(self) -> int | None:
        return self._stated.labels.ignore if self.ignore is None else self.ignore

    @property
    def scored_regions(self) -> Mapping[str, Sequence[int]]:
        return self._stated.labels.regions if self.regions is None else self.regions

    @cached_property
    def stated_folds(self) -> tuple[Split, ...]:
        places = [self.folder]
        if os.environ.get(PREPROCESSED):
            places.append(Path(os.environ[PREPROCESSED]) / self.folder.name)
        return find_folds(places, self.full_index.ids, folds=self.folds)

    @cached_property
    def spatial_dims(self) -> int:  # type: ignore[override]  # known when the files are
        first = self.full_index[0].files["image"].path
        if is_volume(first) and first.is_file():
            return read_place(first)[0].ndim
        return 2 if first.name.lower().endswith(RASTER_SUFFIXES) else 3

    def index(self) -> Index:
        stated = self._stated
        patients = read_patients(stated.content, self.folder / DATASET_JSON)
        records = [
            {
                "id": case_id(name),
                "patient": patients.get(case_id(name), case_id(name)),
                "files": {"image": ref_text(images), "mask": ref_text(mask)},
            }
            for name, (images, mask) in stated.cases().items()
        ]
        warn_of_lost_cases(stated.content, self.folder, len(records))
        return Index.from_records(
            labels=Labels(self._stated.labels.names, "mask"),
            sources=[self._source()],
            records=sorted(records, key=lambda record: str(record["id"])),
        )

    def _source(self) -> Source:
        said = {
            key: str(self._stated.content.get(key) or "") for key in ("name", "release", "licence")
        }
        return Source(
            name=said["name"] or self.folder.name,
            root=self.folder,
            version=said["release"],
            licence=said["licence"],
            citation=str(self._stated.content.get("reference") or ""),
            public=False,  # of somebody's own data nothing is known
        )

    @classmethod
    def fake(cls, root: Path, cases: int = 12, seed: int = 0) -> None:
        """Write two MR channels of three organs, some voxels of which nobody labelled, with folds
        of its own."""
        write_nnunet_dataset(root / "Dataset007_Phantom", cases=cases, seed=seed)
