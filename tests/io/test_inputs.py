"""The images that somebody wants predicted, wherever they lie."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.inputs import InputCase, find_inputs


def inputs(where: object, *, channels: int = 1, spatial_dims: int = 3) -> list[InputCase]:
    return find_inputs(where, channels=channels, spatial_dims=spatial_dims)


def volume(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 2), np.float32), np.eye(4)), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        volume(tmp_path / "task/imagesTs" / f"case_{number}.nii.gz")
    return tmp_path / "task"


def test_a_folder_a_file_a_pattern_and_a_list(tmp_path: Path, folder: Path) -> None:
    (folder / "dataset.json").write_text("{}")
    (folder / "imagesTs/._case_0.nii.gz").write_bytes(b"litter")
    images = folder / "imagesTs"
    names = ["case_0", "case_1", "case_2"]
    for where in (folder, images, images / "*.nii.gz", folder / "**/*", [images, folder]):
        assert [case.name for case in inputs(where)] == names, where
    assert inputs(images / "case_1.nii.gz")[0].files == (images / "case_1.nii.gz",)
    assert [c.name for c in inputs(tmp_path / "task", channels=2)] == names
    with pytest.raises(DataNotFoundError, match="no such file or folder"):
        inputs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match="holds no images"):
        inputs(tmp_path / "empty")
    (tmp_path / "empty/imagesTr").mkdir()
    with pytest.raises(DataNotFoundError, match="has no imagesTs"):
        inputs(tmp_path / "empty")
    volume(images / "case_1.nii")
    with pytest.raises(DataError, match=r"would both be predicted as case_1"):
        inputs(images)


def test_pictures_beside_volumes_are_passed_over(folder: Path) -> None:
    Image.new("L", (4, 4)).save(folder / "imagesTs/screenshot.png")
    for where in (folder, folder / "imagesTs/*"):
        assert [case.name for case in inputs(where)] == ["case_0", "case_1", "case_2"]
        assert len(inputs(where, spatial_dims=2)) == 4
    [named] = inputs(folder / "imagesTs/screenshot.png")
    assert named.name == "screenshot"  # who names a file hears what is wrong with it
