"""MedNIST, and any other folder of class folders of pictures."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from medlight.core.errors import DataError, DataNotFoundError
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.data.datamodule import DataModule
from medlight.data.patients import fold_name, group_ids
from medlight.datasets._fake_data import write_class_folders
from medlight.datasets._listing import case_id, files, folders
from medlight.io.digests import cached_digests
from medlight.io.inputs import count_files
from medlight.io.locate import RemoteArchive, locate_dataset
from medlight.io.read import RASTER_SUFFIXES
from medlight.io.verified import verified_md5

log = logging.getLogger(__name__)

NAME = "MedNIST"
CLASSES = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
ARCHIVE = RemoteArchive(
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/MedNIST.tar.gz",
    "0bc7306e7427e00ad1c5526a6677552d",
)
SUBSET_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""Folder names of a data set that comes split."""


@dataclass(kw_only=True, eq=False)
class MedNISTDataModule(DataModule):
    """MedNIST: which of six kinds of picture is this?

    Source: assembled by B. J. Erickson (Mayo Clinic) from TCIA, the RSNA Bone Age Challenge and
    the NIH chest X-rays; 58,954 pictures of 64x64 grey pixels, JPEG. Fetched from MONAI's mirror.
    Licence: CC BY-SA 4.0.
    Layout: `MedNIST/<Class>/NNNNNN.jpeg`; `resized/<Class>/...`; or, split already,
    `[medmnist/]{train,val,test}/<Class>/*.png`. PNG or JPEG, any case, any depth. Folders of other
    classes work alike.
    Classes: the folder names in ASCII order ("CXR" before "ChestCT").
    Split: none of its own, and no patients. Blocks of `group_size` neighbouring numbers (often
    slices
    of one study) and files with the same bytes count as one patient. Data that comes split keeps
    its split; there, only the same bytes on one side are grouped.
    Caveats: 440 surplus copies, among them 94 of one constant HeadCT picture. Nearly solved:
    look at the confusion matrix, not at accuracy alone.
    Citation: B. J. Erickson, MedNIST, distributed by Project MONAI.

    Attributes:
        group_size: neighbouring numbers that are kept together; 1: none.
        group_duplicates: count files with the same bytes as one patient; False: no file is opened,
            which hundreds of thousands of files on a network drive may need.
    """

    group_size: int = 50
    group_duplicates: bool = True

    spatial_dims: ClassVar[int] = 2
    split_hint: ClassVar[str] = "; if numbers do not tell neighbours, type data.group_size=1"

    @cached_property
    def folder(self) -> Path:
        """Where the data lies; found, unpacked or downloaded on first use."""
        try:
            return locate_dataset(
                self.root,
                name=NAME,
                is_dataset=_is_dataset,
                cache=Path(self.cache),
                aliases=("resized", "medmnist"),
                archive=ARCHIVE,
                download=self.download,
            )
        except DataNotFoundError as error:
            raise DataNotFoundError(_what_is_there(Path(self.root)) or str(error)) from error

    def index(self) -> Index:
        paths = sorted(_pictures(self.folder))
        if not paths:
            raise DataNotFoundError(f"{self.folder}: no pictures in class folders")
        parts = [path.split("/") for path in paths]
        split = [SUBSET_FOLDERS[p[0]] if len(p) == 3 else None for p in parts]
        ids = [case_id(path.rsplit(".", 1)[0]) for path in paths]
        same = (
            cached_digests(self.folder, paths, Path(self.cache)) if self.group_duplicates else paths
        )
        if any(split):
            patients = group_ids(ids, list(zip(split, same, strict=True)))
        else:
            patients = group_ids([self._block_of(case) for case in ids], same)
        classes = sorted({p[-2] for p in parts})
        _refuse_lookalikes(self.folder, classes)
        column = {name: k for k, name in enumerate(classes)}
        tags = np.zeros((len(paths), len(classes)), np.float32)
        tags[np.arange(len(paths)), [column[p[-2]] for p in parts]] = 1
        return Index(
            labels=Labels(tuple(classes), "multiclass"),
            sources=[self._source(classes)],
            ids=ids,
            patients=patients,
            files={"image": paths},
            tags=tags,
            meta={"split": split} if any(split) else None,
        )

    def _block_of(self, case: str) -> str:
        """The block of numbers a picture belongs to, or the picture where it has no number, or
        `patient` says whose it is."""
        kind, _, stem = case.rpartition("/")
        in_block = stem.isdecimal() and self.patient is None
        return f"{kind}/{int(stem) // self.group_size:06d}" if in_block else case

    def _source(self, classes: Sequence[str]) -> Source:
        if tuple(classes) != CLASSES:  # somebody's own: nothing is known of its licence
            return Source(name=self.folder.name, root=self.folder)
        return Source(
            name=NAME,
            root=self.folder,
            licence="CC BY-SA 4.0",
            citation="B. J. Erickson (Mayo Clinic), MedNIST",
            public=verified_md5(self.folder) == ARCHIVE.md5,  # a folder's name proves nothing
        )

    @classmethod
    def fake(cls, root: Path, cases: int = 12, seed: int = 0) -> None:
        """Write the official layout, with a constant HeadCT picture, a copy and litter."""
        folder = root / NAME
        write_class_folders(folder, CLASSES, cases=cases, seed=seed, step=50, suffix=".jpeg")
        Image.new("L", (64, 64), 25).save(folder / "HeadCT" / "000000.jpeg")
        (folder / "Hand" / "._000000.jpeg").write_bytes(b"not a picture")
        (folder / "README.md").write_text("MedNIST in miniature\n")
        if cases > 2 * len(CLASSES):
            shutil.copy(folder / "AbdomenCT" / "000000.jpeg", folder / "AbdomenCT" / "000100.jpeg")


