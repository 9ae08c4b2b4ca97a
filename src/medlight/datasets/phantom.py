"""Small tasks drawn on first use: what works before any data is there."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.data.datamodule import DataModule
from medlight.datasets._fake_data import (
    ORGANS,
    ORIENTATIONS,
    draw_organs,
    write_class_folders,
    write_decathlon_task,
)
from medlight.datasets._listing import files
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.mednist import MedNISTDataModule
from medlight.io.atomic import create_once
from medlight.io.raster import write_raster

VERSION = 1  # raised when the drawings change, so that none is taken from an old cache
PATTERNS = ("disc", "ring", "cross", "stripes")


@dataclass(kw_only=True, eq=False)
class Phantom(DataModule):
    """What phantoms share: they are written into `cache` on first use; `root` is not looked at.

    Attributes:
        n_cases: how many cases are drawn.
        data_seed: which ones.
    """

    n_cases: int = 40
    data_seed: int = 0

    @cached_property
    def folder(self) -> Path:
        """Where the drawings lie; made on first use, once for each set of parameters."""
        kind: Any = type(self)  # one of those below, which draw in the layout of a shipped one
        key = f"{type(self).__name__}-v{VERSION}-{self.n_cases}-{self.data_seed}"
        return (
            create_once(
                Path(self.cache) / "phantoms" / key,
                lambda folder: kind.fake(folder, cases=self.n_cases, seed=self.data_seed),
            )
            / self.subfolder
        )

    subfolder: ClassVar[str]


@dataclass(kw_only=True, eq=False)
class PhantomDataModule(Phantom, DecathlonDataModule):
    """Drawn volumes with three organs, in Decathlon format.

    Source, licence: drawn by this file; public domain.
    Layout: Decathlon's, 3-D, one channel, 28 to 40 voxels an axis, 0.9 to 1.4 mm, stored in several
    orientations, intensities in arbitrary units under a smooth field and noise.
    Classes: background, liver (large, dented), kidneys (a dark pair), nodule (small, about as
    bright as an unlabelled spine).
    Split: folds, as Decathlon.
    Caveats: far easier than anatomy; scores say that the machinery works, no more.
    Citation: none.
    """

    subfolder: ClassVar[str] = "Task00_Phantom"

    def _source(self) -> Source:
        return replace(super()._source(), public=True)

    @classmethod
    def fake(cls, root: Path, cases: int = 12, seed: int = 0) -> None:
        write_decathlon_task(
            root / cls.subfolder,
            "phantom",
            ORGANS,
            cases=cases,
            seed=seed,
            shapes=((28, 32, 28), (32, 40, 32)),
            spacing_mm=(0.9, 1.4),
            orientations=len(ORIENTATIONS),
            metadata={"licence": "CC0-1.0", "reference": "drawn by medlight"},
        )


@dataclass(kw_only=True, eq=False)
class Phantom2DDataModule(Phantom, MedNISTDataModule):
    """Drawn pictures of four patterns, in MedNIST's class folders.

    Source, licence: drawn by this file; public domain.
    Layout: `<Class>/NNNNNN.png`, 64x64, grey.
    Classes: cross, disc, ring, stripes.
    Split: folds over blocks of neighbouring numbers, as MedNIST.
    Caveats: far easier than anatomy. Citation: none.
    """

    n_cases: int = 400

    subfolder: ClassVar[str] = "patterns"

    def _source(self, classes: object) -> Source:
        return Source(name="Phantom2D", root=self.folder, licence="CC0-1.0", public=True)

    @classmethod
    def fake(cls, root: Path, cases: int = 12, seed: int = 0) -> None:
        write_class_folders(
            root / cls.subfolder, PATTERNS, cases=cases, seed=seed, step=25, suffix=".png"
        )


@dataclass(kw_only=True, eq=False)
class PhantomMasksDataModule(Phantom):
    """Drawn pictures with masks of three organs: 2-D segmentation.

    Source, licence: drawn by this file; public domain.
    Layout: `images/NNNN.png` and `masks/NNNN.png`, 96x96, grey; a mask's values are its labels.
    Classes: background, liver, kidneys, nodule.
    Split: folds over the sorted names; each picture is its own patient.
    Caveats: far easier than anatomy. Citation: none.
    """

    n_cases: int = 120

    spatial_dims: ClassVar[int] = 2
    subfolder: ClassVar[str] = "slices"

    def index(self) -> Index:
        names = sorted(files(self.folder / "images", (".png",)))
        ids = [Path(name).stem for name in names]
        return Index(
            labels=Labels(ORGANS, "mask"),
            sources=[Source(name="PhantomMasks", root=self.folder, licence="CC0-1.0", public=True)],
            ids=ids,
            patients=ids,
            files={role: [f"{role}s/{name}" for name in names] for role in ("image", "mask")},
        )

    @classmethod
    def fake(cls, root: Path, cases: int = 12, seed: int = 0) -> None:
        for case in range(cases):
            image, labels = draw_organs(np.random.default_rng([seed, case]), (96, 96))
            grey = np.clip(200 * image, 0, 255).round().astype(np.uint8)
            for part, values in (("images", grey), ("masks", labels)):
                write_raster(root / cls.subfolder / part / f"{case:04d}.png", values)
