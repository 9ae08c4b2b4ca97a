"""A small clean data set, to be spoilt one file at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medlight.audit.audit import audit
from medlight.audit.issues import Issue
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.core.split import Split

AFFINE = np.diag([0.8, 0.8, 2.0, 1.0])
LABELS = Labels(("background", "liver", "nodule"), "mask")


def volume(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth noise with a bright box, and the mask of the box."""
    random = np.random.default_rng(number)
    coarse = random.normal(100, 20, (6, 6, 6))
    image = np.kron(coarse, np.ones((3, 3, 2)))[:16, :17, :12].astype(np.float32)
    mask = np.zeros(image.shape, np.uint8)
    mask[4:9, 5:11, 3:7] = 1
    mask[10:12, 12:14, 8:10] = 2
    return image + np.float32(60) * (mask > 0), mask


@dataclass
class Clinic:
    """Ten cases of an image and a mask below `root`."""

    root: Path
    cases: list[str] = field(default_factory=lambda: [f"case_{k:02d}" for k in range(10)])

    volume = staticmethod(volume)

    def image(self, case: int) -> Path:
        return self.root / "images" / f"case_{case:02d}.nii.gz"

    def mask(self, case: int) -> Path:
        return self.root / "masks" / f"case_{case:02d}.nii.gz"

    def write(self, path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Any:
        image = nib.Nifti1Image(values, affine)
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        return image

    def index(self) -> Index:
        return Index(
            labels=LABELS,
            sources=[Source("clinic", self.root)],
            ids=self.cases,
            patients=[f"p_{case}" for case in self.cases],
            files={
                "image": [f"images/{case}.nii.gz" for case in self.cases],
                "mask": [f"masks/{case}.nii.gz" for case in self.cases],
            },
        )

    def split(self) -> Split:
        return Split("0", tuple(self.cases[:6]), tuple(self.cases[6:8]), tuple(self.cases[8:]))

    def issues(self) -> list[Issue]:
        return audit(self.index(), self.split())[0]


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    made = Clinic(tmp_path / "clinic")
    for number in range(10):
        image, mask = volume(number)
        made.write(made.image(number), image)
        made.write(made.mask(number), mask)
    return made


@pytest.fixture
def only() -> Callable[[list[Issue], str], Issue]:
    """The one finding of a kind."""

    def pick(issues: list[Issue], kind: str) -> Issue:
        found = [issue for issue in issues if issue.kind == kind]
        assert len(found) == 1, [f"{f.kind}: {f.message}" for f in issues]
        return found[0]

    return pick
