"""The Medical Segmentation Decathlon, and any other data set in its format."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from medlight.core.errors import ConfigError, DataError, SplitError, reading
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.core.split import Split
from medlight.data.datamodule import DataModule
from medlight.datasets._dataset_json import (
    DATASET_JSON,
    NamedNumbers,
    find_folds,
    read_dataset_json,
    read_extras,
    read_numbered,
    read_patients,
    warn_of_lost_cases,
)
from medlight.datasets._fake_data import write_decathlon_task
from medlight.datasets._listing import case_id, folders
from medlight.io.locate import RemoteArchive, locate_dataset
from medlight.io.read import image_stem
from medlight.io.verified import verified_md5

TASKS = {
    "Task01_BrainTumour": ("240a19d752f0d9e9101544901065d872", 5.0),
    "Task02_Heart": ("06ee59366e1e5124267b774dbd654057", 4.0),
    "Task03_Liver": ("a90ec6c4aa7f6a3d087205e23d4e6397", 7.0),
    "Task04_Hippocampus": ("9d24dba78a72977dbd1d2e110310f31b", 1.0),
    "Task05_Prostate": ("35138f08b1efaef89d7424d2bcc928db", 4.0),
    "Task06_Lung": ("8afd997733c7fc0432f71255ba4e52dc", 2.0),
    "Task07_Pancreas": ("4f7080cfca169fa8066d17ce6eb061e4", 5.0),
    "Task08_HepaticVessel": ("641d79e80ec66453921d997fbf12a29c", 3.0),
    "Task09_Spleen": ("410d4a301da4e5b2f6f86ec3ddba524e", 3.0),
    "Task10_Colon": ("bad7a188931dc2f6acf72b08eb6202d0", 4.0),
}
"""md5 of each official archive; and tolerance of the normalised surface distance in mm, as commonly
cited for the challenge (Antonelli et al. 2022); not compared with its evaluation code."""
URL = "https://msd-for-monai.s3-us-west-2.amazonaws.com/{task}.tar"
CITATION = "Antonelli et al., The Medical Segmentation Decathlon, Nat Commun 13:4128 (2022)"
SUBSET_FOLDERS = {"train": "train", "valid": "test"}
NIFTI_SUFFIXES = (".nii.gz", ".nii")


@dataclass(kw_only=True, eq=False)
class DecathlonDataModule(DataModule):
    """One task of the Medical Segmentation Decathlon.

    Source: ten tasks, 2,633 CT and MR volumes; Antonelli et al. 2022. Fetched from MONAI's mirror.
    Licence: CC BY-SA 4.0.
    Layout: `<task>/dataset.json` with `imagesTr/`, `labelsTr/`, `imagesTs/`; several channels lie
    along a fourth axis. Or `[segmentation/]{train,valid}/<subject>/{img,label}.nii.gz`.
    Classes: from dataset.json, else `class_names`, background first.
    Split: none that can be scored (`imagesTs` has no labels), so folds: nnU-Net's, over the sorted
    case ids. In the second layout `valid/` is the test set. Each case is its own patient.
    Caveats: Task03 is LiTS; Task07 and Task08 come from one hospital; Task01 overlaps later BraTS;
    some Task05 labels are wrong.
    Citation: doi 10.1038/s41467-022-30695-9.

    Attributes:
        task: name of the task's folder and archive.
        class_names: names of labels 0, 1, ...; None: those in dataset.json.
        modality: name of each channel's modality, "CT" among them; one name for one channel;
            None: those in dataset.json.
    """

    task: str = "Task04_Hippocampus"
    class_names: Sequence[str] | None = None
    modality: str | Sequence[str] | None = None

    spatial_dims: ClassVar[int] = 3

    @cached_property
    def folder(self) -> Path:
        """Where the task lies; found, unpacked or downloaded on first use."""
        archive = (
            RemoteArchive(URL.format(task=self.task), TASKS[self.task][0])
            if self.task in TASKS
            else None
        )
        found = locate_dataset(
            self.root,
            name=self.task,
            is_dataset=_is_dataset,
            cache=Path(self.cache),
            aliases=("segmentation",),
            archive=archive,
            download=self.download,
        )
        if re.match(r"Task\d\d_", found.name) and found.name != self.task:
            raise ConfigError(
                f"data.root={self.root} holds {found.name}, but data.task={self.task}; "
                f"type data.task={found.name}"
            )
        return found

    @cached_property
    def _json(self) -> Mapping[str, Any]:
        content, path = read_dataset_json(self.folder), self.folder / DATASET_JSON
        labels = content.get("labels")
        by_name = isinstance(labels, dict) and any(type(n) in (int, list) for n in labels.values())
        if by_name or {"channel_names", "file_ending"} & content.keys():
            raise DataError(
                f'{path}: expected labels {{"0": ...}} and modality, but this is '
                f"nnU-Net's layout; "
                f"type data=nnunet data.root={self.folder}"
            )
        return content

    @cached_property
    def _own(self) -> NamedNumbers:
        return read_extras(self._json, self.folder / DATASET_JSON)

    @property
    def ignored_label(self) -> int | None:
        return self._own.ignore if self.ignore is None else self.ignore

    @property
    def scored_regions(self) -> Mapping[str, Sequence[int]]:
        return self._own.regions if self.regions is None else self.regions

    @cached_property
    def stated_folds(self) -> tuple[Split, ...]:
        return find_folds([self.folder], self.full_index.ids, folds=self.folds)

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        if self.modality is not None:
            return (self.modality,) if isinstance(self.modality, str) else tuple(self.modality)
        return self._names_from_json("modality", "modality=CT, or one for each channel: '[T1,T2]'")

    def _names_from_json(self, key: str, setting: str) -> tuple[str, ...]:
        """The names under a key of dataset.json, which are keyed "0", "1", ..."""
        path, names = self.folder / DATASET_JSON, self._json.get(key)
        if not names:
            where = f"{path} names no {key}" if self._json else f"{self.folder} has no dataset.json"
            raise ConfigError(f"{where}; type data.{setting}")
        return read_numbered(names, key, path)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tolerance_mm is None and self.task in TASKS:
            self.tolerance_mm = TASKS[self.task][1]

    def index(self) -> Index:
        names = self.class_names or self._names_from_json(
            "labels", "class_names='[background,organ]'"
        )
        subjects = {side: folders(self.folder / side) for side in SUBSET_FOLDERS}
        records = self._subjects(subjects) if any(subjects.values()) else self._training()
        return Index.from_records(
            labels=Labels(tuple(names), "mask"),
            sources=[self._source()],
            records=sorted(records, key=lambda record: str(record["id"])),
        )

    def _source(self) -> Source:
        metadata = self._json
        official = self.task in TASKS and verified_md5(self.folder) == TASKS[self.task][0]
        return Source(
            name=str(metadata.get("name") or self.task),
            root=self.folder,
            version=str(metadata.get("release") or metadata.get("relase") or ""),
            licence=str(metadata.get("licence") or ""),
            citation=CITATION if official else str(metadata.get("reference") or ""),
            public=official,  # of somebody's own data nothing is known
        )

    def _training(self) -> list[dict[str, Any]]:
        """The cases of dataset.json, whether their files are there or not: an audit and every
        training name all that are missing at once. DataError for an entry without an image."""
        where = self.folder / DATASET_JSON
        patients = read_patients(self._json, where)
        records: list[dict[str, Any]] = []
        training = self._json.get("training") or []
        if not isinstance(training, list):
            raise DataError(f"{where}: expected a list of training cases, got {training!r:.80}")
        for entry in training:
            named = entry if isinstance(entry, dict) else {}
            if Path(str(named.get("image"))).name.startswith("._"):
                continue
            files = {
                role: Path(named[key]).as_posix()
                for role, key in (("image", "image"), ("mask", "label"))
                if isinstance(named.get(key), str)
            }
            if "image" not in files:
                raise DataError(f"{where}: the training entry {entry} has no image; add it")
            if outside := [each for each in files.values() if _leaves(Path(each))]:
                raise DataError(
                    f"{where}: {outside[0]} lies outside of the data set; put the file, or a link "
                    f"to it, into {self.folder}"
                )
            case = case_id(image_stem(Path(files["image"]).name))
            records.append({"id": case, "patient": patients.get(case, case), "files": files})
            if len(records) == 1:
                with reading(where, "mend it"):  # a name that no file could have
                    self._refuse_nnunet(files["image"])
        counts = Counter(str(record["id"]) for record in records)
        if twice := [case for case, count in counts.items() if count > 1]:
            raise DataError(f"{where}: it lists {twice[0]!r} more than once; keep one of them")
        if not records:
            raise DataError(f"{where}: it lists no training cases; is the archive complete?")
        warn_of_lost_cases(self._json, self.folder, len(records))
        return records

    def _refuse_nnunet(self, image: str) -> None:
        """Version 1 of nnU-Net lists images without the number of their channel."""
        stem = image_stem(image)
        if (
            not (self.folder / image).exists()
            and (self.folder / f"{stem}_0000{image[len(stem) :]}").exists()
        ):
            raise DataError(
                f"{self.folder} keeps channels in files of their own, {Path(stem).name}_0000, as "
                f"nnU-Net does; type data=nnunet data.root={self.folder}"
            )

    def _subjects(self, subjects: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
        """The cases of `{train,valid}/<subject>/{img,label}.nii.gz`."""
        twice = sorted(set.intersection(*map(set, subjects.values())))
        if twice:
            raise SplitError(
                f"{self.folder}: {twice[0]!r} is both in train/ and in valid/. If that is one "
                f"patient, remove one; if numbering starts anew, give the folders distinct names"
            )
        return [
            {
                "id": case_id(name),
                "patient": case_id(name),
                "files": {
                    role: path
                    for role, stem in (("image", "img"), ("mask", "label"))
                    if (path := self._find_file(side, name, stem)) is not None
                },
                "meta": {"split": SUBSET_FOLDERS[side]},
            }
            for side, names in subjects.items()
            for name in names
        ]

    def _find_file(self, side: str, name: str, stem: str) -> str | None:
        """The path of a subject's file, compressed or not; None where it has none."""
        for suffix in NIFTI_SUFFIXES:
            if (self.folder / side / name / (stem + suffix)).is_file():
                return f"{side}/{name}/{stem}{suffix}"
        return None

    @classmethod
    def fake(cls, root: Path, cases: int = 12, seed: int = 0) -> None:
        """Write Task04_Hippocampus in miniature: two structures, 1 mm, with macOS litter."""
        folder = root / cls.task
        names = ("background", "Anterior", "Posterior")
        write_decathlon_task(
            folder,
            "hippocampus",
            names,
            cases=cases,
            seed=seed,
            shapes=((24, 24, 20), (32, 32, 28)),
        )
        (folder / "imagesTr" / "._hippocampus_001.nii.gz").write_bytes(b"not a volume")


def _leaves(path: Path) -> bool:
    return path.is_absolute() or ".." in path.parts


def _is_dataset(folder: Path) -> bool:
    return (folder / DATASET_JSON).is_file() or all(
        (folder / side).is_dir() for side in SUBSET_FOLDERS
    )
