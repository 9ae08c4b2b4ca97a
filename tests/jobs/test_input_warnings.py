"""Images that are not like those of the training are predicted, and named in one line a kind."""

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from medlight.core.data_spec import DataSpec
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.core.sample import Sample
from medlight.data.cases import seen_ranges
from medlight.datasets.decathlon import DecathlonDataModule
from medlight.datasets.mednist import MedNISTDataModule
from medlight.jobs.input_warnings import InputWarnings
from medlight.transforms.radiograph import Radiograph
from medlight.transforms.volume import Volume
from tests.io.test_nifti_odd import content
from tests.jobs.test_predict import predicted


def spec(ndim: int, **known: tuple[float, ...]) -> DataSpec:
    return DataSpec(ndim, 1, Labels(("background", "a"), "mask"), **known)


def warned(
    caplog: pytest.LogCaptureFixture, known: DataSpec, *cases: tuple[Grid, float]
) -> list[str]:
    caplog.set_level(logging.WARNING)
    caplog.clear()
    found = InputWarnings(known)
    for number, (grid, largest) in enumerate(cases):
        image = torch.zeros(1, *grid.shape)
        image[0, 0] = largest
        found.look(f"c{number}", Sample(image=image, grid=grid, source_grid=grid))
    found.report()
    return caplog.messages


def grid(*spacing: float) -> Grid:
    return Grid((4,) * len(spacing), np.diag([*spacing, *[1.0] * (4 - len(spacing))]))


def test_a_spacing_far_from_the_training(caplog: pytest.LogCaptureFixture) -> None:
    known = spec(3, spacing_low_mm=(1.0, 1.0, 1.0), spacing_high_mm=(1.0, 1.0, 2.0))
    near = [grid(1, 1, 1), grid(1.4, 0.7, 2.9)]
    assert not warned(caplog, known, *((each, 1.0) for each in near))
    far = [grid(2, 1, 1), grid(1, 0.5, 1), grid(1, 1, 5)]
    [line] = warned(caplog, known, *((each, 1.0) for each in [*near, *far]))
    assert line.startswith("c2 (2 x 1 x 1 mm) and 2 more: its voxel size is far from those of the")
    assert "1 x 1 x 1 mm to 1 x 1 x 2 mm; resample it" in line
    assert not warned(caplog, spec(3), (grid(9, 9, 9), 1.0))  # an older run did not note it


def test_a_range_far_from_the_training(caplog: pytest.LogCaptureFixture) -> None:
    known = spec(2, brightest=(0.8, 1.0))
    assert not warned(caplog, known, (grid(1, 1), 0.2), (grid(1, 1), 7.0))
    [line] = warned(caplog, known, (grid(1, 1), 4095 / 65535), (grid(1, 1), 255.0))
    [dark] = warned(caplog, spec(2, brightest=(0.0, 1.0)), (grid(1, 1), 0.0), (grid(1, 1), 9.0))
    assert dark.startswith("c1 (9): its largest")  # where black images train, black is no news
    assert line.startswith("c0 (0.0625) and 1 more: its largest value is far from those of the")


def test_what_reading_guessed_or_left_out(caplog: pytest.LogCaptureFixture) -> None:
    odd = Grid((4, 4), caveats=("it is in colour, and the net sees its luminance",))
    assert warned(caplog, spec(2), (odd, 1.0)) == [
        "c0: it is in colour, and the net sees its luminance"
    ]


@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.0, 1.0)])
def test_what_a_net_saw_is_noted(tmp_path: Path, spacing_mm: tuple[float, ...] | None) -> None:
    """In the order of the net's axes; where images are resampled, all have one voxel size."""
    for number in range(5):
        for side in ("img", "label"):
            path = tmp_path / f"data/{'valid' if number > 3 else 'train'}/{number}/{side}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            affine = np.array([[0, 2.0, 0, 0], [1.0 + number, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
            values = np.full((6, 6, 6), number * (side == "img"), np.uint8)
            nib.save(nib.Nifti1Image(values, affine), path)
    data = DecathlonDataModule(
        root=tmp_path / "data", cache=tmp_path / "cache", class_names=["background", "a"],
        modality="CT", transforms=Volume(spacing_mm=spacing_mm), val_fraction=0,
    )  # fmt: skip
    data.setup()
    known = data.spec
    low = (1, 1, 1) if spacing_mm else (2, 1, 3)
    assert known.spacing_low_mm == pytest.approx(low)
    assert known.spacing_high_mm == pytest.approx((1, 1, 1) if spacing_mm else (2, 4, 3))
    assert DataSpec.from_dict(known.as_dict()) == known


def test_of_pictures_the_range_is_noted(tmp_path: Path) -> None:
    for number, kind in enumerate(("a", "b") * 3):
        path = tmp_path / f"in/{kind}/x{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 51 * number).save(path)
    data = MedNISTDataModule(root=tmp_path / "in", cache=tmp_path / "cache")
    transforms = Radiograph(size=(8, 8))
    stored = MedNISTDataModule(
        root=tmp_path / "in", cache=tmp_path / "cache", transforms=transforms
    ).prepare()
    assert seen_ranges(stored, transforms, ())["brightest"] == pytest.approx((0.05, 0.95))
    assert seen_ranges(data.prepare(), None, ())["brightest"] == pytest.approx((0.05, 0.95))


def test_what_is_odd_about_an_image_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    image = content("<f4", (9, 9, 9), sform_code=0, qform_code=0, pixdim=[1, 1, 1, 0, 0, 0, 0, 0])
    (tmp_path / "flat.nii").write_bytes(image)
    predicted("1", tmp_path / "flat.nii", tmp_path / "out")
    assert "flat: its header gives a voxel size of 0, which is read as 1 mm" in caplog.messages