def _refuse_lookalikes(folder: Path, classes: Sequence[str]) -> None:
    """DataError for class folders whose names look the same."""
    first: dict[str, str] = {}
    for name in classes:
        other = first.setdefault(fold_name(name), name)
        if other != name:
            raise DataError(
                f"{folder}: the class folders {other!a} and {name!a} look the same, but "
                f"would be two classes; give one of them the name of the other"
            )


def _is_dataset(folder: Path) -> bool:
    """Whether there are class folders in `folder`, or in its train folder."""
    return any(
        sum(any(files(inner / name, RASTER_SUFFIXES)) for name in folders(inner)) > 1
        for inner in (folder, folder / "train")
    )


def _what_is_there(root: Path) -> str:
    """Why a folder that holds pictures is no data set; nothing where it holds none."""
    kinds = [name for name in folders(root) if any(files(root / name, RASTER_SUFFIXES))]
    if kinds:
        return (
            f"{root}: {kinds[0]} is the only folder of pictures; put the pictures of each class, "
            f"of two or more, into a folder of its own"
        )
    below = _below(root, folders(root))
    return below and (
        f"{root}: class folders hold no pictures themselves, but folders such as {below}; name "
        f"pictures <class>/<patient>_<number>, and type data.patient='(.+)_'"
    )


def _below(folder: Path, kinds: Sequence[str]) -> str:
    """A folder of pictures below a class folder, which nothing reads; nothing where none is."""
    inner = (f"{kind}/{name}" for kind in kinds for name in folders(folder / kind))
    return next((each for each in inner if any(files(folder / each, RASTER_SUFFIXES))), "")


def _pictures(folder: Path) -> Iterator[str]:
    """Paths below `folder`: `<Class>/<file>`, or `<side>/<Class>/<file>` where it comes split."""
    sides = [name for name in folders(folder) if name in SUBSET_FOLDERS and folders(folder / name)]
    for inner in [f"{side}/" for side in sides] or [""]:
        kinds = folders(folder / inner)
        if below := _below(folder / inner, kinds):
            log.warning(
                "Pictures in folders below the class folders are left out: %s%s; move them up, as "
                "<class>/<patient>_<number>",
                inner,
                below,
            )
        left: list[Path] = []
        for kind in kinds:
            for name in files(folder / inner / kind, ("",)):
                if name.lower().endswith(RASTER_SUFFIXES):
                    yield f"{inner}{kind}/{name}"
                else:
                    left.append(folder / inner / kind / name)
        if left:
            log.warning("Files that are no pictures are left out: %s", count_files(left))
